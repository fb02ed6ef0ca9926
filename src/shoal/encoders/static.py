"""The encoder in the box: the mean of one vector for each word, learned from a sentence encoder's answers."""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.columns import Points
from shoal.encoders.base import Progress
from shoal.encoders.batches import text_batches
from shoal.encoders.pieces import split_pieces
from shoal.encoders.table import PieceTable, bundled_table
from shoal.encoders.words import TextWords, split_words

__all__ = ["StaticEncoder"]

LONGEST_WINDOW = 2048
"""Words that an int32 can add up: each number of a vector is below 2**20."""
MOST_WORDS_KEPT = 200_000
EXACT_BITS = 22
"""Squares of whole numbers below 2**22 add up exactly in float64, for up to 512 of them."""


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
        self.table = table or bundled_table()
        self.pieces: dict[str, list[int]] = {}

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def dimension(self) -> int:
        return int(self.table.vectors.shape[1])

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Points:
        """Encode whole texts, however long.

        Parameters
        ----------
        texts : sequence of str, length n
        progress : callable, optional
            Receives the fraction that is done, and may raise to stop.

        Returns
        -------
        (n, d) float32
            Rows of norm 1; 0 for a text without any known word.
        """
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        for rows in text_batches(texts):
            vectors[rows] = unit_rows(self.sum_vectors(split_words(texts[rows])))
            if progress:
                progress(rows.stop / len(texts))
        return vectors

    def sum_vectors(self, words: TextWords) -> NDArray[np.int64]:
        """The exact sum of the vectors of each text's words."""
        table = self.word_vectors(words.distinct)
        sums = np.zeros((len(words.bounds) - 1, self.dimension), np.int64)
        for rows, part in windows(words):
            sums[rows] += part @ table
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
        known = self.pieces.get(word)
        if known is None:
            if len(self.pieces) >= MOST_WORDS_KEPT:
                self.pieces.clear()
            known = self.pieces[word] = split_pieces(word, self.table.vocabulary)
        return known


def windows(words: TextWords) -> Iterator[tuple[NDArray[np.int64], csr_array]]:
    """How often each word occurs, window after window; the rows that still have words, and their counts."""
    lengths = np.diff(words.bounds)
    start = 0
    while (rows := np.flatnonzero(lengths > start)).size:
        first = words.bounds[rows] + start
        last = np.minimum(first + LONGEST_WINDOW, words.bounds[rows + 1])
        yield rows, window_counts(words, first, last)
        start += LONGEST_WINDOW


def window_counts(words: TextWords, first: NDArray[np.int64], last: NDArray[np.int64]) -> csr_array:
    bounds = np.concatenate([[0], np.cumsum(last - first)])
    offsets = np.repeat(first - bounds[:-1], last - first)
    places = words.places[offsets + np.arange(bounds[-1])]
    return csr_array(
        (np.ones(len(places), np.int32), places, bounds.astype(np.int32)), (len(first), len(words.distinct))
    )


def unit_rows(sums: NDArray[np.int64]) -> Points:
    """Rows of norm 1; the squares are whole numbers that float64 adds exactly, so the order of additions is free."""
    rows = sums.astype(np.float64)
    _, bits = np.frexp(np.abs(rows).max(axis=1, initial=0.0))
    rows = np.rint(np.ldexp(rows, -np.maximum(bits - EXACT_BITS, 0)[:, None]))
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.asarray(rows / np.maximum(norms, 1)[:, None], np.float32)
