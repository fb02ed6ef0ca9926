"""The Idempotency-Key of a request, for handlers that write.

@router.post("/things")
def create_thing(services: Wired, scope: Namespaced, keyed: Keyed, body: CreateThing) -> Response:
    return keyed.once(scope, lambda: services.things.creation(scope, body))
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

import orjson
from fastapi import Depends, Header, Request, Response

from shoal.api.deps import Wired, decoded
from shoal.api.door import MOUNT
from shoal.api.replies import reply
from shoal.records.scope import Scope
from shoal.services.idempotency import MAX_KEY_LENGTH, Act, ActNamed, Answer, Effect, Idempotency, check_key
from shoal.services.idempotency import Keyed as KeyedRequest
from shoal.storage.protocols.documents import Write
from shoal.storage.protocols.replies import Reply
from shoal.storage.protocols.transactions import Transaction

__all__ = ["BODY", "BODY_HASH", "HEADER", "REPLAYED", "Keyed", "Writing"]

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
BODY: Final = "body"
BODY_HASH: Final = "body_hash"
"""Where `api/guards/limits.py` leaves the bytes of a JSON body, and the hash of an upload that was streamed."""

_TOLD: Final = (
    "Makes a retry safe: the same request under the same key is done once, and answered alike for 24 hours. At most "
    f"{MAX_KEY_LENGTH} printable characters; another request under the key is a 409."
)


Writing: TypeAlias = Callable[[Write | None], Response]
"""Changes documents under a name."""


@dataclass(frozen=True, slots=True)
class KeyedCall:
    """A call with its key, if it has one; without, everything is simply done."""

    idempotency: Idempotency
    request: Request
    key: str | None

    def once(
        self,
        scope: Scope,
        prepare: Callable[[], Callable[[Transaction], Any]],
        show: Callable[[Any], Response] = reply,
    ) -> Response:
        """Run what `prepare` returns as one transaction of the metadata store and save the answer in it, or answer as
        before. `show` makes the answer of the outcome."""
        if self.key is None:
            return show(self.idempotency.transact(prepare))

        def effect() -> Effect:
            body = prepare()
            return lambda tx: _reply_of(show(body(tx)))

        return _answered(self.idempotency.once(scope, self._keyed(self.key), effect))

    def once_with_documents(self, scope: Scope, act: Writing) -> Response:
        """The same for changes of documents; `act` gets the name of the write, None for a call without a key."""
        return self.once_prepared(scope, lambda: act)

    def once_prepared(self, scope: Scope, prepare: Callable[[], Writing]) -> Response:
        """The same, where checks and changes of metadata come before the documents are written."""
        if self.key is None:
            return prepare()(None)
        keyed = self._keyed(self.key)
        return _answered(self.idempotency.once_with_documents(scope, keyed, lambda: _named(prepare())))

    def once_repeatable(self, scope: Scope, act: Callable[[], Response]) -> Response:
        """The same for what comes to the same when it is repeated, and is too large for one transaction."""
        if self.key is None:
            return act()
        return _answered(self.idempotency.once_repeatable(scope, self._keyed(self.key), _plainly(act)))

    def named_in_body(self, key: str | None, field: str) -> "KeyedCall":
        """The key that the body names at `field`; one in the header wins. Raises InvalidField."""
        if self.key is not None or key is None:
            return self
        return KeyedCall(self.idempotency, self.request, check_key(field, key))

    def _keyed(self, key: str) -> KeyedRequest:
        return KeyedRequest(key, _fingerprint(self.request))


async def _keyed(
    request: Request,
    services: Wired,
    idempotency_key: Annotated[str | None, Header(alias=HEADER, description=_TOLD)] = None,
) -> KeyedCall:
    key = None if idempotency_key is None else check_key(HEADER, decoded(idempotency_key))
    return KeyedCall(services.idempotency, request, key)


Keyed = Annotated[KeyedCall, Depends(_keyed)]
"""The call's idempotency key. 422 for one that is none, 409 for one that was sent with another request."""


def _fingerprint(request: Request) -> str:
    """Method, path without its mount, query and body: what makes a request this one and no other."""
    body: Any = getattr(request.state, BODY_HASH, None)
    if body is None:
        body = hashlib.blake2b(getattr(request.state, BODY, b""))
    asked = [request.method, request.scope["path"].removeprefix(MOUNT), request.url.query, body.hexdigest()]
    return hashlib.blake2b(orjson.dumps(asked), digest_size=20).hexdigest()


def _plainly(act: Callable[[], Response]) -> Act:
    return lambda: _reply_of(act())


def _named(act: Writing) -> ActNamed:
    return lambda write: _reply_of(act(write))


def _reply_of(response: Response) -> Reply:
    return Reply(response.status_code, response.media_type, bytes(response.body))


def _answered(answer: Answer) -> Response:
    reply = answer.reply
    headers = {REPLAYED: "true"} if answer.replayed else None
    return Response(reply.body, reply.status, headers, reply.media_type)
