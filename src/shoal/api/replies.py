"""Serialization of answers to JSON. Non-finite floats become null."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from fastapi import Response
from pydantic import BaseModel

from shoal.records.base import Effect, format_wire_time
from shoal.records.clusters.cluster import Cluster
from shoal.records.task import Task

__all__ = ["encode", "limit_to_sent_fields", "redact_effect", "reply"]

_HINT: Final = re.compile(r" (Did you mean|There are:) .*", re.DOTALL)
_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATETIME


def reply(
    content: BaseModel | Mapping[str, object] | Sequence[object] | None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a JSON response; mappings and sequences may hold models, datetimes and NumPy arrays of finite numbers."""
    body = b"" if status == 204 else encode(content)
    media = None if status == 204 else "application/json"
    return Response(body, status, dict(headers or {}), media)


def encode(content: object) -> bytes:
    """Encode as JSON: times in UTC with milliseconds and `Z`, NaN and infinities as null."""
    if isinstance(content, BaseModel):
        return content.model_dump_json().encode()
    return orjson.dumps(content, _to_json, _OPTIONS)


def _to_json(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, datetime):
        return format_wire_time(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def limit_to_sent_fields(model: Any, answer: Response, sent: Any) -> Response:
    """Limit the answer to a change, for a key without the permission to read.

    What remains are the ids in the model of the resource (custom fields of documents may be called `…_id` too) and the
    fields that were sent, with the values that were sent, since stored ones may be merged with others. An `Effect`
    holds no stored content and is returned unchanged.
    """
    whole = isinstance(model, type) and issubclass(model, Effect)
    if whole or answer.media_type != "application/json" or answer.status_code >= 400:
        return answer
    stored = orjson.loads(answer.body)
    if not isinstance(stored, dict):
        return answer
    ids = {name for name in getattr(model, "model_fields", ()) if name.endswith("_id")}
    fields = sent if isinstance(sent, dict) else {}
    visible = {
        name: value if name in ids else fields[name] for name, value in stored.items() if name in ids or name in fields
    }
    return _with_body(answer, visible)


def redact_effect(model: Any, answer: Response) -> Response:
    """Redact the answer to a creation, a deletion or an action, for a key without the permission to read: results and
    errors of tasks, names of what was deleted, and suggested field names of documents."""
    if answer.media_type != "application/json" or answer.status_code >= 400 or not answer.body:
        return answer
    stored = orjson.loads(answer.body)
    if not isinstance(stored, dict):
        return answer
    replacements: dict[str, Any] = {}
    if model is Task:
        ids = {name: value for name, value in stored["additional_data"].items() if name.endswith("_id")}
        replacements = {"inputs": [], "outputs": [], "additional_data": ids, "error": None, "error_message": None}
    elif "deleted" in stored and "message" in stored:
        replacements = {"message": "It is deleted."}
    elif model is Cluster and stored.get("warnings"):
        replacements = {"warnings": [_HINT.sub("", warning) for warning in stored["warnings"]]}
    return _with_body(answer, {**stored, **replacements}) if replacements else answer


def _with_body(answer: Response, content: Mapping[str, object]) -> Response:
    headers = {name: text for name, text in answer.headers.items() if name not in ("content-length", "content-type")}
    return reply(content, answer.status_code, headers)
