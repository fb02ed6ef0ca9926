"""Recognizes columns of text: what may be encoded where a file has no vectors."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from shoal.scripts import UNSPACED

__all__ = ["is_prose"]

_DEEPEST: Final = 4
_UNSPACED: Final = re.compile(rf"[{UNSPACED}]{{4}}")
"""Four characters in a row of a script without spaces."""


def is_prose(values: Iterable[object], depth: int = 1) -> bool:
    """Return whether at least half of the texts among `values` have several words, or of those of a key of objects."""
    values = [item for value in values for item in (value if isinstance(value, list) else (value,))]
    texts = [text for value in values if isinstance(value, str) and (text := value.strip())]
    several = sum(" " in text or _UNSPACED.search(text) is not None for text in texts)
    if texts and several >= len(texts) / 2:
        return True
    objects = [value for value in values if isinstance(value, Mapping)] if depth < _DEEPEST else []
    keys = dict.fromkeys(key for value in objects for key in value)
    return any(is_prose([value.get(key) for value in objects], depth + 1) for key in keys)
