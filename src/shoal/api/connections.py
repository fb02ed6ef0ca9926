"""Connections that must come to the point: uvicorn itself waits for ever for the end of a request's head."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

__all__ = ["timed_connections"]


class _Timed(H11Protocol):
    """Closed where no request is under way and the next one does not begin within `patience_s` of its first byte, or
    of the connection. Idle connections between two requests are closed by uvicorn, sooner."""

    patience_s: float
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _is_busy(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _watch(self) -> None:
        if self._is_busy():
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


def timed_connections(patience_s: float) -> type[H11Protocol]:
    """The class for `uvicorn.Config(http=...)`."""
    return type("TimedConnection", (_Timed,), {"patience_s": patience_s})
