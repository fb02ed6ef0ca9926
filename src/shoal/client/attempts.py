"""The retry policy of requests.

A busy server (429, 503), a gateway timeout (502, 504) and a broken connection are tried four times. A server that
answered before and refuses connections now is restarting: it is tried for `restart_seconds`.
"""

from typing import Final

import httpx

from shoal.errors import ShoalError

__all__ = ["Attempts", "is_from_gateway"]

_HUNG_UP: Final = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError, httpx.CloseError)
_AWAY: Final = (httpx.ConnectError, httpx.ConnectTimeout)
_BUSY: Final = frozenset({429, 503})
_GATEWAY: Final = frozenset({502, 504})
_TRIES: Final = 4
_LONGEST_SECONDS: Final = 30.0
_LONGEST_AWAY_SECONDS: Final = 2.0


class Attempts:
    """The attempts of one request.

    `reached`: whether this server has ever answered; `reads`: whether the request changes nothing, so that a timeout is
    worth a retry.
    """

    def __init__(self, restart_seconds: float, *, reached: bool, reads: bool) -> None:
        self._left, self._reached, self._reads = restart_seconds, reached, reads
        self._broken = self._away = 0
        self.hung_up = False
        """Whether an attempt may have been carried out without its response arriving."""

    def pause_after_error(self, error: ShoalError) -> float | None:
        """Return the seconds to wait before the next attempt; None to give up."""
        cause = error.__cause__
        if isinstance(cause, _HUNG_UP) or (self._reads and isinstance(cause, httpx.ReadTimeout)):
            self.hung_up = True
            """Whether an attempt may have been carried out without its response arriving."""
            return self._next_pause(_LONGEST_SECONDS)
        if not isinstance(cause, _AWAY) or not (self._reached or self.hung_up):
            return None  # it may still be working on it, or never existed
        pause = min(0.25 * 2**self._away, _LONGEST_AWAY_SECONDS)
        self._away += 1
        self._left -= pause
        return None if self._left < 0 else pause

    def pause_after_answer(self, response: httpx.Response, *, lasting: bool) -> float | None:
        """As `pause_after_error`, for an unsuccessful response; `lasting` says that the cause will persist for a
        while."""
        self._reached = True
        if response.status_code in _GATEWAY and is_from_gateway(response):
            self.hung_up = True
            return self._next_pause(_LONGEST_SECONDS)
        if response.status_code not in _BUSY or lasting:
            return None
        retry_after = response.headers.get("Retry-After", "")
        pause = self._next_pause(_LONGEST_SECONDS)
        return pause if pause is None or not retry_after.isdigit() else min(float(retry_after), _LONGEST_SECONDS)

    def _next_pause(self, longest: float) -> float | None:
        self._broken += 1
        return None if self._broken >= _TRIES else min(0.5 * 2**self._broken, longest)


def is_from_gateway(response: httpx.Response) -> bool:
    """Return whether a gateway responded instead of the server, which says nothing about what the server did."""
    return not response.headers.get("Content-Type", "").startswith("application/json")
