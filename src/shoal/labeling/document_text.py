"""What the fields of a document say, as one text."""

from collections.abc import Mapping, Sequence
from typing import Final

from shoal.labeling.text import LONGEST_READ, excerpt
from shoal.labeling.text_fields import text_parts

__all__ = ["document_text", "trimmed"]

_BETWEEN: Final = "\n\n"
"""Between fields, and between the items of a list: no phrase goes on beyond an empty line."""


def document_text(values: Sequence[object]) -> str:
    """The strings and lists of strings among `values` as one text, parts between empty lines; anything else is passed
    over. Of more than `LONGEST_READ` characters an excerpt is left, which is all that naming looks at."""
    return excerpt(_BETWEEN.join(text for value in values if (text := _text(value))), LONGEST_READ)


def trimmed(payload: Mapping[str, object]) -> dict[str, object]:
    """The payload with an excerpt of each text and empty lists for lists of anything but text: the same fields are
    chosen of it, and they say the same."""
    return {key: _trimmed(value) for key, value in payload.items()}


def _trimmed(value: object) -> object:
    if isinstance(value, Mapping):
        return trimmed(value)
    if isinstance(value, (list, tuple)):
        return list(_kept(text_parts(value)))
    return _text(value) if isinstance(value, str) else value


def _kept(parts: Sequence[str]) -> Sequence[str]:
    """The parts of a list, or one excerpt where they are more than is looked at."""
    if sum(len(part) + len(_BETWEEN) for part in parts) <= LONGEST_READ:
        return parts
    return [excerpt(_BETWEEN.join(parts), LONGEST_READ).strip()]


def _text(value: object) -> str:
    return excerpt(_BETWEEN.join(text_parts(value)), LONGEST_READ).strip()
