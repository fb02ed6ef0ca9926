"""How often: requests a minute for each key and each organisation, and wrong keys a minute from each address.

Each limit is a bucket of as many tokens as the limit allows a minute, filled again continuously: a minute's worth may
come at once, and no more than the limit over time.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from shoal.api.callers.auth import is_public
from shoal.api.errors import error_reply
from shoal.errors import RateLimited
from shoal.records.key import Caller
from shoal.settings import Settings

__all__ = ["Buckets", "LoginLimit", "RateLimit", "Standing"]

_WINDOW_SECONDS: Final = 60
_MOST_BUCKETS: Final = 10_000

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a bucket stands. `reset_s` until it is full, `retry_after_s` until it holds a token, both rounded up."""

    limit: int
    remaining: int
    reset_s: int
    retry_after_s: int


class Buckets:
    """A bucket for each name. Those that were not used for longest are forgotten where there are too many; one that is
    forgotten is full. `clock` tells seconds and never goes back."""

    def __init__(self, per_minute: int, clock: Clock, most: int = _MOST_BUCKETS) -> None:
        self.limit = per_minute
        self._clock, self._most = clock, most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def standing(self, name: str) -> Standing:
        """How the bucket stands now; nothing is taken."""
        tokens, per_second = self._tokens(name), self.limit / _WINDOW_SECONDS
        missing = max(0.0, 1.0 - tokens)
        return Standing(
            self.limit, int(tokens), math.ceil((self.limit - tokens) / per_second), math.ceil(missing / per_second)
        )

    def take(self, name: str) -> None:
        """Take a token, where there is one."""
        tokens = self._tokens(name)
        self._buckets[name] = (max(0.0, tokens - 1.0), self._clock())
        self._buckets.move_to_end(name)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)

    def __len__(self) -> int:
        return len(self._buckets)

    def _tokens(self, name: str) -> float:
        held, since = self._buckets.get(name, (float(self.limit), self._clock()))
        # A hair more, so that rounding never leaves 0.9999999 where a whole token was waited for.
        return min(float(self.limit), held + (self._clock() - since) * self.limit / _WINDOW_SECONDS + 1e-9)


class RateLimit:
    """429 with Retry-After for a caller over a limit; the headers `X-RateLimit-…` on every answer, for the limit that
    is nearest. What is refused takes nothing. Without limits, all passes."""

    def __init__(self, app: ASGIApp, settings: Settings, clock: Clock = time.monotonic) -> None:
        self._app = app
        self._of_keys = _buckets(settings.rate_limit_per_minute, clock)
        self._of_organizations = _buckets(settings.organization_rate_limit_per_minute, clock)

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        caller: Caller | None = scope.get("state", {}).get("caller") if scope["type"] == "http" else None
        limits = [] if caller is None else self._limits(caller)
        if not limits:
            await self._app(scope, receive, send)
            return
        refused = next((whose for whose, buckets, name in limits if not buckets.standing(name).remaining), None)
        if refused is None:
            for _, buckets, name in limits:
                buckets.take(name)
        nearest = min((buckets.standing(name) for _, buckets, name in limits), key=lambda standing: standing.remaining)
        send = _with_headers(send, nearest)
        if refused is None:
            await self._app(scope, receive, send)
        else:
            await error_reply(_over(refused, nearest))(scope, receive, send)

    def _limits(self, caller: Caller) -> Sequence[tuple[str, Buckets, str]]:
        both = (
            ("This key", self._of_keys, caller.key_id),
            ("This organisation", self._of_organizations, caller.organization_id),
        )
        return [(whose, buckets, name) for whose, buckets, name in both if buckets is not None]


class LoginLimit:
    """Counts the 401s of each client address. One over the limit gets 429 for everything but the probes, right keys
    included: trying keys out would otherwise go on. IPv6 counts by the /64 that a household has."""

    def __init__(self, app: ASGIApp, settings: Settings, clock: Clock = time.monotonic) -> None:
        self._app = app
        self._failures = _buckets(settings.failed_logins_per_minute, clock)

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        failures = self._failures
        if failures is None or scope["type"] != "http" or is_public(scope):
            await self._app(scope, receive, send)
            return
        address = _address(scope)
        standing = failures.standing(address)
        if not standing.remaining:
            await error_reply(_over("This address", standing, "requests with a wrong key"))(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                failures.take(address)
            await send(message)

        await self._app(scope, receive, counted)


def _buckets(per_minute: int, clock: Clock) -> Buckets | None:
    return Buckets(per_minute, clock) if per_minute > 0 else None


def _over(whose: str, standing: Standing, what: str = "requests") -> RateLimited:
    wait = standing.retry_after_s
    return RateLimited(
        f"{whose} made more than {standing.limit} {what} a minute. Wait {wait} s and send this one again.",
        limit=standing.limit,
        window=_WINDOW_SECONDS,
        retry_after_seconds=wait,
    )


def _with_headers(send: Send, standing: Standing) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-RateLimit-Limit"] = str(standing.limit)
            headers["X-RateLimit-Remaining"] = str(standing.remaining)
            headers["X-RateLimit-Reset"] = str(standing.reset_s)
            headers["X-RateLimit-Window"] = str(_WINDOW_SECONDS)
        await send(message)

    return sent


def _address(connection: Connection) -> str:
    client = connection.get("client")
    if client is None:
        return ""
    try:
        address = ip_address(client[0])
    except ValueError:
        return str(client[0])
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, 64), strict=False))
    return str(address)
