"""JSON bodies of routes, parsed strictly and checked without keeping the event loop from other requests.

A route that takes a pydantic model gets this by being a `JsonRoute`, as those of a `Resource` are (`api/resource.py`).

An absent body counts as `{}`, and the Content-Type is not insisted on, because both official clients are loose here.
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

from shoal.api.guards.json_text import parse_json
from shoal.api.guards.rooms import ROOM, SMALL
from shoal.api.methods import HeadOnly, asks_for_head
from shoal.api.older_clients import for_older_client, is_older
from shoal.api.queries import check_query, query_names
from shoal.api.replies import effect_for_writer, shown_to_writer

__all__ = ["JsonRoute", "validated"]

_AT_ONCE: Final = 16 * 1024
"""Bytes of a body that are parsed and checked on the event loop: that takes less than a change of threads."""

_CHANGES: Final = frozenset({"PATCH", "PUT"})
_EFFECTS: Final = frozenset({"POST", "DELETE"})

Model = TypeVar("Model", bound=BaseModel)
_Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]


def validated(model: type[Model], raw: Any) -> Model:
    """A body parsed by hand, checked as FastAPI checks the others. Raises RequestValidationError (422)."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from None


class JsonRoute(APIRoute):
    """A route whose body, where it takes one, was parsed by `parse_json` and checked before FastAPI sees it. Parameters
    of the query that it does not know are refused, except by probes, which callers of all sorts decorate. Whoever may
    not read is answered a change without the rest of what is stored."""

    def get_route_handler(self) -> _Handler:
        """The usual handler, handed a request that carries its parsed body."""
        handle = super().get_route_handler()
        if self.body_field is not None and not isinstance(self.body_field.field_info, Form):
            handle = self._strict(handle)
        probe, known = "health" in self.tags, query_names(self.dependant)

        async def handler(request: Request) -> Response:
            if not probe:
                check_query(self.name, known, request)
            answer = await handle(request)
            if is_older(request):
                answer = for_older_client(self.response_model, answer)
            if request.method in _CHANGES and not request.state.caller.may("read"):
                sent = parse_json(await request.body(), getattr(request.state, ROOM, SMALL))
                answer = shown_to_writer(self.response_model, answer, sent)
            elif request.method in _EFFECTS and not probe and not request.state.caller.may("read"):
                answer = effect_for_writer(self.response_model, answer)
            return HeadOnly(answer) if asks_for_head(request) else answer

        return handler

    def _strict(self, handle: _Handler) -> _Handler:
        async def handler(request: Request) -> Response:
            body = await request.body()
            room = getattr(request.state, ROOM, SMALL)
            if len(body) <= _AT_ONCE:
                value = self._checked(parse_json(body, room))
            else:
                value = await run_sync(lambda: self._checked(parse_json(body, room)))
            return await handle(_ParsedRequest(request, value))

        return handler

    def _checked(self, value: Any) -> Any:
        """The body as its model, which FastAPI takes as it is. Raises RequestValidationError."""
        if self.body_field is None or self._embed_body_fields:
            return value
        checked, faults = self.body_field.validate(value, {}, loc=("body",))
        if faults:
            raise RequestValidationError(faults)
        return checked


class _ParsedRequest(Request):
    """A request whose JSON is already there. FastAPI reads JSON only under a JSON content type, so it has one."""

    def __init__(self, request: Request, value: Any) -> None:
        super().__init__(_as_json(request.scope), request.receive)
        self._body = b"{}"  # FastAPI asks only whether there is a body, then calls json()
        self._value = value

    async def json(self) -> Any:
        return self._value


def _as_json(scope: Connection) -> Connection:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    kept = [header for header in headers if header[0] != b"content-type"]
    return {**scope, "headers": [*kept, (b"content-type", b"application/json")]}
