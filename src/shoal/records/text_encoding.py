"""What turns the texts of a collection's documents into vectors."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import Field

from shoal.records.base import Record

__all__ = ["EXTRACTOR", "TEXT_FIELDS", "VECTOR", "EncodingMark", "TextEncoding", "encoding_fields", "name_extractor"]

EXTRACTOR: Final = "text_extractor"
"""The name of the feature extractor that encodes texts."""
VECTOR: Final = "text_embedding"
"""The name of its vectors, unless the collection says otherwise."""
TEXT_FIELDS: Final = ("title", "subject", "text", "content", "body", "description", "message", "review", "comment")
"""The fields that are encoded where a collection names none; those that a document has, in this order."""
_MARKS: Final = "encodings"


class TextEncoding(Record):
    """The encoder of a collection: what encodes which fields, and into which vector."""

    encoder: str
    """The URI, one of those that the operator permits."""
    version: str | None = None
    """The encoder and its version, as documents record it; null for one that is fitted at each run."""
    vector_name: str = VECTOR
    feature_uri: str
    dimension: int = Field(ge=1)
    fields: list[str]


class EncodingMark(Record):
    """Which encoder made a vector of a document from which text; a document that brought the vector has none."""

    encoder: str
    text: str
    """A hash of the text."""

    @staticmethod
    def of(internal: Mapping[str, Any], vector: str) -> "EncodingMark | None":
        """Return the mark of a vector in a document's `_internal`."""
        mark = (internal.get(_MARKS) or {}).get(vector)
        return EncodingMark.model_validate(mark) if isinstance(mark, dict) else None

    @staticmethod
    def update(vector: str, mark: "EncodingMark | None") -> dict[str, Any]:
        """Return the change of a document's `_internal` that sets a mark, or removes it."""
        return {_MARKS: {vector: None if mark is None else mark.model_dump()}}


def name_extractor(encoder: str, fields: Sequence[str]) -> dict[str, Any]:
    """Return the feature extractor of a collection whose texts this encoder encodes; no fields: the usual ones."""
    mappings = {"input_mappings": {"text": list(fields)}} if fields else {}
    return {"feature_extractor_name": EXTRACTOR, "version": "v1", "params": {"encoder": encoder}, **mappings}


def encoding_fields(encoding: TextEncoding) -> list[str]:
    """Return the fields to load for `EncodingMark` and the text, the mark first."""
    return [f"_internal.{_MARKS}.{encoding.vector_name}", *encoding.fields]
