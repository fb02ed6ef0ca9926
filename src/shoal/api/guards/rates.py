"""Rate limits: requests a minute for each key and organisation, and failed logins a minute for each client address.

Each limit is a token bucket with the capacity of one minute, refilled continuously: a minute's worth may come at once,
and no more than the limit over time.
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
_MAX_BUCKETS: Final = 10_000

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a bucket: seconds until it is full (`reset_s`) and until it holds a token (`retry_after_s`), both
    rounded up."""

    limit: int
    remaining: int
    reset_s: int
    retry_after_s: int


class Buckets:
    """Token buckets by name. Where there are more than `most`, the least recently used ones are dropped, which makes
    them full. `clock` returns monotonic seconds."""

    def __init__(self, per_minute: int, clock: Clock, most: int = _MAX_BUCKETS) -> None:
        self.limit = per_minute
        self._clock, self._most = clock, most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def standing(self, name: str) -> Standing:
        """Return the state of a bucket without taking a token."""
        tokens, per_second = self._tokens(name), self.limit / _WINDOW_SECONDS
        missing = max(0.0, 1.0 - tokens)
        return Standing(
            self.limit, int(tokens), math.ceil((self.limit - tokens) / per_second), math.ceil(missing / per_second)
        )

    def take(self, name: str) -> None:
        """Take a token if there is one."""
        tokens = self._tokens(name)
        self._buckets[name] = (max(0.0, tokens - 1.0), self._clock())
        self._buckets.move_to_end(name)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)

    def __len__(self) -> int:
        return len(self._buckets)

    def _tokens(self, name: str) -> float:
        held, since = self._buckets.get(name, (float(self.limit), self._clock()))
        # Slightly more, so that rounding never leaves 0.9999999 after the wait for a whole token.
        return min(float(self.limit), held + (self._clock() - since) * self.limit / _WINDOW_SECONDS + 1e-9)


class RateLimit:
    """ASGI middleware that answers 429 with Retry-After to a caller over a limit.

    Every response has `X-RateLimit-…` headers for the limit with the fewest requests left. A rejected request takes no
    token.
    """

    def __init__(self, app: ASGIApp, settings: Settings, clock: Clock = time.monotonic) -> None:
        self._app = app
        self._keys = _buckets(settings.rate_limit_per_minute, clock)
        self._organizations = _buckets(settings.organization_rate_limit_per_minute, clock)

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
            await error_reply(_limit_error(refused, nearest))(scope, receive, send)

    def _limits(self, caller: Caller) -> Sequence[tuple[str, Buckets, str]]:
        all_limits = (
            ("This key", self._keys, caller.key_id),
            ("This organisation", self._organizations, caller.organization_id),
        )
        return [(whose, buckets, name) for whose, buckets, name in all_limits if buckets is not None]


class LoginLimit:
    """ASGI middleware that counts the 401s of each client address. An address over the limit gets 429 for everything
    but probes, even with a valid key, since guessing could go on otherwise. IPv6 addresses are counted by their /64."""

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
            await error_reply(_limit_error("This address", standing, "requests with a wrong key"))(scope, receive, send)
            return

        async def count_failures(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                failures.take(address)
            await send(message)

        await self._app(scope, receive, count_failures)


def _buckets(per_minute: int, clock: Clock) -> Buckets | None:
    return Buckets(per_minute, clock) if per_minute > 0 else None


def _limit_error(whose: str, standing: Standing, what: str = "requests") -> RateLimited:
    wait = standing.retry_after_s
    return RateLimited(
        f"{whose} made more than {standing.limit} {what} a minute. Wait {wait} s and retry.",
        limit=standing.limit,
        window=_WINDOW_SECONDS,
        retry_after_seconds=wait,
    )


def _with_headers(send: Send, standing: Standing) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-RateLimit-Limit"] = str(standing.limit)
            headers["X-RateLimit-Remaining"] = str(standing.remaining)
            headers["X-RateLimit-Reset"] = str(standing.reset_s)
            headers["X-RateLimit-Window"] = str(_WINDOW_SECONDS)
        await send(message)

    return send_with_headers


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
