"""The text of a document, joined from its fields."""

from collections.abc import Mapping, Sequence
from typing import Final

from shoal.labeling.text import LONGEST_READ, condense
from shoal.labeling.text_fields import text_parts

__all__ = ["document_text", "trim_payload", "whole_text"]

_BETWEEN: Final = "\n\n"
"""Separates fields and list items: no phrase spans an empty line."""


def document_text(values: Sequence[object]) -> str:
    """Join the strings and lists of strings among `values` with empty lines; other values are ignored.

    Texts of more than `LONGEST_READ` characters are condensed, which is all that naming reads.
    """
    return condense(_BETWEEN.join(text for value in values if (text := _text(value))))


def whole_text(values: Sequence[object]) -> str:
    """Join as `document_text` does, without cutting anything: what is encoded."""
    return _BETWEEN.join(part for value in values for part in text_parts(value))


def trim_payload(payload: Mapping[str, object]) -> dict[str, object]:
    """Condense each text of a payload, and empty lists without text.

    The choice of fields, and their text for naming, stay the same.
    """
    return {key: _trim(value) for key, value in payload.items()}


def _trim(value: object) -> object:
    if isinstance(value, Mapping):
        return trim_payload(value)
    if isinstance(value, (list, tuple)):
        return list(_shorten_parts(text_parts(value)))
    return _text(value) if isinstance(value, str) else value


def _shorten_parts(parts: Sequence[str]) -> Sequence[str]:
    """Return the parts of a list, or one condensed text if they are longer than naming reads."""
    if sum(len(part) + len(_BETWEEN) for part in parts) <= LONGEST_READ:
        return parts
    return [condense(_BETWEEN.join(parts)).strip()]


def _text(value: object) -> str:
    return condense(_BETWEEN.join(text_parts(value))).strip()
