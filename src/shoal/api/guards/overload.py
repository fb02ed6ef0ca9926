"""Admission control: a limited number of requests in progress, a queue behind them, and 503 for the rest.

A request takes its place when its body is complete and gives it back when the response begins, so that slow clients do
not delay others. Probes take no place.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from anyio.to_thread import current_default_thread_limiter
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from shoal import deadline
from shoal.api.errors import error_reply
from shoal.api.guards.limits import has_body, is_upload, organization_of, share
from shoal.api.idempotency import BODY
from shoal.errors import Overloaded
from shoal.intake import READERS, readers_needed
from shoal.permits import Permit, Permits
from shoal.settings import Settings

__all__ = ["Admission", "Gate"]

_WAITING: Final = 4
_WAIT_SECONDS: Final = 10.0
_MAX_LARGE: Final = 2
_LARGE_BYTES: Final = 2**20
_MAX_COUNTING: Final = 3
_COUNTING: Final = ("/documents/aggregate", "/documents/distinct")
"""Routes that may use more than 100 MiB of memory while they read."""
_SPARE_THREADS: Final = 16
_BUSY: Final = "The server has more requests than it can process. Retry in a moment."


class Admission:
    """ASGI middleware that answers 503 with Retry-After where `max_requests` are in progress and four times as many
    wait.

    At most two requests with large bodies are in progress, since each takes hundreds of megabytes. An admitted request
    has `request_seconds` from then on.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._most = max(1, settings.max_requests)
        self._seconds = settings.request_seconds
        self._gate = Gate(self._most, self._most * _WAITING)
        self._large = Gate(_MAX_LARGE, self._most * _WAITING)
        # One after the other they take no longer than in parallel, so they may wait as long as they might have taken.
        # An upload waits for its reader before it takes a place, which other requests of its organisation need.
        self._readers = Gate(READERS, self._most * _WAITING, self._seconds or _WAIT_SECONDS)
        self._permits = Permits()
        self._counting = Gate(_MAX_COUNTING, self._most * _WAITING, self._seconds or _WAIT_SECONDS)

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            # A thread for each place, and some for authentication, probes and chunks of uploads.
            current_default_thread_limiter().total_tokens = self._most + _SPARE_THREADS
        organization = organization_of(scope) if scope["type"] == "http" else None
        if organization is None:
            await self._app(scope, receive, send)
            return
        place, large = _Place(self._gate, organization), _Place(self._large, organization)
        counting = _Place(self._counting, organization)
        places = [counting, large, place]
        try:
            if is_upload(scope) and has_body(scope):
                reader = _Place(self._readers, organization)
                places.append(reader)
                await self._app(scope, _admit_after_upload(receive, reader, place), _until_answered(send, places))
                return  # without a deadline: an import takes as long as its file is large
            try:
                if len(scope["state"].get(BODY, b"")) > _LARGE_BYTES:
                    await large.acquire()
                if str(scope["path"]).endswith(_COUNTING):
                    await counting.acquire()
                await place.acquire()
            except Overloaded as error:
                await error_reply(error)(scope, receive, send)
                return
            permit = Permit(self._permits, organization)
            with deadline.within(0 if _is_unbounded_delete(scope) else self._seconds), permit.activate():
                await self._app(scope, receive, _until_answered(send, places, permit))
        finally:
            for held in places:
                held.release()


def _is_unbounded_delete(scope: Connection) -> bool:
    """Whether the request deletes a collection or a namespace, which may have any size: it has no deadline."""
    return scope["method"] == "DELETE" and not str(scope["path"]).endswith("/documents/batch")


class Gate:
    """A fair semaphore with `most` places and a queue of `waiting`, in order of arrival.

    An organisation may have three quarters of each, so that none can lock the others out. Used on the event loop only,
    so it needs no lock.
    """

    def __init__(self, most: int, waiting: int, timeout_s: float = _WAIT_SECONDS) -> None:
        self._most, self._most_waiting, self._timeout = most, waiting, timeout_s
        self._inside: Counter[str] = Counter()
        self._queue: dict[asyncio.Future[None], tuple[str, int]] = {}

    async def enter(self, organization: str, places: int = 1) -> None:
        """Wait for so many places. Raises Overloaded at once where the queue is full, else after `timeout_s`."""
        may_wait = self._may_wait(organization)
        waiter = asyncio.get_running_loop().create_future()
        self._queue[waiter] = organization, places
        self._admit()
        if waiter.done():
            return
        if not may_wait:
            del self._queue[waiter]
            raise Overloaded(_BUSY)
        try:
            async with asyncio.timeout(self._timeout):
                await waiter
        except BaseException as error:
            self._queue.pop(waiter, None)
            if waiter.done() and not waiter.cancelled():  # admitted at this very moment
                self.leave(organization, places)
            else:
                self._admit()  # those behind one that needed many
            if isinstance(error, TimeoutError):
                raise Overloaded(_BUSY) from None
            raise

    def leave(self, organization: str, places: int = 1) -> None:
        """Return the places, and admit the first in the queue that may have them."""
        self._inside[organization] -= places
        if not self._inside[organization]:
            del self._inside[organization]
        self._admit()

    def _admit(self) -> None:
        """Admit in order of arrival: none overtakes a request of the same organisation, nor one that only waits for
        enough free places."""
        blocked = set[str]()
        for waiter, (organization, places) in list(self._queue.items()):
            if waiter.done() or organization in blocked:
                continue
            if not self._has_places(organization, places):
                if self._inside[organization] + places <= share(self._most):
                    return
                blocked.add(organization)
                continue
            del self._queue[waiter]
            self._inside[organization] += places
            waiter.set_result(None)

    def _has_places(self, organization: str, places: int) -> bool:
        own = self._inside[organization] + places <= share(self._most)
        return own and self._inside.total() + places <= self._most

    def _may_wait(self, organization: str) -> bool:
        own = sum(waiting == organization for waiting, _ in self._queue.values())
        return len(self._queue) < self._most_waiting and own < share(self._most_waiting)


class _Place:
    """A request's places at a gate: acquired once, released once."""

    def __init__(self, gate: Gate, organization: str) -> None:
        self._gate, self._organization = gate, organization
        self._acquired = 0

    async def acquire(self, places: int = 1) -> None:
        await self._gate.enter(self._organization, places)
        self._acquired = places

    def release(self) -> None:
        if self._acquired:
            acquired, self._acquired = self._acquired, 0
            self._gate.leave(self._organization, acquired)


def _until_answered(send: Send, places: Sequence[_Place], permit: Permit | None = None) -> Send:
    """Wrap `send` to release places and permit when the response begins: a client that reads slowly holds none."""

    async def send_and_release(message: Message) -> None:
        if message["type"] == "http.response.start":
            for held in places:
                held.release()
            if permit is not None:
                permit.close()
        await send(message)

    return send_and_release


def _admit_after_upload(receive: Receive, reader: _Place, place: _Place) -> Receive:
    """Wrap `receive` to acquire a reader and a place when the last chunk of an upload has arrived. Raises Overloaded in
    the route that reads."""
    size, ended = 0, False

    async def receive_and_admit() -> Message:
        nonlocal size, ended
        message = await receive()
        size += len(message.get("body", b""))
        if not ended and message["type"] == "http.request" and not message.get("more_body", False):
            ended = True
            await reader.acquire(readers_needed(size))
            await place.acquire()
        return message

    return receive_and_admit
