"""The HTTP client beneath the providers' libraries: answers of bounded size, and what broken ones report."""

import json
import logging
import re
from collections.abc import AsyncIterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shoal.labeling.providers.calls.usage import Tokens

if TYPE_CHECKING:
    import httpx2

__all__ = ["LONGEST_BODY", "BodyTooLong", "Exchange", "Redirected", "current_exchange", "open_client"]

_LOGGERS: Final = ("httpcore2", "httpx2", "openai", "anthropic", "google_genai", "google.genai")

LONGEST_BODY: Final = 512 * 1024
"""Bytes of an answer; thirty times the longest label, summary and keywords in any encoding."""
_USAGE: Final = {
    "input": re.compile(rb'"(?:prompt_tokens|input_tokens|promptTokenCount)"\s*:\s*(\d{1,9})\b'),
    "output": re.compile(rb'"(?:completion_tokens|output_tokens|candidatesTokenCount)"\s*:\s*(\d{1,9})\b'),
}


class Redirected(Exception):
    """The provider sends the call elsewhere, where it must not take a key."""


class BodyTooLong(Exception):
    """The answer is longer than `LONGEST_BODY`, or compressed although that was refused."""


@dataclass(slots=True)
class Exchange:
    """What was received for one question so far."""

    status: int | None = None
    body: bytearray = field(default_factory=bytearray)
    too_long: bool = False

    def tokens(self) -> Tokens | None:
        """Return the last report of tokens in what was received; None without any."""
        counts = {name: pattern.findall(bytes(self.body)) for name, pattern in _USAGE.items()}
        if not counts["input"]:
            return None
        return Tokens(int(counts["input"][-1]), int(counts["output"][-1]) if counts["output"] else 0)

    def is_json(self) -> bool:
        """Whether the body is a JSON object."""
        try:
            return isinstance(json.loads(bytes(self.body)), dict)
        except ValueError:
            return False


current_exchange: Final[ContextVar[Exchange | None]] = ContextVar("exchange", default=None)


def open_client(timeout: float, concurrency: int) -> "httpx2.AsyncClient":
    """Open a client that follows no redirect, which could take a key elsewhere, and asks for plain bodies.

    The libraries' own log lines below warnings are turned off: they hold headers, addresses and documents.
    """
    import httpx2

    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))

    class _Bounded(httpx2.AsyncByteStream):
        """Reads at most `LONGEST_BODY` bytes of a body, and notes them in the exchange."""

        def __init__(self, stream: httpx2.AsyncByteStream, exchange: Exchange) -> None:
            self._stream, self._exchange = stream, exchange

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for chunk in self._stream:
                if len(self._exchange.body) + len(chunk) > LONGEST_BODY:
                    self._exchange.too_long = True
                    raise BodyTooLong
                self._exchange.body.extend(chunk)
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    async def bound(response: httpx2.Response) -> None:
        exchange = current_exchange.get() or Exchange()
        exchange.status = response.status_code
        exchange.body.clear()
        if response.has_redirect_location:  # the providers' libraries would follow
            raise Redirected
        if response.headers.get("content-encoding", "identity") != "identity":
            exchange.too_long = True
            raise BodyTooLong
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream, exchange)

    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(timeout, connect=min(timeout, 10.0)),
        limits=httpx2.Limits(max_connections=concurrency + 2, max_keepalive_connections=concurrency),
        follow_redirects=False,
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [bound]},
    )
