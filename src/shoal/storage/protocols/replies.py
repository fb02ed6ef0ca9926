"""Replies to requests with an idempotency key."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shoal.records.scope import Scope

__all__ = ["Reply", "ReplyReader", "ReplyWriter", "SavedReply"]


@dataclass(frozen=True, slots=True)
class Reply:
    """A response as it was sent."""

    status: int
    media_type: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class SavedReply:
    """The reply to a request with an idempotency key. `request` is a hash that identifies the request."""

    request: str
    reply: Reply
    saved_at: datetime


class ReplyReader(Protocol):
    """Replies by idempotency key."""

    def get_reply(self, scope: Scope, key: str) -> SavedReply | None:
        """Return the reply saved under an idempotency key in exactly this scope, however old."""


class ReplyWriter(Protocol):
    """Saves a reply in the transaction of the effect that it reports."""

    def save_reply(self, scope: Scope, key: str, saved: SavedReply, *, forget_before: datetime) -> None:
        """Save a reply, replacing an earlier one to the key, and prune some replies saved before `forget_before`."""
