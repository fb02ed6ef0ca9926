"""Checks of documents before anything is stored."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from shoal.errors import InvalidField
from shoal.records.documents.document import MAX_PAYLOAD_BYTES, check_fields, check_lineage, check_typed
from shoal.records.ids import check_id
from shoal.records.queries.filters import Condition, Filter
from shoal.storage.protocols.records import Json

__all__ = ["check_documents", "check_path", "check_unique_ids", "check_update", "encode_payload", "has_condition"]


def check_documents(documents: Sequence[object], *, needs_vectors: bool = True) -> list[Json]:
    """Check the documents of an upsert, except for their vectors, which may be missing where texts are encoded. Raises
    InvalidField."""
    required = ("document_id", "vectors") if needs_vectors else ("document_id",)
    return [_check_document(document, f"documents[{i}]", required) for i, document in enumerate(documents)]


def _check_document(document: object, path: str, required_fields: Sequence[str]) -> Json:
    if not isinstance(document, dict):
        raise InvalidField(path, "must be an object", value=document)
    for required in required_fields:
        if document.get(required) is None:
            raise InvalidField(f"{path}.{required}", "is required")
    for name in ("payload", "metadata"):
        if not isinstance(document.get(name), dict | None):
            raise InvalidField(f"{path}.{name}", "must be an object", value=document[name])
    if not isinstance((document.get("payload") or {}).get("metadata") or {}, dict) and document.get("metadata"):
        raise InvalidField(f"{path}.payload.metadata", "must be an object where metadata is given as well")
    check_lineage(document, path)
    check_typed(document, f"{path}.")
    check_typed(document.get("payload") or {}, f"{path}.payload.")
    return document


def check_unique_ids(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the ids of the documents of an upsert. Raises InvalidField for invalid and repeated ids."""
    first: dict[str, int] = {}
    for i, document in enumerate(documents):
        id = check_id(f"documents[{i}].document_id", document["document_id"])
        if first.setdefault(id, i) != i:
            raise InvalidField(
                f"documents[{i}].document_id",
                f"is the same as documents[{first[id]}].document_id",
                value=id,
                remedy="Send each document once.",
            )
    return list(first)


def check_update(update: Json, path: str) -> Json:
    """Return the fields of an update without reserved keys, so that an answer can be sent back unchanged. Raises
    InvalidField, also for vectors."""
    if "vectors" in update:
        remedy = "PATCH or PUT the document itself, or upsert it."
        raise InvalidField(f"{path}.vectors", "cannot be changed for many documents at once", remedy=remedy)
    fields = check_fields(update, f"{path}.")
    encode_payload(fields, path)
    return fields


def encode_payload(payload: Json, path: str) -> bytes:
    """Encode a payload as JSON. Raises InvalidField for one that is too large."""
    encoded = orjson.dumps(payload)
    if len(encoded) > MAX_PAYLOAD_BYTES:
        raise InvalidField(path, f"has {len(encoded):,} bytes of JSON, more than the {MAX_PAYLOAD_BYTES:,} allowed")
    return encoded


def has_condition(filter: Filter) -> bool:
    """Whether a filter contains a condition; empty groups match every document."""
    return isinstance(filter, Condition) or any(has_condition(member) for member in filter.members)


def check_path(field: str, path: str) -> None:
    """Raise InvalidField for an invalid dotted path; `field` names it in the error."""
    if not all(path.split(".")):
        raise InvalidField(field, "must be a dotted path without empty parts", value=path)
