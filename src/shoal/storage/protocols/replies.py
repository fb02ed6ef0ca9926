"""Replies to requests with an idempotency key."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shoal.records.scope import Scope

__all__ = ["Reply", "ReplyReader", "ReplyWriter", "SavedReply"]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it was sent."""

    status: int
    media_type: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class SavedReply:
    """The reply to a request with an idempotency key. `request` is a hash that tells this request from others."""

    request: str
    reply: Reply
    saved_at: datetime


class ReplyReader(Protocol):
    """Replies by idempotency key."""

    def saved_reply(self, scope: Scope, key: str) -> SavedReply | None:
        """What was saved under an idempotency key of exactly this scope, however old."""


class ReplyWriter(Protocol):
    """Saves a reply in the transaction of the effect that it tells of."""

    def save_reply(self, scope: Scope, key: str, saved: SavedReply, *, forget_before: datetime) -> None:
        """Save in place of an earlier reply to the key; some replies saved before `forget_before` make room."""
