"""JSON bodies of routes, parsed strictly and validated without blocking the event loop.

Every route of a `Resource` (`api/resource.py`) is a `JsonRoute`.

An absent body counts as `{}`, and any Content-Type is accepted, because both official clients are lax about these.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeAlias, TypeVar

from anyio.to_thread import run_sync
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Form
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.types import Scope as Connection

from shoal.api.guards.body_quota import QUOTA, SMALL_QUOTA
from shoal.api.guards.json_text import parse_json
from shoal.api.methods import HeadOnly, is_head_request
from shoal.api.older_clients import adapt_for_older_client, is_older
from shoal.api.queries import check_query, query_names
from shoal.api.replies import limit_to_sent_fields, redact_effect

__all__ = ["JsonRoute", "validate_body"]

_INLINE_BYTES: Final = 16 * 1024
"""The largest body that is parsed on the event loop: up to this size that is cheaper than a switch of threads."""

_CHANGES: Final = frozenset({"PATCH", "PUT"})
_EFFECTS: Final = frozenset({"POST", "DELETE"})

Model = TypeVar("Model", bound=BaseModel)
_Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]


def validate_body(model: type[Model], raw: Any) -> Model:
    """Validate a parsed body as FastAPI would. Raises RequestValidationError (422)."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from None


class JsonRoute(APIRoute):
    """A route whose JSON body is parsed by `parse_json` and validated before FastAPI sees it.

    Unknown query parameters are rejected, except by probes, to which load balancers add their own. Where the key lacks
    the permission to read, the answer to a change is limited to what the caller sent.
    """

    def get_route_handler(self) -> _Handler:
        """Return the handler of the base class, called with a request that carries its parsed body."""
        handle = super().get_route_handler()
        if self.body_field is not None and not isinstance(self.body_field.field_info, Form):
            handle = self._parse_strictly(handle)
        probe, parameters = "health" in self.tags, query_names(self.dependant)

        async def handler(request: Request) -> Response:
            if not probe:
                check_query(self.name, parameters, request)
            answer = await handle(request)
            if is_older(request):
                answer = adapt_for_older_client(self.response_model, answer)
            if request.method in _CHANGES and not request.state.caller.may("read"):
                body = parse_json(await request.body(), getattr(request.state, QUOTA, SMALL_QUOTA))
                answer = limit_to_sent_fields(self.response_model, answer, body)
            elif request.method in _EFFECTS and not probe and not request.state.caller.may("read"):
                answer = redact_effect(self.response_model, answer)
            return HeadOnly(answer) if is_head_request(request) else answer

        return handler

    def _parse_strictly(self, handle: _Handler) -> _Handler:
        async def handler(request: Request) -> Response:
            body = await request.body()
            quota = getattr(request.state, QUOTA, SMALL_QUOTA)
            if len(body) <= _INLINE_BYTES:
                value = self._validate(parse_json(body, quota))
            else:
                value = await run_sync(lambda: self._validate(parse_json(body, quota)))
            return await handle(_ParsedRequest(request, value))

        return handler

    def _validate(self, value: Any) -> Any:
        """Return the body as its model, which FastAPI accepts unchanged. Raises RequestValidationError."""
        if self.body_field is None or self._embed_body_fields:
            return value
        parsed, faults = self.body_field.validate(value, {}, loc=("body",))
        if faults:
            raise RequestValidationError(faults)
        return parsed


class _ParsedRequest(Request):
    """A request with a parsed JSON body, and a JSON content type, without which FastAPI ignores the body."""

    def __init__(self, request: Request, value: Any) -> None:
        super().__init__(_with_json_type(request.scope), request.receive)
        self._body = b"{}"  # FastAPI only tests whether there is a body, then calls json()
        self._value = value

    async def json(self) -> Any:
        return self._value


def _with_json_type(scope: Connection) -> Connection:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    others = [header for header in headers if header[0] != b"content-type"]
    return {**scope, "headers": [*others, (b"content-type", b"application/json")]}
