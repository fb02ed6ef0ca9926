"""Keys that were good moments ago, so that not every request looks its key up."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shoal.records.key import Caller, Key

__all__ = ["KeyMemory", "RememberedKey"]

_KEPT: Final = timedelta(seconds=5)
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class RememberedKey:
    """A key that was good `at` a moment, at the reading `changes` of the access clock."""

    at: datetime
    changes: int
    caller: Caller


class KeyMemory:
    """By the digest of the key, for 5 seconds and never beyond its expiry. `now` is UTC."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._keys: dict[str, RememberedKey] = {}

    def find(self, digest: str) -> RememberedKey | None:
        """None where the key must be looked up."""
        key, now = self._keys.get(digest), self._now()
        if key is None or not key.at <= now < key.at + _KEPT:
            return None
        return None if key.caller.expires_at is not None and key.caller.expires_at <= now else key

    def remember(self, key: Key, changes: int) -> Caller:
        """`changes` was read before the key was: it may be revoked meanwhile."""
        caller = Caller(
            key.organization_id, key.key_id, key.name, key.user_email, frozenset(key.permissions), key.expires_at
        )
        if len(self._keys) >= _MOST:
            self._keys.clear()
        self._keys[key.key_hash] = RememberedKey(self._now(), changes, caller)
        return caller
