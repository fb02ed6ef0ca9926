"""The Idempotency-Key of a request, for handlers that write.

@router.post("/things")
def create_thing(services: ServicesDep, scope: NamespaceDep, call: IdempotentCallDep, body: CreateThing) -> Response:
    return call.once(scope, lambda: services.things.creation(scope, body))
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

import orjson
from fastapi import Depends, Header, Request, Response

from shoal.api.deps import ServicesDep, decode_header
from shoal.api.mounts import MOUNT
from shoal.api.replies import reply
from shoal.records.scope import Scope
from shoal.services.idempotency import (
    MAX_KEY_LENGTH,
    Action,
    Answer,
    Effect,
    Idempotency,
    KeyedRequest,
    NamedAction,
    check_key,
)
from shoal.storage.protocols.documents import Write
from shoal.storage.protocols.replies import Reply
from shoal.storage.protocols.transactions import Transaction

__all__ = ["BODY", "BODY_HASH", "HEADER", "REPLAYED", "IdempotentCallDep", "Writing"]

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
BODY: Final = "body"
BODY_HASH: Final = "body_hash"
"""Keys of the request state: the bytes of a JSON body, and the hash of a streamed upload (`api/guards/limits.py`)."""

_DESCRIPTION: Final = (
    "Makes a retry safe: a request is executed once per key, and repetitions get the same answer for 24 hours. At most "
    f"{MAX_KEY_LENGTH} printable characters; another request under the key is a 409."
)


Writing: TypeAlias = Callable[[Write | None], Response]
"""A write of documents that is executed once per `Write`."""


@dataclass(frozen=True, slots=True)
class IdempotentCall:
    """A request with its idempotency key; without a key every method just runs the action."""

    idempotency: Idempotency
    request: Request
    key: str | None

    def once(
        self,
        scope: Scope,
        prepare: Callable[[], Callable[[Transaction], Any]],
        show: Callable[[Any], Response] = reply,
    ) -> Response:
        """Run what `prepare` returns as one metadata transaction and save the answer in it, or replay the saved answer.
        `show` turns the result into the response."""
        if self.key is None:
            return show(self.idempotency.transact(prepare))

        def effect() -> Effect:
            body = prepare()
            return lambda tx: _to_reply(show(body(tx)))

        return _to_response(self.idempotency.once(scope, self._to_request(self.key), effect))

    def once_with_documents(self, scope: Scope, act: Writing) -> Response:
        """As `once`, for writes of documents; `act` gets None for a call without a key."""
        return self.once_after_checks(scope, lambda: act)

    def once_after_checks(self, scope: Scope, prepare: Callable[[], Writing]) -> Response:
        """As `once_with_documents`, where checks and changes of metadata precede the write."""
        if self.key is None:
            return prepare()(None)
        call = self._to_request(self.key)
        return _to_response(self.idempotency.once_with_documents(scope, call, lambda: _to_named_action(prepare())))

    def once_repeatable(self, scope: Scope, act: Callable[[], Response]) -> Response:
        """As `once`, for an action that is idempotent in itself and too large for one transaction."""
        if self.key is None:
            return act()
        return _to_response(self.idempotency.once_repeatable(scope, self._to_request(self.key), _to_action(act)))

    def with_body_key(self, key: str | None, field: str) -> "IdempotentCall":
        """Return the call with a key from the body field `field`; one in the header wins. Raises InvalidField."""
        if self.key is not None or key is None:
            return self
        return IdempotentCall(self.idempotency, self.request, check_key(field, key))

    def _to_request(self, key: str) -> KeyedRequest:
        return KeyedRequest(key, _fingerprint(self.request))


async def _idempotent_call(
    request: Request,
    services: ServicesDep,
    idempotency_key: Annotated[str | None, Header(alias=HEADER, description=_DESCRIPTION)] = None,
) -> IdempotentCall:
    key = None if idempotency_key is None else check_key(HEADER, decode_header(idempotency_key))
    return IdempotentCall(services.idempotency, request, key)


IdempotentCallDep = Annotated[IdempotentCall, Depends(_idempotent_call)]
"""The call with its idempotency key: 422 for an invalid key, 409 for one that was used with another request."""


def _fingerprint(request: Request) -> str:
    """Hash what identifies a request: method, path without its mount, query and body."""
    body: Any = getattr(request.state, BODY_HASH, None)
    if body is None:
        body = hashlib.blake2b(getattr(request.state, BODY, b""))
    parts = [request.method, request.scope["path"].removeprefix(MOUNT), request.url.query, body.hexdigest()]
    return hashlib.blake2b(orjson.dumps(parts), digest_size=20).hexdigest()


def _to_action(act: Callable[[], Response]) -> Action:
    return lambda: _to_reply(act())


def _to_named_action(act: Writing) -> NamedAction:
    return lambda write: _to_reply(act(write))


def _to_reply(response: Response) -> Reply:
    return Reply(response.status_code, response.media_type, bytes(response.body))


def _to_response(answer: Answer) -> Response:
    reply = answer.reply
    headers = {REPLAYED: "true"} if answer.replayed else None
    return Response(reply.body, reply.status, headers, reply.media_type)
