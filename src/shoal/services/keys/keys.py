"""Organisations and their API keys: bootstrap, authentication and the life cycle of keys."""

import secrets
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from shoal.durable import lock_folder
from shoal.errors import AlreadyExists, Conflict, InvalidField, NotFound, Unauthorized, Unavailable
from shoal.records.audit import Action
from shoal.records.ids import check_name, new_id
from shoal.records.key import (
    ALL_PERMISSIONS,
    Caller,
    CreatedKey,
    CreateKey,
    Key,
    KeyStatus,
    PatchKey,
    Permission,
    has_checksum,
    hash_of,
    new_key,
)
from shoal.records.namespace import CreateNamespace
from shoal.records.organization import Organization
from shoal.records.queries.filters import And, Condition
from shoal.records.queries.paging import Listing, Page
from shoal.records.scope import Scope
from shoal.repositories.access_clock import AccessClock, advance_access_clock
from shoal.repositories.audit import Audit
from shoal.repositories.repository import Repository, RepositoryReads
from shoal.services.keys.cache import KeyCache
from shoal.services.keys.file import read_key_digest, write_key
from shoal.services.keys.owner import check_email, user_id
from shoal.services.namespaces import Namespaces
from shoal.storage.protocols.records import Query
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["LOCAL_USER", "Keys"]

LOCAL_USER: Final = "local@shoal"
"""The owner of the key of the first start."""

_ROOT: Final = Scope("")
"""The scope of the list of organisations and of the index from key digests to owners."""

_USE_NOTED_EVERY: Final = timedelta(minutes=1)
_DEFAULT_PERMISSIONS: Final[tuple[Permission, ...]] = ("read", "write", "delete")
_PREFIX_LENGTH: Final = 10
"""The visible prefix of a key: older clients reject a shorter one, and 25 random characters remain secret."""
_RESTRICTIONS: Final = ("scopes", "rate_limit_override", "principal_id", "allowed_origins")


class Keys:
    """Organisations and keys over the metadata store. `now` is UTC.

    Every organisation keeps at least one key with the permission `admin` that is active and does not expire: a change
    over HTTP that would remove the last one is rejected, since no key could create another.
    """

    def __init__(self, store: RecordStore, namespaces: Namespaces, audit: Audit, now: Callable[[], datetime]) -> None:
        self._store, self._namespaces, self._audit, self._now = store, namespaces, audit, now
        self._keys = Repository(store, "key", Key, id_field="key_id", name_field="name")
        self._organizations = Repository(store, "organization", Organization, id_field="organization_id")
        self._clock = AccessClock(store)
        self._cache = KeyCache(now)

    # ── organisations ────────────────────────────────────────────────────────────────────────────────────────────────

    def bootstrap(self, key_file: Path) -> str | None:
        """Create, on the first start, an organisation, its namespace `default`, and an admin key, which is written to
        `key_file` (mode 0600) and returned this one time. Returns None on every later start."""
        if self.organizations():
            return None
        key_file.parent.mkdir(parents=True, exist_ok=True)
        with lock_folder(key_file.parent):  # several servers may start at once
            if self.organizations():
                return None
            secret, create = self._organization_creation("local")
            write_key(key_file, secret)  # before the commit: a crash leaves a file that the next start replaces
            self._store.transact(create)
        return secret

    def is_valid_file(self, key_file: Path) -> bool:
        """Whether the key in a file is active."""
        digest = read_key_digest(key_file)
        key = None if digest is None else self._find_by_digest(digest)
        return key is not None and self._status(key) == "active"

    def create_organization(self, name: str) -> CreatedKey:
        """Create an organisation with its namespace `default`. Returns its first key, with all permissions.

        Raises InvalidField for an invalid name, AlreadyExists for one that is taken.
        """
        return self._store.transact(self._organization_creation(name)[1])

    def _organization_creation(self, name: str) -> tuple[str, Callable[[Transaction], CreatedKey]]:
        """Return the secret of the first key, and the transaction body that creates everything."""
        check_name("name", name, "key")
        now = self._now()
        organization = Organization(
            organization_id=new_id("org"), organization_name=name, created_at=now, updated_at=now
        )
        scope = Scope(organization.organization_id)
        namespace = self._namespaces.creation(scope, CreateNamespace(namespace_name="default"))
        secret = new_key()
        first = CreateKey(name="first", permissions=list(ALL_PERMISSIONS))
        key = self._creation(scope, LOCAL_USER, first, None, secret)

        def create(tx: Transaction) -> CreatedKey:
            organizations = self._organizations.within(tx)
            for other in organizations.all(_ROOT):
                if other.organization_name == name:
                    raise AlreadyExists("organization", name, existing_id=other.organization_id)
            organizations.add(_ROOT, organization)
            namespace(tx)
            return key(tx)

        return secret, create

    def organization(self, scope: Scope) -> Organization:
        """Raises NotFound."""
        return self._organizations.get(_ROOT, scope.organization_id)

    def organizations(self) -> list[Organization]:
        """Return all organisations, oldest first; for the command line, which has access to the data folder anyway."""
        return self._organizations.all(_ROOT)[::-1]

    def has_several_organizations(self) -> bool:
        """Whether there is more than one."""
        return self._organizations.search(_ROOT, Query(page=Page(limit=1))).total > 1

    # ── authentication ───────────────────────────────────────────────────────────────────────────────────────────────

    def recall(self, secret: str) -> Caller | None:
        """Return the cached caller of a key, at most 5 seconds old, without a store. `confirm` it before acting on
        it."""
        cached = self._cache.find(hash_of(secret))
        return None if cached is None else cached.caller

    def authenticate(self, secret: str) -> Caller:
        """Return the caller of a key. A malformed key is rejected without reading the store. Raises Unauthorized."""
        if not has_checksum(secret):
            self._audit.note_refusal("", "unauthenticated", "", reason="malformed")
            raise Unauthorized("The API key is malformed. Copy it whole: 'sk_' and 38 characters.")
        return self._authenticate(hash_of(secret))

    def confirm(self, digest: str, changes: int) -> Caller:
        """Return the caller of the key with this digest at reading `changes` of the access clock: a key that any
        process revoked or rotated before is rejected. Raises Unauthorized."""
        cached = self._cache.find(digest)
        return cached.caller if cached is not None and cached.changes == changes else self._authenticate(digest)

    def _authenticate(self, digest: str) -> Caller:
        changes = self._clock.read()  # before the key is read, which may be revoked meanwhile
        key = self._find_by_digest(digest)
        if key is None:
            self._audit.note_refusal("", "unauthenticated", "", reason="unknown")
            raise Unauthorized("The API key is unknown.")
        status = self._status(key)
        if status != "active":
            self._audit.note_refusal(
                key.organization_id, "unauthenticated", key.key_id, reason=status, key_name=key.name
            )
            raise Unauthorized(f"The API key {key.name!r} is {status}.")
        self._note_use(Scope(key.organization_id), key)
        return self._cache.add(key, changes)

    def _find_by_digest(self, digest: str) -> Key | None:
        """Return the key whose secret has this digest. Secrets are only compared by digest."""
        entry = self._store.get(_ROOT, "key", digest)
        if entry is None:
            return None
        key = self._keys.find_one(Scope(entry.body["organization_id"]), entry.body["key_id"])
        return key if key is not None and secrets.compare_digest(key.key_hash, digest) else None

    def _note_use(self, scope: Scope, key: Key) -> None:
        now = self._now()
        if _is_recently_noted(key, now):
            return
        try:
            # In one transaction: of concurrent requests the first one writes, and the others see that.
            self._store.transact(lambda tx: self._note_use_within(tx, scope, key.key_id, now))
        except (Unavailable, NotFound):
            return  # a busy store or a just deleted key is no reason to reject an allowed request

    def _note_use_within(self, tx: Transaction, scope: Scope, key_id: str, now: datetime) -> None:
        keys = self._keys.within(tx)
        if not _is_recently_noted(keys.get(scope, key_id), now):
            keys.change(scope, key_id, lambda newest: newest.with_changes(last_used_at=now))

    # ── the life of a key ────────────────────────────────────────────────────────────────────────────────────────────

    def create(self, scope: Scope, email: str, body: CreateKey, by: str | None = None) -> CreatedKey:
        """Create a key for a user. Raises AlreadyExists for a name taken in the organisation, InvalidField."""
        return self._store.transact(self._creation(scope, email, body, by, new_key()))

    def _creation(
        self, scope: Scope, email: str, body: CreateKey, by: str | None, secret: str
    ) -> Callable[[Transaction], CreatedKey]:
        check_email(email)
        _refuse_restrictions(body)
        check_name("name", body.name, "key")
        now = self._now()
        key = Key(
            key_id=new_id("key"),
            key_hash=hash_of(secret),
            key_prefix=secret[:_PREFIX_LENGTH],
            internal_id=scope.organization_id,
            organization_id=scope.organization_id,
            user_id=user_id(email),
            user_email=email,
            name=body.name,
            description=body.description or "",
            permissions=_order_permissions(_DEFAULT_PERMISSIONS if body.permissions is None else body.permissions),
            expires_at=self._check_expiry(body.expires_at),
            created_at=now,
            created_by=by,
        )

        def create(tx: Transaction) -> CreatedKey:
            self._keys.within(tx).add(scope, key, "key.create")
            _index_digest(tx, key)
            return CreatedKey(**key.model_dump(), key=secret)

        return create

    def search(self, scope: Scope, email: str, query: Query) -> Listing[Key]:
        """Find the keys of a user, newest first by default."""
        of_user = And((query.filter, Condition("user_email", "eq", email, case_sensitive=True)))
        listing = self._keys.search(scope, replace(query, filter=of_user))
        return Listing([self._with_status(key) for key in listing.items], listing.total, listing.more)

    def all(self, scope: Scope) -> list[Key]:
        """Return the keys of all users, newest first."""
        return [self._with_status(key) for key in self._keys.all(scope)]

    def get(self, scope: Scope, ref: str, email: str | None = None) -> Key:
        """Return a key by name or id. Raises NotFound, also where it belongs to another user than `email`."""
        return self._with_status(_find_of_user(self._keys, scope, ref, email))

    def change(
        self,
        scope: Scope,
        ref: str,
        body: PatchKey,
        email: str | None = None,
        by: str | None = None,
        *,
        may_lock_out: bool = False,
    ) -> Key:
        """Change the fields that were sent. Raises NotFound, AlreadyExists, InvalidField, Conflict for a revoked key
        made active again and, unless `may_lock_out`, for a change that would leave no admin key."""
        _refuse_restrictions(body)
        if body.name is not None:
            check_name("name", body.name, "key")
        fields = {name: getattr(body, name) for name in ("name", "description", "permissions")}
        sent = {name: value for name, value in fields.items() if value is not None}
        if "permissions" in sent:
            sent["permissions"] = _order_permissions(sent["permissions"])
        if "expires_at" in body.model_fields_set:
            sent["expires_at"] = self._check_expiry(body.expires_at)
        if body.status == "revoked":
            sent |= {"status": "revoked", "revoked_at": self._now(), "revoked_by": by}

        def change(tx: Transaction) -> Key:
            keys = self._keys.within(tx)
            key = self._with_status(_find_of_user(keys, scope, ref, email))
            if body.status not in (None, "revoked") and key.status == "revoked":
                raise Conflict("A revoked key stays revoked. Create a new one.", id=key.key_id)
            if not may_lock_out:
                _check_admin_remains(keys, scope, key, key.with_changes(**sent))
            action: Action = "key.revoke" if body.status == "revoked" else "key.change"
            advance_access_clock(tx)
            return keys.change(scope, key.key_id, lambda newest: newest.with_changes(**sent), action)

        changed = self._store.transact(change)
        return self._with_status(changed)

    def remove(self, scope: Scope, ref: str, email: str | None = None) -> None:
        """Delete a key; it stops working at once. Raises NotFound, Conflict for the last admin key."""

        def remove(tx: Transaction) -> None:
            keys = self._keys.within(tx)
            key = self._with_status(_find_of_user(keys, scope, ref, email))
            _check_admin_remains(keys, scope, key, None)
            tx.delete(_ROOT, "key", key.key_hash)
            keys.remove(scope, key.key_id, "key.delete")
            advance_access_clock(tx)

        self._store.transact(remove)

    def rotate(self, scope: Scope, ref: str, email: str | None = None, *, key_file: Path | None = None) -> CreatedKey:
        """Replace the secret of a key; the old one stops working. Where `key_file` holds the old one, it gets the new
        one. Raises NotFound, Conflict for a revoked key."""
        secret = new_key()
        with nullcontext() if key_file is None else lock_folder(key_file.parent):
            old, rotated = self._renew(scope, ref, email, secret)
            if key_file is not None and read_key_digest(key_file) == old:
                with suppress(OSError):  # the new secret is returned anyway; `is_valid_file` reports a stale file
                    write_key(key_file, secret)
        return CreatedKey(**self._with_status(rotated).model_dump(), key=secret)

    def _renew(self, scope: Scope, ref: str, email: str | None, secret: str) -> tuple[str, Key]:
        """Replace the secret in one transaction. Returns the old digest and the changed key."""
        fresh = {"key_hash": hash_of(secret), "key_prefix": secret[:_PREFIX_LENGTH], "last_used_at": None}

        def renew(tx: Transaction) -> tuple[str, Key]:
            keys = self._keys.within(tx)
            key = self._with_status(_find_of_user(keys, scope, ref, email))
            if key.status == "revoked":
                raise Conflict("A revoked key cannot be rotated. Create a new one.", id=key.key_id)
            tx.delete(_ROOT, "key", key.key_hash)
            rotated = keys.change(scope, key.key_id, lambda newest: newest.with_changes(**fresh), "key.rotate")
            _index_digest(tx, rotated)
            advance_access_clock(tx)
            return key.key_hash, rotated

        return self._store.transact(renew)

    def _status(self, key: Key) -> KeyStatus:
        if key.status == "active" and key.expires_at is not None and key.expires_at <= self._now():
            return "expired"
        return key.status

    def _with_status(self, key: Key) -> Key:
        return key.with_changes(status=self._status(key))

    def _check_expiry(self, moment: datetime | None) -> datetime | None:
        if moment is None:
            return None
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if moment <= self._now():
            raise InvalidField("expires_at", "must lie in the future", value=moment.isoformat())
        return moment


def _find_of_user(keys: RepositoryReads[Key], scope: Scope, ref: str, email: str | None) -> Key:
    """Return a key. Raises NotFound, also where it belongs to another user than `email`."""
    key = keys.find_one(scope, ref)
    if key is None or (email is not None and key.user_email != email):
        raise NotFound("API key", ref)
    return key


def _check_admin_remains(keys: RepositoryReads[Key], scope: Scope, key: Key, after: Key | None) -> None:
    """Raise Conflict where the change would leave no lasting admin key. Call it in the transaction of the change."""
    if not _is_lasting_admin(key) or (after is not None and _is_lasting_admin(after)):
        return
    if not any(_is_lasting_admin(other) for other in keys.all(scope) if other.key_id != key.key_id):
        raise Conflict(
            f"{key.name!r} is the last admin key of the organisation that does not expire. Create another one "
            "first, or run `shoal keys revoke` where the server runs.",
            id=key.key_id,
        )


def _index_digest(tx: Transaction, key: Key) -> None:
    owner = {"organization_id": key.organization_id, "key_id": key.key_id}
    tx.insert(_ROOT, "key", key.key_hash, owner)


def _is_lasting_admin(key: Key) -> bool:
    return key.status == "active" and key.expires_at is None and "admin" in key.permissions


def _is_recently_noted(key: Key, now: datetime) -> bool:
    return key.last_used_at is not None and now - key.last_used_at < _USE_NOTED_EVERY


def _order_permissions(permissions: Sequence[Permission]) -> list[Permission]:
    if not permissions:
        raise InvalidField("permissions", "must not be empty", remedy="Choose from read, write, delete, admin.")
    return [permission for permission in ALL_PERMISSIONS if permission in permissions]


def _refuse_restrictions(body: CreateKey | PatchKey) -> None:
    for field in _RESTRICTIONS:
        if getattr(body, field):
            raise InvalidField(
                field, "is not supported", remedy="Leave it out and restrict the key by its permissions."
            )
