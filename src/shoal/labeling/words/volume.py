"""The volume of text for naming clusters, and the memory and time that naming needs."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

from shoal.labeling.text import LONGEST_TEXT
from shoal.labeling.words.boilerplate import LONG_TEXT
from shoal.labeling.words.sample import DOCUMENTS_PER_CLUSTER, MOST_DOCUMENTS, TOKEN_BUDGET, WHOLE_TEXTS

__all__ = ["Volume"]

_WORD_BYTES = 400
"""Memory for a word while phrases are counted: its place, its spans, their scores. Measured: 205 to 350."""
_WORD_LENGTH = 5
"""Characters."""
_DOCUMENT_BYTES = 300
"""Memory for a document while equal texts are detected."""
_VECTOR_BYTES = 4 * (256 + 768)
"""Memory for the vectors of a document that is read: that of the encoder, and its own."""
_LONG_COPIES = 1.5
"""Memory for the detection of boilerplate, relative to the size of long texts."""
_TEXT_SECONDS = 3e-5
"""CPU time for a text in each layer."""
_CLUSTER_SECONDS = 1.2e-8
"""CPU time for a text and a cluster: with more clusters more words are scored."""


@dataclass(frozen=True, slots=True)
class Volume:
    """The texts of a clustering: their number, `held_bytes` of memory for all of them, at most `words` read in total,
    and `long_bytes` of those that are searched for boilerplate."""

    documents: int
    held_bytes: float = 0
    words: float = 0
    long_bytes: float = 0

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Volume":
        """Measure texts, as `document_text` builds them."""
        documents, held, words, long = 0, 0, 0.0, 0
        for text in texts:
            size = sys.getsizeof(text)
            documents, held = documents + 1, held + size
            words += min(len(text) / 2 if not text.isascii() else len(text) / 5 + 1, LONGEST_TEXT)
            long += size if len(text) > LONG_TEXT else 0
        return cls(documents, held, words, long)

    def scale(self, documents: int) -> "Volume":
        """Extrapolate from a sample to this number of documents."""
        factor = documents / max(self.documents, 1)
        return Volume(documents, self.held_bytes * factor, self.words * factor, self.long_bytes * factor)

    def naming_bytes(self, clusters: int | None) -> float:
        """Estimate the memory of naming besides the texts; `clusters` is None if their number is unknown."""
        read = 1.0
        if clusters is not None and self.documents:
            read = min(1.0, clusters * DOCUMENTS_PER_CLUSTER / self.documents)
        whole = min(self.long_bytes * read / _WORD_LENGTH, WHOLE_TEXTS)
        words = max(min(self.words * read, TOKEN_BUDGET), whole)
        long = self.long_bytes * read * min(1.0, TOKEN_BUDGET / max(self.words * read, 1.0))
        vectors = min(self.documents * read, MOST_DOCUMENTS) * _VECTOR_BYTES
        return words * _WORD_BYTES + self.documents * _DOCUMENT_BYTES + long * _LONG_COPIES + vectors

    def naming_seconds(self, clusters: float, layers: int) -> float:
        """Estimate the CPU time of naming about this many clusters in one of several layers."""
        return self.documents * (_TEXT_SECONDS * layers + _CLUSTER_SECONDS * clusters)
