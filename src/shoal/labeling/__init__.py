"""Names and keywords for clusters from the documents' own words. No model, no network.

texts -> words (`tokens`) -> candidate phrases and their counts (`phrases`) -> scores (`scoring`) -> candidates as they
are written (`candidates`) -> names (`naming`, `label_choice`); `fields` finds those that hold text, `brief` makes one
text of them, `examples` shows a
text beside a name; `values` names by a field of few short values instead.
"""

from shoal.labeling.brief import document_text, trimmed
from shoal.labeling.examples import abridge
from shoal.labeling.fields import choose_text_fields
from shoal.labeling.naming import Name, Partition, main_parents, name_clusters, name_layers
from shoal.labeling.tokens import LONGEST_READ
from shoal.labeling.volume import Volume

__all__ = ["LONGEST_READ", "Name", "Partition", "Volume", "abridge", "choose_text_fields", "document_text"]
__all__ += ["main_parents", "name_clusters", "name_layers", "trimmed"]
