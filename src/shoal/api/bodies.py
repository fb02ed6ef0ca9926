"""JSON bodies, read strictly: orjson instead of the standard library.

The standard parser takes NaN and Infinity, turns 1e999 into infinity, accepts lone surrogates and dies with a
RecursionError on deep nesting. A route that takes a pydantic model gets all of this right by being a `JsonRoute`:

    router = APIRouter(route_class=JsonRoute, tags=["namespaces"])

An absent body counts as `{}`, and the Content-Type is not insisted on, because both official clients are loose here.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeAlias, TypeVar

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Form
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.types import Scope as Connection

from shoal.errors import InvalidRequest

__all__ = ["MAX_DEPTH", "JsonRoute", "parse_json", "read_json", "validated"]

MAX_DEPTH: Final = 64
"""How deep lists and objects may be nested."""

_Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]
_CONTAINERS: Final = frozenset({dict, list})
_TOO_DEEP: Final = ("depth", "recursion", "allocate")
"""How orjson words more than its own 1,024 levels, by version and by kind of container."""

Model = TypeVar("Model", bound=BaseModel)


def parse_json(body: bytes) -> Any:
    """The value of a JSON text; an empty one is `{}`. Raises InvalidRequest with the line and column of the fault."""
    if not body.strip():
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _malformed(error) from None
    if _is_too_deep(value):
        raise InvalidRequest(f"The JSON body is nested more than {MAX_DEPTH} deep.", max_depth=MAX_DEPTH)
    return value


async def read_json(request: Request) -> Any:
    """The JSON body of a request, for handlers that take the request itself. Raises InvalidRequest, TooLarge."""
    return parse_json(await request.body())


def validated(model: type[Model], raw: Any) -> Model:
    """A body parsed by hand, checked as FastAPI checks the others. Raises RequestValidationError (422)."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from None


class JsonRoute(APIRoute):
    """A route whose body, where it takes one, was parsed by `parse_json` before FastAPI sees it."""

    def get_route_handler(self) -> _Handler:
        """The usual handler, handed a request that carries its parsed body."""
        handle = super().get_route_handler()
        if self.body_field is None or isinstance(self.body_field.field_info, Form):
            return handle
        return _strict(handle)


class _ParsedRequest(Request):
    """A request whose JSON is already there. FastAPI reads JSON only under a JSON content type, so it has one."""

    def __init__(self, request: Request, value: Any) -> None:
        super().__init__(_as_json(request.scope), request.receive)
        self._body = b"{}"  # FastAPI asks only whether there is a body, then calls json()
        self._value = value

    async def json(self) -> Any:
        return self._value


def _strict(handle: _Handler) -> _Handler:
    async def handler(request: Request) -> Response:
        value = await read_json(request)
        return await handle(_ParsedRequest(request, value))

    return handler


def _as_json(scope: Connection) -> Connection:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    kept = [header for header in headers if header[0] != b"content-type"]
    return {**scope, "headers": [*kept, (b"content-type", b"application/json")]}


def _is_too_deep(value: Any) -> bool:
    """Level by level. `isdisjoint` runs in C, so that a long vector costs no Python step per number."""
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        level = [child for container in level for child in _containers_in(container)]
        if not level:
            return False
    return True


def _containers_in(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    values = container.values() if isinstance(container, dict) else container
    if _CONTAINERS.isdisjoint(map(type, values)):
        return ()
    return [value for value in values if type(value) in _CONTAINERS]


def _malformed(error: orjson.JSONDecodeError) -> InvalidRequest:
    if any(word in error.msg.lower() for word in _TOO_DEEP):
        return InvalidRequest(f"The JSON body is nested more than {MAX_DEPTH} deep.", max_depth=MAX_DEPTH)
    problem = error.msg
    if error.doc[max(0, error.pos - 1) :].lstrip(" :,[-").startswith(("NaN", "Infinity")):
        problem = "NaN and Infinity are not JSON; leave the value out or send null"
    return InvalidRequest(
        f"The body is not valid JSON at line {error.lineno}, column {error.colno}: {problem}.",
        line=error.lineno,
        column=error.colno,
        problem=problem,
    )
