"""Recognizes columns of text: what may be encoded where a file has no vectors."""

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["is_prose"]

_UNSPACED: Final = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]{4}")
"""Four characters in a row of a script without spaces: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""


def is_prose(values: Iterable[object]) -> bool:
    """Return whether at least half of the texts among `values` have several words."""
    texts = [text for value in values if isinstance(value, str) and (text := value.strip())]
    several = sum(" " in text or _UNSPACED.search(text) is not None for text in texts)
    return bool(texts) and several >= len(texts) / 2
