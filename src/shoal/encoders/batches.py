"""Texts in batches of bounded size."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.encoders.base import Progress

__all__ = ["encode_batches", "text_batches"]

MOST_TEXTS = 16_384
MOST_CHARACTERS = 4_000_000


def text_batches(
    texts: Sequence[str], most_texts: int = MOST_TEXTS, most_characters: int = MOST_CHARACTERS
) -> Iterator[slice]:
    """Cut a sequence where a batch would hold too many texts or characters; a text longer than that is a batch.

    Parameters
    ----------
    texts : sequence of str
    most_texts, most_characters : int, optional

    Yields
    ------
    slice
        Not empty, in order, all texts together.
    """
    start = characters = 0
    for row, text in enumerate(texts):
        if row > start and (row - start >= most_texts or characters + len(text) > most_characters):
            yield slice(start, row)
            start, characters = row, 0
        characters += len(text)
    if start < len(texts):
        yield slice(start, len(texts))


def encode_batches(
    texts: Sequence[str],
    dimension: int,
    encode: Callable[[Sequence[str]], NDArray[np.floating]],
    progress: Progress | None = None,
    *,
    most_texts: int = MOST_TEXTS,
    most_characters: int = MOST_CHARACTERS,
) -> Points:
    """Encode texts batch by batch.

    Parameters
    ----------
    texts : sequence of str, length n
    dimension : int
    encode : callable
        Returns the (m, d) vectors of the m texts of a batch.
    progress : callable, optional
        Receives the fraction that is done, and may raise to stop.
    most_texts, most_characters : int, optional
        As for `text_batches`.

    Returns
    -------
    (n, d) float32
    """
    vectors = np.zeros((len(texts), dimension), np.float32)
    for rows in text_batches(texts, most_texts, most_characters):
        vectors[rows] = encode(texts[rows])
        if progress:
            progress(rows.stop / len(texts))
    return vectors
