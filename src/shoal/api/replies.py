"""How an answer becomes bytes. Non-finite floats never leave: they turn into null."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import orjson
from fastapi import Response
from pydantic import BaseModel

from shoal.records.base import wire_time

__all__ = ["encode", "reply"]

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
