"""Handlers run in a worker thread, where their arguments are resolved as well: one switch of threads a request, and no
store is called on the event loop.

Handlers that clients poll (`mark_polled`) are the exception. They read a record or two, which takes less time than the
switch, so they run on the event loop while the stores are local, and in a thread if a store is across a network.

A dependency that needs a store or the confirmed caller returns `Deferred`; the handler gets the value.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, Generic, TypeVar

from anyio.to_thread import run_sync
from starlette.requests import HTTPConnection

from shoal.api.callers.access import Access, Confirmed
from shoal.records.key import Permission

__all__ = ["Deferred", "mark_polled", "wrap_handler"]

T = TypeVar("T")
Handler = Callable[..., Any]
_POLLED: Final[set[Handler]] = set()

_CONNECTION: Final = "connection_"
"""The name of a parameter that no handler uses; FastAPI fills it in by its type."""


@dataclass(frozen=True, slots=True)
class Deferred(Generic[T]):
    """An argument that is resolved in the handler's thread, once the caller is confirmed."""

    resolve: Callable[[Confirmed], T]


def mark_polled(handler: Handler) -> Handler:
    """Mark a handler that clients poll, and that reads a few records by id and nothing else."""
    _POLLED.add(handler)
    return handler


def wrap_handler(handler: Handler, permission: Permission | None) -> Handler:
    """Wrap a handler so that the caller's permission is confirmed and deferred arguments are resolved before it runs.

    For a coroutine this happens in a thread, and the coroutine then runs on the event loop. A handler without a
    permission is returned unchanged.
    """
    if permission is None:
        return handler

    @wraps(handler)
    def resolve_and_call(**arguments: Any) -> Any:
        return handler(**_resolve(permission, arguments))

    wrapper: Handler = resolve_and_call  # which FastAPI calls in a thread
    if inspect.iscoroutinefunction(handler):

        @wraps(handler)
        async def wrapper(**arguments: Any) -> Any:
            return await handler(**await run_sync(_resolve, permission, arguments))
    elif handler in _POLLED:

        @wraps(handler)
        async def wrapper(**arguments: Any) -> Any:
            if arguments[_CONNECTION].app.state.services.stores.are_local:
                return resolve_and_call(**arguments)
            return await run_sync(lambda: resolve_and_call(**arguments))

    signature = inspect.signature(handler)
    connection_parameter = inspect.Parameter(_CONNECTION, inspect.Parameter.KEYWORD_ONLY, annotation=HTTPConnection)
    wrapper.__signature__ = signature.replace(parameters=[*signature.parameters.values(), connection_parameter])  # type: ignore[attr-defined]
    return wrapper


def _resolve(permission: Permission, arguments: dict[str, Any]) -> dict[str, Any]:
    connection: HTTPConnection = arguments.pop(_CONNECTION)
    access: Access = connection.app.state.access
    confirmed = access.confirm(connection, permission)
    return {
        name: value.resolve(confirmed) if isinstance(value, Deferred) else value for name, value in arguments.items()
    }
