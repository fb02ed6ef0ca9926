"""When a request is sent once more, and when its sender gives up.

A server that is busy (429, 503), a gateway that cuts (502, 504) and a line that breaks are tried four times. A server
that answered before and refuses connections now is starting again: it is tried for `restart_seconds`.
"""

from typing import Final

import httpx

from shoal.errors import ShoalError

__all__ = ["Attempts", "is_gateways"]

_HUNG_UP: Final = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError, httpx.CloseError)
_AWAY: Final = (httpx.ConnectError, httpx.ConnectTimeout)
_BUSY: Final = frozenset({429, 503})
_GATEWAY: Final = frozenset({502, 504})
_TRIES: Final = 4
_LONGEST_SECONDS: Final = 30.0
_LONGEST_AWAY_SECONDS: Final = 2.0


class Attempts:
    """Those of one request. `reached`: whether this server has ever answered; `reads`: whether the request changes
    nothing, so that an answer that does not come in time is worth another try."""

    def __init__(self, restart_seconds: float, *, reached: bool, reads: bool) -> None:
        self._left, self._reached, self._reads = restart_seconds, reached, reads
        self._broken = self._away = 0
        self.hung_up = False
        """Whether an attempt may have been carried out though nobody was told."""

    def pause_after_error(self, error: ShoalError) -> float | None:
        """Seconds to wait before the next attempt; None where there is none."""
        cause = error.__cause__
        if isinstance(cause, _HUNG_UP) or (self._reads and isinstance(cause, httpx.ReadTimeout)):
            self.hung_up = True
            return self._next(_LONGEST_SECONDS)
        if not isinstance(cause, _AWAY) or not (self._reached or self.hung_up):
            return None  # it may be at it still, or was never there
        pause = min(0.25 * 2**self._away, _LONGEST_AWAY_SECONDS)
        self._away += 1
        self._left -= pause
        return None if self._left < 0 else pause

    def pause_after_answer(self, response: httpx.Response, *, lasting: bool) -> float | None:
        """The same for an answer that is no success; `lasting` says that it will be the same for a while."""
        self._reached = True
        if response.status_code in _GATEWAY and is_gateways(response):
            self.hung_up = True
            return self._next(_LONGEST_SECONDS)
        if response.status_code not in _BUSY or lasting:
            return None
        asked = response.headers.get("Retry-After", "")
        pause = self._next(_LONGEST_SECONDS)
        return pause if pause is None or not asked.isdigit() else min(float(asked), _LONGEST_SECONDS)

    def _next(self, longest: float) -> float | None:
        self._broken += 1
        return None if self._broken >= _TRIES else min(0.5 * 2**self._broken, longest)


def is_gateways(response: httpx.Response) -> bool:
    """Whether something between us and the server answers: it says nothing of what the server did."""
    return not response.headers.get("Content-Type", "").startswith("application/json")
