"""How many requests are worked on at once. A few more wait for their turn; the rest is told at once to come back.

A place is taken when the body is there and given back when the answer begins, so that clients that send or read slowly
keep nobody waiting. Probes take no place.
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
_PATIENCE_SECONDS: Final = 10.0
_MOST_LARGE: Final = 2
_LARGE_BYTES: Final = 2**20
_MOST_COUNTING: Final = 3
_COUNTING: Final = ("/documents/aggregate", "/documents/distinct")
"""Routes that may keep more than 100 MiB in memory while they read."""
_SPARE_THREADS: Final = 16
_BUSY: Final = "The server has more requests than it can work on. Send this one again in a moment."


class Admission:
    """503 with Retry-After where `max_requests` are worked on and four times as many wait. Of large bodies two are
    worked on, since each takes hundreds of megabytes. What is let in has `request_seconds` from then on."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._most = max(1, settings.max_requests)
        self._seconds = settings.request_seconds
        self._gate = Gate(self._most, self._most * _WAITING)
        self._of_large = Gate(_MOST_LARGE, self._most * _WAITING)
        # One after another they take no longer than side by side, so they wait as long as they might have taken.
        # An upload waits for its reader before it takes a place, which others of its organisation need.
        self._of_readers = Gate(READERS, self._most * _WAITING, self._seconds or _PATIENCE_SECONDS)
        self._permits = Permits()
        self._of_counting = Gate(_MOST_COUNTING, self._most * _WAITING, self._seconds or _PATIENCE_SECONDS)

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            # A thread for each place, and some for keys, probes and pieces of uploads.
            current_default_thread_limiter().total_tokens = self._most + _SPARE_THREADS
        organization = organization_of(scope) if scope["type"] == "http" else None
        if organization is None:
            await self._app(scope, receive, send)
            return
        place, large = _Place(self._gate, organization), _Place(self._of_large, organization)
        counting = _Place(self._of_counting, organization)
        places = [counting, large, place]
        try:
            if is_upload(scope) and has_body(scope):
                reader = _Place(self._of_readers, organization)
                places.append(reader)
                await self._app(scope, _taken_after(receive, reader, place), _until_answered(send, places))
                return  # as long as the file is large
            try:
                if len(scope["state"].get(BODY, b"")) > _LARGE_BYTES:
                    await large.take()
                if str(scope["path"]).endswith(_COUNTING):
                    await counting.take()
                await place.take()
            except Overloaded as error:
                await error_reply(error)(scope, receive, send)
                return
            permit = Permit(self._permits, organization)
            with deadline.within(0 if _removes_a_whole(scope) else self._seconds), permit.activate():
                await self._app(scope, receive, _until_answered(send, places, permit))
        finally:
            for one in places:
                one.leave()


def _removes_a_whole(scope: Connection) -> bool:
    """A collection or a namespace may be of any size, and must always be possible to remove."""
    return scope["method"] == "DELETE" and not str(scope["path"]).endswith("/documents/batch")


class Gate:
    """Lets `most` in at once and keeps `waiting` in line, in the order of arrival; an organisation may have three
    quarters of each, so that none can keep the others out. Lives on the event loop, so it needs no lock."""

    def __init__(self, most: int, waiting: int, patience_s: float = _PATIENCE_SECONDS) -> None:
        self._most, self._most_waiting, self._patience = most, waiting, patience_s
        self._inside: Counter[str] = Counter()
        self._line: dict[asyncio.Future[None], tuple[str, int]] = {}

    async def enter(self, organization: str, places: int = 1) -> None:
        """Returns when there is room for so many places. Raises Overloaded at once where the line is full, else after
        `patience_s`."""
        may_wait = self._may_wait(organization)
        turn = asyncio.get_running_loop().create_future()
        self._line[turn] = organization, places
        self._let_in()
        if turn.done():
            return
        if not may_wait:
            del self._line[turn]
            raise Overloaded(_BUSY)
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            self._line.pop(turn, None)
            if turn.done() and not turn.cancelled():  # let in at this very moment
                self.leave(organization, places)
            else:
                self._let_in()  # those behind one that wanted many
            if isinstance(error, TimeoutError):
                raise Overloaded(_BUSY) from None
            raise

    def leave(self, organization: str, places: int = 1) -> None:
        """Give the places to the first in line that may have them."""
        self._inside[organization] -= places
        if not self._inside[organization]:
            del self._inside[organization]
        self._let_in()

    def _let_in(self) -> None:
        """In the order of arrival: nobody passes one of the same organisation, nor one that only has to wait until
        there are enough places."""
        late = set[str]()
        for turn, (waiting, places) in list(self._line.items()):
            if turn.done() or waiting in late:
                continue
            if not self._has_room(waiting, places):
                if self._inside[waiting] + places <= share(self._most):
                    return
                late.add(waiting)
                continue
            del self._line[turn]
            self._inside[waiting] += places
            turn.set_result(None)

    def _has_room(self, organization: str, places: int) -> bool:
        theirs = self._inside[organization] + places <= share(self._most)
        return theirs and self._inside.total() + places <= self._most

    def _may_wait(self, organization: str) -> bool:
        theirs = sum(waiting == organization for waiting, _ in self._line.values())
        return len(self._line) < self._most_waiting and theirs < share(self._most_waiting)


class _Place:
    """A request's place at the gate, or several; taken once, given back once."""

    def __init__(self, gate: Gate, organization: str) -> None:
        self._gate, self._organization = gate, organization
        self._taken = 0

    async def take(self, places: int = 1) -> None:
        await self._gate.enter(self._organization, places)
        self._taken = places

    def leave(self) -> None:
        if self._taken:
            taken, self._taken = self._taken, 0
            self._gate.leave(self._organization, taken)


def _until_answered(send: Send, places: Sequence[_Place], permit: Permit | None = None) -> Send:
    """Release places and permit when the answer begins: a client that reads slowly holds nothing."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            for place in places:
                place.leave()
            if permit is not None:
                permit.close()
        await send(message)

    return sent


def _taken_after(receive: Receive, reader: _Place, place: _Place) -> Receive:
    """Takes a reader's place and one of all when the last piece of an upload is there. Raises Overloaded where the
    route reads."""
    seen, ended = 0, False

    async def received() -> Message:
        nonlocal seen, ended
        message = await receive()
        seen += len(message.get("body", b""))
        if not ended and message["type"] == "http.request" and not message.get("more_body", False):
            ended = True
            await reader.take(readers_needed(seen))
            await place.take()
        return message

    return received
