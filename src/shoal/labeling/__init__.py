"""Names and keywords for clusters from the documents' own words. No model, no network.

texts -> words (`tokens`) -> candidate phrases and their counts (`phrases`) -> scores (`scoring`) -> names (`naming`);
`brief` finds the text in a payload.
"""

from shoal.labeling.brief import choose_text_fields, document_text, trimmed
from shoal.labeling.examples import abridge
from shoal.labeling.naming import Name, name_clusters
from shoal.labeling.tokens import LONGEST_READ
from shoal.labeling.volume import Volume

__all__ = [
    "LONGEST_READ",
    "Name",
    "Volume",
    "abridge",
    "choose_text_fields",
    "document_text",
    "name_clusters",
    "trimmed",
]
