"""The mapping of errors to responses (contract.md#errors), and the outermost layer, which turns a bug into a plain 500.

Every error response has the body `{"success": false, "status": n, "error": {"message", "type", "code", "details"}}`.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from shoal import errors
from shoal.api.methods import find_allowed_methods
from shoal.api.replies import reply
from shoal.durable import disk_error, is_disk_error
from shoal.errors import ShoalError, shorten
from shoal.records.key import Caller

__all__ = [
    "ERRORS",
    "ErrorBoundary",
    "ErrorResponse",
    "Wire",
    "error_reply",
    "find_wire",
    "handle_errors",
    "method_not_allowed",
    "unknown_route",
]

_log = logging.getLogger("shoal.api")


@dataclass(frozen=True, slots=True)
class Wire:
    """Status, type and code of an error on the wire."""

    status: int
    type: str
    code: str


ERRORS: Final[Mapping[type[ShoalError], Wire]] = MappingProxyType(
    {
        errors.InvalidField: Wire(422, "ValidationError", "invalid_field"),
        errors.InvalidRequest: Wire(400, "BadRequestError", "invalid_request"),
        errors.Unauthorized: Wire(401, "UnauthorizedError", "unauthorized"),
        errors.Forbidden: Wire(403, "ForbiddenError", "forbidden"),
        errors.NotFound: Wire(404, "NotFoundError", "not_found"),
        errors.AlreadyExists: Wire(409, "AlreadyExistsError", "already_exists"),
        errors.KeyReused: Wire(409, "AlreadyExistsError", "idempotency_key_reused"),
        errors.StaleVersion: Wire(409, "ConflictError", "stale_version"),
        errors.Conflict: Wire(409, "ConflictError", "conflict"),
        errors.TooLarge: Wire(413, "PayloadTooLargeError", "too_large"),
        errors.TooSlow: Wire(408, "RequestTimeoutError", "request_timeout"),
        errors.RateLimited: Wire(429, "TooManyRequestsError", "rate_limited"),
        errors.QueueFull: Wire(429, "TooManyRequestsError", "queue_full"),
        errors.Overloaded: Wire(503, "ServiceUnavailableError", "overloaded"),
        errors.Contended: Wire(503, "ServiceUnavailableError", "contended"),
        errors.OutOfTime: Wire(503, "ServiceUnavailableError", "out_of_time"),
        errors.Unavailable: Wire(503, "ServiceUnavailableError", "unavailable"),
        errors.InsufficientStorage: Wire(507, "InsufficientStorageError", "insufficient_storage"),
        errors.Corrupt: Wire(500, "StorageError", "corrupt"),
        errors.Cancelled: Wire(409, "ConflictError", "cancelled"),
        errors.EncoderFailed: Wire(500, "ProcessingError", "encoder_failed"),
        errors.RunFailed: Wire(500, "ProcessingError", "run_failed"),
        ShoalError: Wire(500, "InternalServerError", "internal_error"),
    }
)

_BY_STATUS: Final[Mapping[int, str]] = MappingProxyType(
    {wire.status: wire.type for wire in reversed(list(ERRORS.values()))} | {405: "MethodNotAllowedError"}
)
_INTERNAL_ERROR: Final = "Something went wrong inside Shoal. The log has the details under this request id."
_UNSUPPORTED: Final = frozenset(
    {
        "agents", "alerts", "analytics", "annotations", "billing", "evaluations", "manifests", "marketplace", "models",
        "plugins", "retrievers", "snapshots", "syncs", "taxonomies", "templates", "uploads", "usage", "webhooks",
    }
)  # fmt: skip
_PLANNED: Final = frozenset({"taxonomies", "templates", "triggers", "webhooks"})
_MAX_FAULTS: Final = 20


class ErrorDetail(BaseModel):
    """The `error` object of an error response."""

    message: str
    type: str
    code: str | None = None
    details: dict[str, Any] | None = None


class ErrorResponse(BaseModel):
    """The body of every error response."""

    success: bool = False
    status: int
    error: ErrorDetail


def find_wire(error: type[ShoalError]) -> Wire:
    """Return the entry of the nearest ancestor in the table, so that a new error class is covered from the start."""
    return next(ERRORS[kind] for kind in error.__mro__ if kind in ERRORS)


def error_reply(error: ShoalError) -> Response:
    """Return the response for an error that Shoal raised deliberately."""
    wire = find_wire(type(error))
    details = {key: value for key, value in error.details.items() if value is not None}
    if isinstance(error, errors.InvalidField):
        fault = {"type": "invalid_field", "location": [error.field], "message": error.problem}
        details["validation_errors"] = [fault]
    headers = {}
    if wire.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if wire.status in (408, 413):
        headers["Connection"] = "close"  # the rest of the body will not be read
    if "retry_after_seconds" in details:
        headers["Retry-After"] = str(details["retry_after_seconds"])
    return _reply(wire, error.message, details, headers)


def handle_errors(app: FastAPI) -> None:
    """Register the exception handlers on the application."""
    app.exception_handler(ShoalError)(_on_shoal_error)
    app.exception_handler(RequestValidationError)(_on_invalid)
    app.exception_handler(HTTPException)(_on_http)
    app.exception_handler(ClientDisconnect)(_on_disconnect)


class ErrorBoundary:
    """ASGI middleware that lets no exception through: a full disk is a 507, a failing one a 503, anything else a 500
    without details."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def track_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, track_start)
        except Exception as error:  # noqa: BLE001  # the one place that catches every bug: logged, never shown
            request_id = scope["state"]["request_id"]
            if isinstance(error, OSError) and is_disk_error(error):
                answer = error_reply(disk_error(error, "The disk failed this request"))
                _log.error("Request %s: the disk failed: %s", request_id, error.strerror)
            else:
                answer = _internal_error_reply(request_id)
                _log.exception("Request %s failed: %s %r", request_id, scope["method"], scope["path"])
            if not started:
                await answer(scope, receive, track_start)


async def _on_shoal_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ShoalError)
    if find_wire(type(error)).status >= 500 and not isinstance(error, (errors.Overloaded, errors.OutOfTime)):
        trace = None if isinstance(error, errors.Corrupt) else error  # expected, not a bug in Shoal
        _log.error("Request %s: %s", request.state.request_id, error.message, exc_info=trace)
    return error_reply(_with_suggestion(request, error) if isinstance(error, errors.NotFound) else error)


def _with_suggestion(request: Request, error: errors.NotFound) -> errors.ShoalError:
    """Return the error with the most similar name, where the caller may read it."""
    caller: Caller | None = getattr(request.state, "caller", None)
    if error.near is None or caller is None or not caller.may("read"):
        return error
    hint = f"Did you mean {shorten(error.near)}?"
    hinted = errors.NotFound(str(error.details["resource"]), str(error.details["id"]), hint)
    hinted.details = {**error.details, "did_you_mean": error.near}
    return hinted


async def _on_invalid(request: Request, error: Exception) -> Response:
    """Respond to failed validation: the first fault in the message, up to 20 in the details."""
    assert isinstance(error, RequestValidationError)
    faults: Sequence[Mapping[str, Any]] = [_locate_at_key(fault) for fault in error.errors()]
    shown = [
        {"type": fault["type"], "location": list(fault["loc"]), "message": _format_problem(fault)[:300]}
        for fault in faults[:_MAX_FAULTS]
    ]
    details = {"validation_errors": shown, "error_count": len(faults)}
    return _reply(Wire(422, "ValidationError", "invalid_field"), _format_sentence(faults[0]), details)


async def _on_http(request: Request, error: Exception) -> Response:
    """Respond to what the framework rejects: unknown routes and methods."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404 or (error.status_code == 405 and _find_planned(request.url.path)):
        return unknown_route(request.method, request.url.path)
    if error.status_code == 405:
        return method_not_allowed(request.method, find_allowed_methods(request.app, request.scope))
    return _reply(_framework_wire(error.status_code), str(error.detail), {}, error.headers)


def unknown_route(method: str, path: str) -> Response:
    """Return 404 for an unknown path, with a note where the resource is planned for a later version."""
    if planned := _find_planned(path):
        message = f"{planned.capitalize()} are planned for a later version of Shoal."
        return _reply(
            find_wire(errors.NotFound), message, {"resource": planned, "hint": "docs/http.md lists what there is."}
        )
    message = f"There is no route {method} {shorten(path)}."
    return _reply(_framework_wire(404), message, {"hint": _hint(path)})


def method_not_allowed(method: str, allowed: Sequence[str]) -> Response:
    """Return 405 with the allowed methods."""
    allow = ", ".join(allowed)
    return _reply(_framework_wire(405), f"{method} is not allowed here.", {"allow": allow}, {"Allow": allow})


def _framework_wire(status: int) -> Wire:
    return Wire(status, _BY_STATUS.get(status, "BadRequestError"), _find_code(status))


async def _on_disconnect(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # the client is gone; not a bug, so no trace


def _internal_error_reply(request_id: str) -> Response:
    return _reply(Wire(500, "InternalServerError", "internal_error"), _INTERNAL_ERROR, {"request_id": request_id})


def _reply(
    wire: Wire, message: str, details: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Response:
    error = {"message": message, "type": wire.type, "code": wire.code, "details": dict(details) or None}
    return reply({"success": False, "status": wire.status, "error": error}, wire.status, headers)


def _find_code(status: int) -> str:
    return {404: "unknown_route", 405: "method_not_allowed"}.get(status, "invalid_request")


def _hint(path: str) -> str:
    parts = list(filter(None, path.removeprefix("/api").removeprefix("/v1").split("/")))
    if parts and parts[0] in _UNSUPPORTED:
        return f"{parts[0]!r} is not part of Shoal. GET /openapi.json lists every route there is."
    if parts[:1] == ["v1"]:
        return "/v1 occurs twice: leave it out of the host or base URL, as in http://127.0.0.1:8000."
    return "Routes start with /v1; GET /openapi.json lists them all."


def _find_planned(path: str) -> str | None:
    """Return the planned resource that a path belongs to, None where there is none."""
    parts = [part for part in path.split("/") if part not in ("", "v1", "api")]
    segment = parts[1:2] if parts[:1] in (["clusters"], ["organizations"]) else parts[:1]
    if not segment or segment[0] not in _PLANNED:
        return None
    return segment[0] if parts[0] != segment[0] or segment[0] in _UNSUPPORTED else None


def _locate_at_key(fault: Mapping[str, Any]) -> Mapping[str, Any]:
    """Move a fault about one key of a body (`records/base.py`) from the whole body to that key."""
    context = fault.get("ctx") or {}
    if "key" not in context:
        return fault
    return {**fault, "loc": (*fault["loc"], context["key"]), "input": context.get("value")}


def _format_problem(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "missing":
        return "is required"
    return str(fault["msg"]).replace("Input should be", "must be").removeprefix("Value error, ")


def _format_sentence(fault: Mapping[str, Any]) -> str:
    field = _format_path(fault["loc"][1:]) or str(fault["loc"][0])
    if fault["type"] == "missing":
        return f"{field}: is required. Add it to the {'request body' if fault['loc'][0] == 'body' else 'request'}."
    if fault["type"] in ("extra_forbidden", "required"):  # Shoal's own messages, which list every key
        problem = _format_problem(fault)
        return f"{field}: {problem.removesuffix('.')}" + ("" if problem.endswith("?") else ".")
    return f"{field}: {_format_problem(fault)[:300]}, got {shorten(fault.get('input'))}.{_suggest_choice(fault)}"


def _suggest_choice(fault: Mapping[str, Any]) -> str:
    """Return a hint with the allowed word that is most similar to the value."""
    value = fault.get("input")
    if fault["type"] != "literal_error" or not isinstance(value, str):
        return ""
    words = re.findall(r"'([^']*)'", str((fault.get("ctx") or {}).get("expected", "")))
    near = get_close_matches(value.casefold(), words, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _format_path(location: Sequence[str | int]) -> str:
    """Format a location: `("documents", 3, "vectors")` as `documents[3].vectors`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
