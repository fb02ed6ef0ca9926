"""Names and keywords for clusters.

`base` is the interface of namers; `words` names from the documents' own words, without a model. `text_fields` chooses
the fields with text, `document_text` joins them, `text` cleans the result, `examples` abridges it for display.
"""

from shoal.labeling.base import Brief, Budget, InputReader, Media, Name, Namer, Partition, PhraseEncoder, main_parents
from shoal.labeling.document_text import document_text, trim_payload, whole_text
from shoal.labeling.examples import abridge
from shoal.labeling.stop_words import read_stop_words
from shoal.labeling.text import LONGEST_READ, excerpt, readable
from shoal.labeling.text_fields import choose_text_fields
from shoal.labeling.words.namer import WordNamer, name_clusters, name_layers
from shoal.labeling.words.unspaced import describe_missing_dictionary
from shoal.labeling.words.volume import Volume

__all__ = [
    "LONGEST_READ",
    "Brief",
    "Budget",
    "InputReader",
    "Media",
    "Name",
    "Namer",
    "Partition",
    "PhraseEncoder",
    "Volume",
]
__all__ += ["WordNamer", "abridge", "excerpt", "read_stop_words", "readable"]
__all__ += [
    "choose_text_fields",
    "describe_missing_dictionary",
    "document_text",
    "main_parents",
    "name_clusters",
    "name_layers",
    "trim_payload",
]
__all__ += ["whole_text"]
