"""Limits on connections: their number, and how long one may be silent.

Uvicorn itself waits forever for the end of a request's headers, and accepts connections until the process runs out of
file descriptors, which locks out every client.
"""

import asyncio
import logging
import resource
import time
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

__all__ = ["ConnectionPool", "connection_limit", "make_protocol_class", "raise_file_limit"]

_MAX_CONNECTIONS: Final = 8192
_MAX_REJECTED: Final = 64
_REJECT_SECONDS: Final = 1.0
_WARN_EVERY_SECONDS: Final = 60.0
_BODY: Final = b'{"success":false,"status":503,"error":{"message":"The server has as many connections as it can hold. \
Try again in a moment.","type":"ServiceUnavailableError","code":"overloaded","details":{"retryable":true}}}'
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\nRetry-After: 1\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)
_log = logging.getLogger("shoal.connections")


def raise_file_limit() -> int:
    """Raise the soft limit on open files to the hard limit. Returns the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # macOS reports a hard limit that it does not grant
            return soft
    return hard if hard != resource.RLIM_INFINITY else 2**20


def connection_limit(configured: int) -> int:
    """The number of connections to accept: `configured`, or a default where that is 0; at most half of the files that
    this process may open, since the stores need files as well."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _MAX_CONNECTIONS * 2 if files == resource.RLIM_INFINITY else files
    return max(16, min(configured or _MAX_CONNECTIONS, files // 2))


class ConnectionPool:
    """The connections of a server, at most `limit`.

    For one more, the connection that has been idle for longest is closed; where none is idle, the new one is answered
    with 503. Used on the event loop only, so it needs no lock.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._all: set[Connection] = set()
        self._idle: dict[Connection, None] = {}
        self._rejected: set[Connection] = set()
        self._warned_at = -_WARN_EVERY_SECONDS

    def __contains__(self, connection: object) -> bool:
        return connection in self._all

    def admit(self, connection: "Connection") -> bool:
        """Add a connection, in place of an idle one where the pool is full. Returns False where none is idle."""
        if len(self._all) >= self.limit:
            self._warn_full()
            if not self._idle:
                return False
            longest = next(iter(self._idle))
            self.remove(longest)
            longest.transport.abort()
        self._all.add(connection)
        self._idle[connection] = None
        return True

    def may_answer(self, connection: "Connection") -> bool:
        """Whether a connection that was not admitted can be answered with 503."""
        if len(self._rejected) >= _MAX_REJECTED:
            return False
        self._rejected.add(connection)
        return True

    def remove(self, connection: "Connection") -> None:
        """Forget a connection that is closed or about to be."""
        self._all.discard(connection)
        self._rejected.discard(connection)
        self._idle.pop(connection, None)

    def mark(self, connection: "Connection", *, busy: bool) -> None:
        """Note that a request begins, or that its response is complete."""
        if busy:
            self._idle.pop(connection, None)
        elif connection in self._all:
            self._idle.setdefault(connection)

    def _warn_full(self) -> None:
        now = time.monotonic()
        if now - self._warned_at >= _WARN_EVERY_SECONDS:
            self._warned_at = now
            _log.warning("server.connections_full", extra={"connections": len(self._all), "idle": len(self._idle)})


class Connection(H11Protocol):
    """A connection that is closed where no request is in progress and the next one is not complete within `timeout_s`
    of its first byte, or of the connection. Idle connections between requests are closed by uvicorn, sooner."""

    timeout_s: float
    pool: ConnectionPool
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if self.pool.admit(self):
            self._start_timer()
        elif self.pool.may_answer(self):
            self._deadline = self.loop.call_later(_REJECT_SECONDS, transport.abort)
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self not in self.pool:
            # Only now: closing with unread bytes would reset the connection, and the response would be lost.
            self.transport.write(_FULL)
            self.transport.close()
            return
        super().data_received(data)
        self._start_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.pool.mark(self, busy=self._is_busy())

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self.pool.remove(self)
        super().connection_lost(exc)

    def _is_busy(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _start_timer(self) -> None:
        busy = self._is_busy()
        self.pool.mark(self, busy=busy)
        if busy:
            self._stop_timer()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.timeout_s, self._on_timeout)

    def _stop_timer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_timeout(self) -> None:
        self._deadline = None
        if not self._is_busy():
            self.transport.abort()


def make_protocol_class(timeout_s: float, pool: ConnectionPool) -> type[H11Protocol]:
    """Return the protocol class for `uvicorn.Config(http=...)`."""
    return type("TimedConnection", (Connection,), {"timeout_s": timeout_s, "pool": pool})
