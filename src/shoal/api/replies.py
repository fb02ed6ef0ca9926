"""How an answer becomes bytes. Non-finite floats never leave: they turn into null."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from fastapi import Response
from pydantic import BaseModel

from shoal.records.base import Effect, wire_time

__all__ = ["encode", "reply", "shown_to_writer"]

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
        return wire_time(value)
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
    headers = {name: text for name, text in answer.headers.items() if name not in ("content-length", "content-type")}
    return reply(shown, answer.status_code, headers)
