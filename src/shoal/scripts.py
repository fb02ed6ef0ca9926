"""Scripts that are written without spaces between words, as the insides of character classes."""

import unicodedata
from collections.abc import Sequence
from itertools import groupby
from typing import Final

__all__ = ["ALONE", "KATAKANA", "MARK", "UNSPACED"]

UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""The blocks of Thai, Lao, Burmese, Khmer, Japanese and Chinese, with their digits and signs."""


def _write_ranges(characters: Sequence[int]) -> str:
    """Format ascending code points as the inside of a character class."""
    runs = [[c for _, c in run] for _, run in groupby(enumerate(characters), lambda pair: pair[1] - pair[0])]
    return "".join(f"\\U{run[0]:08x}-\\U{run[-1]:08x}" for run in runs)


MARK: Final = (
    _write_ranges([c for c in range(0x300, 0xFFFF) if unicodedata.category(chr(c))[0] == "M"]) + "\u200c\u200d"
)
"""Combining marks and joiners; the vowel signs of Hindi, Thai and Tamil are such, which \\w excludes."""
KATAKANA: Final = "\u30a1-\u30fa\u30fc-\u30ff"
ALONE: Final = (
    "\u3005\u3007\u3041-\u309f\u0e00-\u0e4f\u0e80-\u0ecf\u1000-\u103f\u1050-\u109f\u1780-\u17b3"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""The letters of `UNSPACED` other than katakana, which has words of its own."""
