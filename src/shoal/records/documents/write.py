"""Keyed writes of documents that are under way, or whose reply was not saved."""

from datetime import datetime

from shoal.records.base import Record

__all__ = ["DocumentWrite"]


class DocumentWrite(Record):
    """The intent of a request with an idempotency key to write documents.

    It is stored before the documents and goes in the transaction that saves the reply. A repetition of the request
    finds it and writes under the same name and with the same time, so that the document store does the write once.
    There is one for each key: another request under the key finds it, too, and is refused or replaces it.
    """

    schema_version: int = 1
    intent_id: str
    """A hash over the idempotency key."""
    request: str
    """A hash that identifies the request."""
    write_id: str
    """The name of the write in the document store; ids of new documents are made from it."""
    created_at: datetime
    """When the request first came: the time that its documents get."""
    held_since: datetime | None
    """When the request began, or began again; None once it has ended with an error."""
    noted: bool = False
    """Whether the rows of the audit log are written, by an attempt that failed after it had stored the documents."""
