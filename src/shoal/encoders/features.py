"""Words and their characters as features: what a corpus of any language or script has in common."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_features", "word_features"]

SHORTEST, LONGEST = 2, 4
MOST_CHARACTERS = 200
"""Of a word without a space: sentences of scripts that have none are as long."""


def word_features(word: str) -> list[str]:
    """A word and the runs of its characters, which tell a beginning and an end from a middle.

    Parameters
    ----------
    word : str

    Returns
    -------
    list of str
        The word itself begins with `=`.
    """
    features = [f"={word}"]
    for first in range(0, len(word), MOST_CHARACTERS):
        padded = f" {word[first : first + MOST_CHARACTERS]} "
        for size in range(SHORTEST, LONGEST + 1):
            features += [padded[start : start + size] for start in range(len(padded) - size + 1)]
    return features


def count_features(words: Sequence[str], vocabulary: Mapping[str, int]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The known features of each word, as numbers, and where each word's begin and end.

    Parameters
    ----------
    words : sequence of str, length w
    vocabulary : mapping of str to int

    Returns
    -------
    (m,) int32, (w + 1,) int64
    """
    rows = [[row for feature in word_features(word) if (row := vocabulary.get(feature)) is not None] for word in words]
    bounds = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return np.fromiter((number for row in rows for number in row), np.int32, int(bounds[-1])), bounds
