"""Signed links: temporary access without a key, signed with a secret of the installation.

A link names one table of one run by ids, so it ends with the run, the cluster or the namespace, and it contains its
expiry. Links are not stored, so they are neither counted nor listed.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from shoal.durable import atomic_write, lock_folder
from shoal.errors import Forbidden
from shoal.records.base import format_wire_time
from shoal.records.scope import Scope

__all__ = ["LINK_LIFETIME", "Links", "SignedLink"]

LINK_LIFETIME: Final = timedelta(hours=1)
_SECRET_BYTES: Final = 32
_SIGNED_PARAMETERS: Final = ("organization", "namespace", "table", "cluster_label", "expires")
"""The signed parameters of a link, in the order of signing."""


@dataclass(frozen=True, slots=True)
class SignedLink:
    """A path with its query, and its expiry."""

    target: str
    expires_at: datetime


class Links:
    """Signs and verifies links. The secret is in `secret_file`, created on first use and readable by its owner only;
    where it is gone, as after a restore from a backup, earlier links are rejected."""

    def __init__(self, secret_file: Path, now: Callable[[], datetime]) -> None:
        self._file, self._now = secret_file, now
        self._secret: bytes | None = None

    def sign(self, scope: Scope, path: str, *, table: str, cluster_label: str | None = None) -> SignedLink:
        """Sign a link to `path`, quoted and without its mount, for one table in one scope."""
        expires_at = (self._now() + LINK_LIFETIME).replace(microsecond=0)
        parameters = {
            "organization": scope.organization_id,
            "namespace": scope.namespace_id,
            "table": table,
            **({} if cluster_label is None else {"cluster_label": cluster_label}),
            "expires": str(int(expires_at.timestamp())),
        }
        query = urlencode({**parameters, "signature": self._signature(path, parameters)})
        return SignedLink(f"{path}?{query}", expires_at)

    def check(self, path: str, query: Mapping[str, str]) -> Scope:
        """Return the scope of a link. Raises Forbidden where the signature is invalid or the link has expired."""
        signature = query.get("signature", "")
        if not hmac.compare_digest(self._signature(path, query).encode(), signature.encode()):
            raise Forbidden("The link was not issued by this server. Export the run again for a new one.")
        expires_at = datetime.fromtimestamp(int(query["expires"]), UTC)
        if self._now() >= expires_at:
            raise Forbidden(
                f"The link expired at {format_wire_time(expires_at)}. Export the run again for a new one.",
                expired_at=format_wire_time(expires_at),
            )
        return Scope(query["organization"], query["namespace"])

    def _signature(self, path: str, query: Mapping[str, str]) -> str:
        # With length prefixes no two sets of parameters have the same encoding; -1 marks an absent one.
        parts = [path, *(query.get(name) for name in _SIGNED_PARAMETERS)]
        message = "".join(f"{-1 if part is None else len(part)}:{part or ''}" for part in parts)
        digest = hmac.digest(self._load_secret(), message.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _load_secret(self) -> bytes:
        if self._secret is None:
            with lock_folder(self._file.parent):
                self._secret = self._read_secret() or self._create_secret()
        return self._secret

    def _read_secret(self) -> bytes | None:
        try:
            secret = self._file.read_bytes()
        except FileNotFoundError:
            return None
        return secret if len(secret) == _SECRET_BYTES else None

    def _create_secret(self) -> bytes:
        secret = secrets.token_bytes(_SECRET_BYTES)
        with atomic_write(self._file, private=True) as file:
            file.write(secret)
        return secret
