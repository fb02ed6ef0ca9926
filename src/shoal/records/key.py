"""API keys: how they are made and recognised, what is stored of them, and who a caller is.

A key is `sk_`, 32 random base62 characters (190 bits) and 6 checksum characters: CRC-32 of what stands before, in
base62. A typing error is therefore refused without asking the store. Only the SHA-256 of a key is kept.
"""

import hashlib
import secrets
import string
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field

from shoal.records.base import Body, Record, Timestamp
from shoal.records.queries.paging import Pagination

__all__ = [
    "ALL_PERMISSIONS",
    "Caller",
    "CreateKey",
    "CreatedKey",
    "Key",
    "KeyList",
    "KeyStatus",
    "PatchKey",
    "Permission",
    "has_checksum",
    "hash_of",
    "new_key",
]

Permission = Literal["read", "write", "delete", "admin"]
KeyStatus = Literal["active", "revoked", "expired"]
ALL_PERMISSIONS: Final[tuple[Permission, ...]] = ("read", "write", "delete", "admin")

_BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM, _CHECKSUM = 32, 6
_PREFIX: Final = "sk_"


def new_key() -> str:
    """A fresh key in plain text; shown once, never stored."""
    text = _PREFIX + "".join(secrets.choice(_BASE62) for _ in range(_RANDOM))
    return text + _checksum(text)


def has_checksum(text: str) -> bool:
    """Whether the text has the shape of a key and its checksum fits."""
    if len(text) != len(_PREFIX) + _RANDOM + _CHECKSUM or not text.startswith(_PREFIX) or not text.isascii():
        return False
    return secrets.compare_digest(_checksum(text[:-_CHECKSUM]), text[-_CHECKSUM:])


def hash_of(text: str) -> str:
    """SHA-256 in hex: what is stored and looked up."""
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECKSUM):
        number, digit = divmod(number, len(_BASE62))
        digits = _BASE62[digit] + digits
    return digits


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: what authentication learned from the key."""

    organization_id: str
    key_id: str
    name: str
    user_email: str
    permissions: frozenset[Permission]
    expires_at: datetime | None = None

    def may(self, permission: Permission) -> bool:
        """`admin` includes everything else; the others stand for themselves."""
        return permission in self.permissions or "admin" in self.permissions


class Key(Record):
    """A key as stored and shown; the plain text is in neither."""

    schema_version: int = 1
    key_id: str
    key_hash: str
    key_prefix: str
    """The first characters, so that people recognise it."""
    key_type: Literal["standard"] = "standard"
    is_internal: bool = False
    internal_id: str
    organization_id: str
    user_id: str
    user_email: str
    name: str
    description: str = ""
    permissions: list[Permission]
    scopes: list[dict[str, Any]] = Field(default_factory=list)
    status: KeyStatus = "active"
    expires_at: Timestamp | None = None
    last_used_at: Timestamp | None = None
    created_at: Timestamp
    created_by: str | None = None
    revoked_at: Timestamp | None = None
    revoked_by: str | None = None


class CreatedKey(Key):
    """The answer to create and rotate: the only ones with the plain text."""

    key: str


class KeyList(Record):
    """The answer to the list route."""

    results: list[Key]
    pagination: Pagination
    total_count: int


class _KeyBody(Body):
    description: str | None = Field(None, max_length=500)
    permissions: list[Permission] | None = None
    expires_at: datetime | None = None
    # Restrictions that Shoal does not know: a key must never look more restricted than it is, so they are refused.
    scopes: list[dict[str, Any]] | None = None
    rate_limit_override: int | None = None
    principal_id: str | None = None
    allowed_origins: list[str] | None = None


class CreateKey(_KeyBody):
    """Body of `POST .../api-keys`. Without permissions: read, write and delete."""

    name: str = Field(min_length=1, max_length=100)


class PatchKey(_KeyBody):
    """Body of `PATCH .../api-keys/{name}`; only what is sent changes, `expires_at: null` clears."""

    name: str | None = Field(None, min_length=1, max_length=100)
    status: KeyStatus | None = None
