"""A cache of valid API keys, so that not every request reads its key from the store."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shoal.records.key import Caller, Key

__all__ = ["CachedKey", "KeyCache"]

_LIFETIME: Final = timedelta(seconds=5)
_MAX_KEYS: Final = 10_000


@dataclass(frozen=True, slots=True)
class CachedKey:
    """A key that was valid at time `at` and reading `changes` of the access clock."""

    at: datetime
    changes: int
    caller: Caller


class KeyCache:
    """Callers by the digest of their key, for 5 seconds and never beyond its expiry. `now` is UTC."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._keys: dict[str, CachedKey] = {}

    def find(self, digest: str) -> CachedKey | None:
        """Return the entry of a key, None where it must be read from the store."""
        key, now = self._keys.get(digest), self._now()
        if key is None or not key.at <= now < key.at + _LIFETIME:
            return None
        return None if key.caller.expires_at is not None and key.caller.expires_at <= now else key

    def add(self, key: Key, changes: int) -> Caller:
        """Add a key. `changes` must be read before the key, which may be revoked meanwhile."""
        caller = Caller(
            key.organization_id, key.key_id, key.name, key.user_email, frozenset(key.permissions), key.expires_at
        )
        if len(self._keys) >= _MAX_KEYS:
            self._keys.clear()
        self._keys[key.key_hash] = CachedKey(self._now(), changes, caller)
        return caller
