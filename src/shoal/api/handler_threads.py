"""Handlers run in a thread, and what they ask of the stores for their arguments is asked there: one change of threads
a request, and no call of a store on the event loop, however long it takes.

A dependency that needs a store, or the caller as confirmed, returns `Later`; the handler gets the value.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, Generic, TypeVar

from anyio.to_thread import run_sync
from starlette.requests import HTTPConnection

from shoal.api.callers.access import Access, Confirmed
from shoal.records.key import Permission

__all__ = ["Later", "in_handler_thread"]

T = TypeVar("T")
Handler = Callable[..., Any]

_CONNECTION: Final = "connection_"
"""A parameter that no handler has; FastAPI fills it by its type."""


@dataclass(frozen=True, slots=True)
class Later(Generic[T]):
    """An argument of a handler that is made in its thread, once the caller is confirmed."""

    make: Callable[[Confirmed], T]


def in_handler_thread(handler: Handler, permission: Permission | None) -> Handler:
    """The handler of a route, with the caller confirmed to have the permission, and its arguments made first. A
    coroutine has them made in a thread and then goes on by itself. Without a permission it is simply called."""
    if permission is None:
        return handler
    if inspect.iscoroutinefunction(handler):

        @wraps(handler)
        async def prepared(**given: Any) -> Any:
            connection: HTTPConnection = given.pop(_CONNECTION)
            return await handler(**await run_sync(_arguments, connection, permission, given))
    else:

        @wraps(handler)
        def prepared(**given: Any) -> Any:
            connection: HTTPConnection = given.pop(_CONNECTION)
            return handler(**_arguments(connection, permission, given))

    signature = inspect.signature(handler)
    added = inspect.Parameter(_CONNECTION, inspect.Parameter.KEYWORD_ONLY, annotation=HTTPConnection)
    prepared.__signature__ = signature.replace(parameters=[*signature.parameters.values(), added])  # type: ignore[attr-defined]
    return prepared


def _arguments(connection: HTTPConnection, permission: Permission, given: Mapping[str, Any]) -> dict[str, Any]:
    access: Access = connection.app.state.access
    confirmed = access.confirm(connection, permission)
    return {name: value.make(confirmed) if isinstance(value, Later) else value for name, value in given.items()}
