"""The encoder in the box: the mean of one vector for each word, learned from a sentence encoder's answers."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.columns import Points
from shoal.encoders.base import Progress
from shoal.encoders.batches import encode_batches
from shoal.encoders.pieces import split_pieces
from shoal.encoders.sums import add_rows, unit_rows
from shoal.encoders.table import PieceTable, load_bundled_table
from shoal.encoders.words import TextWords, split_words

__all__ = ["StaticEncoder"]

MOST_WORDS_KEPT = 200_000
WORDS_AT_ONCE = 32_768
"""Distinct words whose vectors are in memory together."""


class StaticEncoder:
    """English texts to vectors without a model to download, on one core, the same bits on every machine.

    It knows words, not their order, and no negation.

    Parameters
    ----------
    table : PieceTable, optional
        By default the one in the package.
    """

    uri = "static"

    def __init__(self, table: PieceTable | None = None) -> None:
        self.table = table or load_bundled_table()
        self.pieces: dict[str, list[int]] = {}

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def dimension(self) -> int:
        return int(self.table.vectors.shape[1])

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Points:
        """Encode whole texts, however long. See `Encoder`."""

        def encode(batch: Sequence[str]) -> Points:
            return unit_rows(self.sum_vectors(split_words(batch)))

        return encode_batches(texts, self.dimension, encode, progress)

    def sum_vectors(self, words: TextWords) -> NDArray[np.int64]:
        """The exact sum of the vectors of each text's words."""
        sums = np.zeros((len(words.bounds) - 1, self.dimension), np.int64)
        for first in range(0, len(words.distinct), WORDS_AT_ONCE):
            some = words.distinct[first : first + WORDS_AT_ONCE]
            chosen = (words.places >= first) & (words.places < first + len(some))
            bounds = np.concatenate([[0], np.cumsum(chosen)])[words.bounds]
            sums += add_rows(self.word_vectors(some), words.places[chosen] - np.int32(first), bounds)
        return sums

    def word_vectors(self, words: Sequence[str]) -> NDArray[np.int32]:
        """(w, d), the sum of a word's pieces."""
        pieces = [self.split(word) for word in words]
        bounds = np.concatenate([[0], np.cumsum([len(row) for row in pieces])]).astype(np.int32)
        numbers = np.fromiter(chain.from_iterable(pieces), np.int32, int(bounds[-1]))
        shape = (len(words), len(self.table.vectors))
        counts = csr_array((np.ones(len(numbers), np.int32), numbers, bounds), shape)
        return np.asarray(counts @ self.table.vectors)

    def split(self, word: str) -> list[int]:
        pieces = self.pieces.get(word)
        if pieces is None:
            if len(self.pieces) >= MOST_WORDS_KEPT:
                self.pieces.clear()
            pieces = self.pieces[word] = split_pieces(word, self.table.vocabulary)
        return pieces
