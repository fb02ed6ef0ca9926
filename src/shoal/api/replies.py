"""How an answer becomes bytes. Non-finite floats never leave: they turn into null."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from fastapi import Response
from pydantic import BaseModel

from shoal.records.base import Effect, format_wire_time
from shoal.records.cluster import Cluster
from shoal.records.task import Task

__all__ = ["effect_for_writer", "encode", "reply", "shown_to_writer"]

_HINT: Final = re.compile(r" (Did you mean|There are:) .*", re.DOTALL)
_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATETIME


def reply(
    content: BaseModel | Mapping[str, object] | Sequence[object] | None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A JSON answer; mappings and sequences may hold models, datetimes and NumPy arrays of finite numbers."""
    body = b"" if status == 204 else encode(content)
    media = None if status == 204 else "application/json"
    return Response(body, status, dict(headers or {}), media)


def encode(content: object) -> bytes:
    """JSON bytes; times as UTC with milliseconds and `Z`, NaN and infinities as null."""
    if isinstance(content, BaseModel):
        return content.model_dump_json().encode()
    return orjson.dumps(content, _plain, _OPTIONS)


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, datetime):
        return format_wire_time(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def shown_to_writer(model: Any, answer: Response, sent: Any) -> Response:
    """The answer to a change, for a key that may not read what is stored: the ids that the resource has by its model
    (own fields of documents may be called `…_id` too), and the fields that were sent, with the values that were sent,
    which may have been merged into others. An `Effect` shows nothing stored and stays whole."""
    whole = isinstance(model, type) and issubclass(model, Effect)
    if whole or answer.media_type != "application/json" or answer.status_code >= 400:
        return answer
    stored = orjson.loads(answer.body)
    if not isinstance(stored, dict):
        return answer
    ids = {name for name in getattr(model, "model_fields", ()) if name.endswith("_id")}
    given = sent if isinstance(sent, dict) else {}
    shown = {
        name: value if name in ids else given[name] for name, value in stored.items() if name in ids or name in given
    }
    return _with_body(answer, shown)


def effect_for_writer(model: Any, answer: Response) -> Response:
    """The answer to a creation, a removal or a call to act, for a key that may not read what is stored: of a task its
    ids and its state and nothing of what it found or failed of, no names of what was removed, and no fields of
    documents that were meant instead of those sent."""
    if answer.media_type != "application/json" or answer.status_code >= 400 or not answer.body:
        return answer
    stored = orjson.loads(answer.body)
    if not isinstance(stored, dict):
        return answer
    hidden: dict[str, Any] = {}
    if model is Task:
        about = {name: value for name, value in stored["additional_data"].items() if name.endswith("_id")}
        hidden = {"inputs": [], "outputs": [], "additional_data": about, "error": None, "error_message": None}
    elif "deleted" in stored and "message" in stored:
        hidden = {"message": "It is deleted."}
    elif model is Cluster and stored.get("warnings"):
        hidden = {"warnings": [_HINT.sub("", warning) for warning in stored["warnings"]]}
    return _with_body(answer, {**stored, **hidden}) if hidden else answer


def _with_body(answer: Response, content: Mapping[str, object]) -> Response:
    headers = {name: text for name, text in answer.headers.items() if name not in ("content-length", "content-type")}
    return reply(content, answer.status_code, headers)
