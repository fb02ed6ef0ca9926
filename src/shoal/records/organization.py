"""The organisation: the outermost border of everything. A local Shoal has one, made at the first start."""

from typing import Any

from pydantic import Field

from shoal.records.base import Record, Timestamp

__all__ = ["Me", "MeKey", "Organization"]


class Organization(Record):
    """What `GET /organizations` shows. There is no billing here; the fields the SDK insists on are filled neutrally."""

    schema_version: int = 1
    organization_id: str
    organization_name: str
    account_type: str = "enterprise"
    credit_count: int = 0
    rate_limits: dict[str, int] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    users: list[dict[str, Any]] = Field(default_factory=list)
    created_at: Timestamp
    updated_at: Timestamp


class MeKey(Record):
    """The key a caller used, as far as it is no secret."""

    name: str
    key_type: str = "standard"
    permissions: list[str]
    expires_at: Timestamp | None = None


class Me(Record):
    """What `GET /me` shows."""

    organization_id: str
    organization_name: str | None = None
    account_type: str
    user_email: str | None = None
    key: MeKey
    rate_limits: dict[str, int] | None = None
    principal_scoped: bool = False
