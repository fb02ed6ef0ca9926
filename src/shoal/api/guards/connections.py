"""Connections: how many there may be, and how long one may say nothing. Uvicorn itself waits for ever for the end of a
request's head, and takes connections until the process has no file left for them, which locks everybody out."""

import asyncio
import logging
import resource
import time
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

__all__ = ["Crowd", "most_connections", "raise_file_limit", "timed_connections"]

_MOST: Final = 8192
_MOST_AWAY: Final = 64
_FAREWELL_SECONDS: Final = 1.0
_TELL_EVERY_SECONDS: Final = 60.0
_BODY: Final = b'{"success":false,"status":503,"error":{"message":"The server has as many connections as it can hold. \
Try again in a moment.","type":"ServiceUnavailableError","code":"overloaded","details":{"retryable":true}}}'
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\nRetry-After: 1\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)
_log = logging.getLogger("shoal.connections")


def raise_file_limit() -> int:
    """Let this process open as many files as the system allows it. Returns how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # macOS names a hard limit that it does not grant
            return soft
    return hard if hard != resource.RLIM_INFINITY else 2**20


def most_connections(wanted: int) -> int:
    """How many connections fit beside the files of the stores: `wanted`, or as many as are sensible where that is 0,
    and at most half of the files this process may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _MOST * 2 if files == resource.RLIM_INFINITY else files
    return max(16, min(wanted or _MOST, files // 2))


class Crowd:
    """All connections of a server, at most `most`. One more and the connection that has been idle for longest is
    closed; where none is idle, the new one is answered with 503. Lives on the event loop, so it needs no lock."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._all: set[Connection] = set()
        self._idle: dict[Connection, None] = {}
        self._away: set[Connection] = set()
        self._told = -_TELL_EVERY_SECONDS

    def __contains__(self, connection: object) -> bool:
        return connection in self._all

    def join(self, connection: "Connection") -> bool:
        """Whether there is room for it, made where necessary."""
        if len(self._all) >= self.most:
            self._tell()
            if not self._idle:
                return False
            longest = next(iter(self._idle))
            self.leave(longest)
            longest.transport.abort()
        self._all.add(connection)
        self._idle[connection] = None
        return True

    def turn_away(self, connection: "Connection") -> bool:
        """Whether there is time to answer a connection that has no room."""
        if len(self._away) >= _MOST_AWAY:
            return False
        self._away.add(connection)
        return True

    def leave(self, connection: "Connection") -> None:
        """It is closed, or about to be."""
        self._all.discard(connection)
        self._away.discard(connection)
        self._idle.pop(connection, None)

    def note(self, connection: "Connection", *, busy: bool) -> None:
        """A request of it begins, or its answer is complete."""
        if busy:
            self._idle.pop(connection, None)
        elif connection in self._all:
            self._idle.setdefault(connection)

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told >= _TELL_EVERY_SECONDS:
            self._told = now
            _log.warning("server.connections_full", extra={"connections": len(self._all), "idle": len(self._idle)})


class Connection(H11Protocol):
    """Closed where no request is under way and the next one does not begin within `patience_s` of its first byte, or
    of the connection. Idle connections between two requests are closed by uvicorn, sooner."""

    patience_s: float
    crowd: Crowd
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if self.crowd.join(self):
            self._watch()
        elif self.crowd.turn_away(self):
            self._deadline = self.loop.call_later(_FAREWELL_SECONDS, transport.abort)
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self not in self.crowd:
            # Only now: closed with bytes unread, the connection would be reset and the answer lost.
            self.transport.write(_FULL)
            self.transport.close()
            return
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.crowd.note(self, busy=self._is_busy())

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        self.crowd.leave(self)
        super().connection_lost(exc)

    def _is_busy(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _watch(self) -> None:
        busy = self._is_busy()
        self.crowd.note(self, busy=busy)
        if busy:
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.patience_s, self._late)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if not self._is_busy():
            self.transport.abort()


def timed_connections(patience_s: float, crowd: Crowd) -> type[H11Protocol]:
    """The class for `uvicorn.Config(http=...)`."""
    return type("TimedConnection", (Connection,), {"patience_s": patience_s, "crowd": crowd})
