"""Texts as sequences of words, split by Arrow's string kernels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.scalars import replace_surrogates

__all__ = ["TextWords", "split_words"]

# "card's" is a card, "don't" one word.
APOSTROPHES = r"['’](?:s\b)?"
BETWEEN_WORDS = r"[^\p{L}\p{M}\p{N}]+"
MARKS = r"\p{M}+"


@dataclass(frozen=True)
class TextWords:
    """The words of some texts: each distinct word once, and where they stand."""

    distinct: list[str]
    places: NDArray[np.int32]
    """Numbers into `distinct`, text after text."""
    bounds: NDArray[np.int64]
    """Text i has the places from bounds[i] to bounds[i + 1]."""


def split_words(texts: Sequence[str]) -> TextWords:
    """Split at everything but letters and digits, in lower case and without accents, as the teacher of the table does.

    Parameters
    ----------
    texts : sequence of str

    Returns
    -------
    TextWords
    """
    words = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(fold(as_column(texts))))
    flat = words.flatten().dictionary_encode()
    distinct = flat.dictionary.to_pylist()
    places = flat.indices.to_numpy(zero_copy_only=False)
    return without_empty(TextWords(distinct, places, words.offsets.to_numpy().astype(np.int64)))


def as_column(texts: Sequence[str]) -> pa.LargeStringArray:
    """Lone surrogates become question marks."""
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:
        return pa.array(list(map(replace_surrogates, texts)), pa.large_string())


def fold(column: pa.LargeStringArray) -> pa.LargeStringArray:
    """Lower case, without accents, one space between words."""
    if not pc.all(pc.string_is_ascii(column)).as_py():
        column = pc.replace_substring_regex(pc.utf8_normalize(column, "NFKD"), MARKS, "")
    lower = pc.replace_substring_regex(pc.utf8_lower(column), APOSTROPHES, "")
    return pc.replace_substring_regex(lower, BETWEEN_WORDS, " ")


def without_empty(words: TextWords) -> TextWords:
    """A text without words splits into one empty word."""
    empty = np.array([not word for word in words.distinct], bool)
    if not empty.any():
        return words
    kept = ~empty[words.places]
    counts = np.concatenate([[0], np.cumsum(kept)])
    return TextWords(words.distinct, words.places[kept], counts[words.bounds])
