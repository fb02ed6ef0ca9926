"""Where the label of a cluster comes from, and the documents that stand for it."""

from typing import Literal

from shoal.records.base import Record

__all__ = ["LabelSource", "Representative"]

LabelSource = Literal["words", "value", "number", "model", "person"]
"""Where a label comes from: words of the documents, their values, a number, a language model, or a person."""


class Representative(Record):
    """A document that stands for its cluster."""

    document_id: str
    collection_id: str | None = None
