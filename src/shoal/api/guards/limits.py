"""Bodies: how large, how many at once, and how slowly. All are counted while they stream in, so that a lying or absent
Content-Length gains nothing.

A JSON body is read here, whole, before anything else is done for the request: so a slow client holds nothing that
others wait for. Uploads of the bulk route are not kept in memory; their route reads them under the same count and pace.
"""

import asyncio
import contextlib
import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from shoal.api.errors import error_reply
from shoal.api.guards.connections import most_connections
from shoal.api.guards.rooms import ROOM, room_of
from shoal.api.idempotency import BODY, BODY_HASH, HEADER
from shoal.errors import Overloaded, ShoalError, TooLarge, TooSlow
from shoal.settings import Settings

__all__ = ["BodyLimit", "has_body", "is_upload", "organization_of", "share"]

_DRAINED: Final = 256 * 2**20
_MIB: Final = 2**20
_FREE_BYTES: Final = 64 * 1024
_BYTES_PER_SECOND: Final = 32 * 1024
_UPLOAD: Final = "/documents/import"


def is_upload(connection: Connection) -> bool:
    """Whether this is the bulk route. Other methods at such a path mean a document that is called `import`."""
    return connection["method"] == "POST" and str(connection["path"]).endswith(_UPLOAD)


def has_body(connection: Connection) -> bool:
    """Whether a body follows: HTTP/1.1 says so in a header."""
    headers = Headers(scope=connection)
    return "transfer-encoding" in headers or int(headers.get("content-length", "0")) > 0


def organization_of(connection: Connection) -> str | None:
    """Whose request this is; None for probes and whatever else needs no key."""
    caller = connection.get("state", {}).get("caller")
    return None if caller is None else str(caller.organization_id)


def share(whole: int) -> int:
    """How much of something one organisation may take: never so much that nothing is left for the others."""
    return max(1, whole * 3 // 4)


class BodyLimit:
    """413 for a JSON body larger than its route has room for, or an upload of the bulk route over `max_upload_mib`;
    503 where all bodies in memory would exceed `max_bodies_mib`; 408 for one that does not arrive in time."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        largest = settings.max_body_mib * _MIB
        self._memory = _Memory(max(settings.max_bodies_mib * _MIB, largest), largest)
        self._arriving: Counter[str] = Counter()

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        organization = organization_of(scope) if scope["type"] == "http" else None
        if organization is None or not has_body(scope):
            await self._app(scope, receive, send)
            return
        room = scope["state"][ROOM] = room_of(scope, self._settings)
        most = self._settings.max_upload_mib if is_upload(scope) else room.mib
        incoming = _Incoming(receive, most, self._settings.body_timeout_seconds, _hash_of(scope))
        declared = int(Headers(scope=scope).get("content-length", "0"))
        if declared > most * _MIB:
            await _refuse(_too_large(most), scope, incoming, send)
        elif is_upload(scope):
            await self._stream(scope, incoming, send, organization)
        else:
            await self._read_first(scope, incoming, send, self._memory.lease(organization), declared)

    async def _stream(self, scope: Connection, incoming: "_Incoming", send: Send, organization: str) -> None:
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._on_its_way(organization))
            except Overloaded as error:
                await _refuse(error, scope, incoming, send)
                return
            await self._app(scope, incoming, send)

    async def _read_first(
        self, scope: Connection, incoming: "_Incoming", send: Send, lease: "_Lease", declared: int
    ) -> None:
        with lease:
            try:
                lease.check(declared)
                with self._on_its_way(lease.organization):
                    body = await _whole(incoming, lease)
            except ShoalError as error:
                await _refuse(error, scope, incoming, send)
                return
            if body is None:  # the client is gone
                return
            scope["state"][BODY] = body
            await self._app(scope, _replayed(body, incoming), lease.until_answered(send))

    @contextlib.contextmanager
    def _on_its_way(self, organization: str) -> Iterator[None]:
        """A body that arrives. Raises Overloaded where three quarters of all connections are taken by those of this
        organisation: they are busy, so none of them would make room for others."""
        if self._arriving[organization] >= share(most_connections(self._settings.max_connections)):
            raise Overloaded("Too many bodies of this organisation are on their way. Send this one again in a moment.")
        self._arriving[organization] += 1
        try:
            yield
        finally:
            self._arriving[organization] -= 1
            if not self._arriving[organization]:
                del self._arriving[organization]


class _Incoming:
    """Receives a body under its limits. Raises TooLarge or TooSlow out of `receive`, where it is read; the error
    handlers answer them like any other."""

    def __init__(self, receive: Receive, most_mib: int, patience_s: float, seen_by: Any) -> None:
        self._receive, self._most, self._patience, self._hash = receive, most_mib, patience_s, seen_by
        self._started = asyncio.get_running_loop().time()
        self._seen = 0
        self._ended = False

    async def __call__(self) -> Message:
        message = await self.next()
        self._seen += len(message.get("body", b""))
        if self._seen > self._most * _MIB:
            raise _too_large(self._most)
        if self._hash is not None:
            self._hash.update(message.get("body", b""))
        return message

    async def next(self) -> Message:
        """The next message in time, not counted. What follows a whole body may take for ever: it is the farewell."""
        if self._ended:
            return await self._receive()
        late = self._started + self._patience + self._seen / _BYTES_PER_SECOND
        try:
            async with asyncio.timeout_at(min(asyncio.get_running_loop().time() + self._patience, late)):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow(
                f"The body did not arrive in time. Send it without pauses of {self._patience:g} s, and large ones "
                f"with at least {_BYTES_PER_SECOND // 1024} KiB a second.",
                received_bytes=self._seen,
            ) from None
        self._ended = not message.get("more_body", False)
        return message


class _Memory:
    """How many bytes of bodies are held for whom. Lives on the event loop, so it needs no lock."""

    def __init__(self, most: int, largest_body: int) -> None:
        self._most = most
        self._each = max(share(most), largest_body)
        self._held = 0
        self._by: Counter[str] = Counter()

    def lease(self, organization: str) -> "_Lease":
        return _Lease(self, organization)

    def fits(self, organization: str, size: int) -> bool:
        return self._held + size <= self._most and self._by[organization] + size <= self._each

    def add(self, organization: str, size: int) -> None:
        self._held += size
        self._by[organization] += size
        if not self._by[organization]:
            del self._by[organization]


class _Lease:
    """What one body holds, given back when its request is answered. The first 64 KiB are free: as much lies in the
    buffers of every connection anyway, and small requests shall not wait for large ones."""

    def __init__(self, memory: _Memory, organization: str) -> None:
        self._memory, self.organization = memory, organization
        self._size = self._held = 0

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def check(self, size: int) -> None:
        """Raises Overloaded where a body of this size would not fit now."""
        if size > _FREE_BYTES and not self._memory.fits(self.organization, size - _FREE_BYTES):
            raise Overloaded("Too many large bodies are being worked on. Send this one again in a moment.")

    def take(self, size: int) -> None:
        """Hold so many bytes more. Raises Overloaded."""
        self._size += size
        more = max(0, self._size - _FREE_BYTES) - self._held
        self.check(more + _FREE_BYTES)
        self._memory.add(self.organization, more)
        self._held += more

    def give_back(self) -> None:
        self._memory.add(self.organization, -self._held)
        self._held = 0

    def until_answered(self, send: Send) -> Send:
        """The handler is done with the body when its answer begins; a client that reads slowly holds nothing."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.give_back()
            await send(message)

        return sent


async def _whole(incoming: _Incoming, lease: _Lease) -> bytes | None:
    """The body; None where the client hung up."""
    whole = io.BytesIO()  # which grows in place and gives its buffer away: a body is never in memory twice
    while True:
        message = await incoming()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        lease.take(len(part))
        whole.write(part)
        if not message.get("more_body", False):
            return whole.getvalue()


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body as one message."""
    taken = False

    async def received() -> Message:
        nonlocal taken
        if taken:
            return await receive()
        taken = True
        return {"type": "http.request", "body": body, "more_body": False}

    return received


def _hash_of(connection: Connection) -> Any:
    """A hash that sees an upload as it comes in, where an idempotency key will ask for it."""
    if not is_upload(connection) or HEADER.lower() not in Headers(scope=connection):
        return None
    connection["state"][BODY_HASH] = made = hashlib.blake2b()
    return made


async def _refuse(error: ShoalError, connection: Connection, incoming: _Incoming, send: Send) -> None:
    answered = _then_drain(incoming, send) if isinstance(error, TooLarge) else send
    await error_reply(error)(connection, incoming, answered)


def _then_drain(incoming: _Incoming, send: Send) -> Send:
    """Answers at once, but ends the answer only when the client has sent its body, within reason: closing while it
    writes would reset the connection, and the answer would be lost."""

    async def sent(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        await send({**message, "more_body": True})
        await _drained(incoming)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return sent


async def _drained(incoming: _Incoming) -> None:
    seen, more = 0, True
    while more and seen < _DRAINED:
        try:
            part = await incoming.next()
        except TooSlow:
            return
        seen += len(part.get("body", b""))
        more = part["type"] == "http.request" and bool(part.get("more_body"))


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The body is larger than {most} MiB. Send it in several parts.", limit_mib=most)
