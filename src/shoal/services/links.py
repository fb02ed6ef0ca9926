"""Links that work by themselves for a while: what they allow is signed with a secret of the installation.

A link names one table of one run by ids, so it ends with the run, the cluster or the namespace; and it names the moment
at which it ends by itself. Nothing is kept about links, so they are not counted and not listed.
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

__all__ = ["LINK_LIFE", "Links", "SignedLink"]

LINK_LIFE: Final = timedelta(hours=1)
_SECRET_BYTES: Final = 32
_SIGNED: Final = ("organization", "namespace", "table", "cluster_label", "expires")
"""The parameters of a link, in the order in which they are signed."""


@dataclass(frozen=True, slots=True)
class SignedLink:
    """A path with its query, and when it ends."""

    target: str
    expires_at: datetime


class Links:
    """Makes and checks links. The secret lies in `secret_file`, made at the first use, its owner's alone; without it,
    as after a restore from a backup, links that were made before are refused."""

    def __init__(self, secret_file: Path, now: Callable[[], datetime]) -> None:
        self._file, self._now = secret_file, now
        self._secret: bytes | None = None

    def sign(self, scope: Scope, path: str, *, table: str, cluster_label: str | None = None) -> SignedLink:
        """A link to `path`, quoted and without its mount, for one table in one scope."""
        ends = (self._now() + LINK_LIFE).replace(microsecond=0)
        allowed = {
            "organization": scope.organization_id,
            "namespace": scope.namespace_id,
            "table": table,
            **({} if cluster_label is None else {"cluster_label": cluster_label}),
            "expires": str(int(ends.timestamp())),
        }
        query = urlencode({**allowed, "signature": self._signature(path, allowed)})
        return SignedLink(f"{path}?{query}", ends)

    def check(self, path: str, query: Mapping[str, str]) -> Scope:
        """The scope that a link opens. Raises Forbidden where it is not one that was made here, or is over."""
        given = query.get("signature", "")
        if not hmac.compare_digest(self._signature(path, query).encode(), given.encode()):
            raise Forbidden("The link is not one that this server made. Export the run again for a new one.")
        ends = datetime.fromtimestamp(int(query["expires"]), UTC)
        if self._now() >= ends:
            raise Forbidden(
                f"The link ended at {format_wire_time(ends)}. Export the run again for a new one.",
                expired_at=format_wire_time(ends),
            )
        return Scope(query["organization"], query["namespace"])

    def _signature(self, path: str, query: Mapping[str, str]) -> str:
        # Lengths stand before texts, so that no two sets of parameters are written alike; -1 is one that is left out.
        parts = [path, *(query.get(name) for name in _SIGNED)]
        told = "".join(f"{-1 if part is None else len(part)}:{part or ''}" for part in parts)
        digest = hmac.digest(self._key(), told.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _key(self) -> bytes:
        if self._secret is None:
            with lock_folder(self._file.parent):
                self._secret = self._kept() or self._made()
        return self._secret

    def _kept(self) -> bytes | None:
        try:
            secret = self._file.read_bytes()
        except FileNotFoundError:
            return None
        return secret if len(secret) == _SECRET_BYTES else None

    def _made(self) -> bytes:
        secret = secrets.token_bytes(_SECRET_BYTES)
        with atomic_write(self._file, private=True) as file:
            file.write(secret)
        return secret
