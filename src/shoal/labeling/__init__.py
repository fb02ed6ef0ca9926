"""Names and keywords for clusters.

`base` is what every namer is given and gives back; `words` names from the documents' own words, without a model.
`text_fields` finds the fields that hold text, `document_text` makes one text of them, `text` cleans it, `examples`
shows it beside a name.
"""

from shoal.labeling.base import Brief, Budget, Name, Namer, Partition, main_parents
from shoal.labeling.document_text import document_text, trimmed
from shoal.labeling.examples import abridge
from shoal.labeling.text import LONGEST_READ
from shoal.labeling.text_fields import choose_text_fields
from shoal.labeling.words.namer import WordNamer, name_clusters, name_layers
from shoal.labeling.words.volume import Volume

__all__ = ["LONGEST_READ", "Brief", "Budget", "Name", "Namer", "Partition", "Volume", "WordNamer", "abridge"]
__all__ += ["choose_text_fields", "document_text", "main_parents", "name_clusters", "name_layers", "trimmed"]
