"""The audit log: a row for every change by a caller and for every rejected request.

The entry point (the API or the command line) sets the caller with `Audit.acting`; a service that changes something
records it with `note`. The caller is in a context variable, which follows a request through threads and coroutines, so
that services need not pass it on; without a caller (in a worker, or in tests of a service) `note` does nothing.

A change of records is noted within its transaction: both are stored or neither is. Documents are in a separate store,
so there the row is written right after the change, before the request is answered.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from shoal.errors import Unavailable
from shoal.records.audit import Action, AuditEntry, AuditQuestion, Origin, Outcome
from shoal.records.base import format_wire_time
from shoal.records.ids import new_id
from shoal.records.queries.filters import And, Condition, Filter, Or
from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.repositories.retention_clock import RetentionClock
from shoal.storage.protocols.records import Query
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["INSTALLATION", "Audit", "Note", "defer_notes", "note", "note_done"]

INSTALLATION: Final = Scope("")
"""The scope of rejected requests with an unknown key; only the command line reads it."""

_PRUNED_EVERY: Final = 500
_PRUNED_AT_ONCE: Final = 2_000
_REFUSALS_PER_MINUTE: Final = 10
_MAX_QUOTAS: Final = 10_000
_MAX_TEXT: Final = 200
_SECRET: Final = re.compile(r"sk_[0-9A-Za-z]{16,}")


@dataclass(frozen=True, slots=True)
class _Context:
    audit: "Audit"
    origin: Origin


Note: TypeAlias = Callable[[Transaction], None]
"""A call that writes a row in a transaction."""
_log = logging.getLogger("shoal.audit")
_context: ContextVar[_Context | None] = ContextVar("acting", default=None)
_deferred: ContextVar[list[Note] | None] = ContextVar("later", default=None)


def note(tx: Transaction, scope: Scope, action: Action, id: str, **details: object) -> None:
    """Record that the caller performed `action` on the resource `id`, in the transaction of the change.

    `details` are counts and ids; those that are None are omitted. Does nothing without a caller.
    """
    now = _context.get()
    if now is not None:
        now.audit.write(tx, now.origin, scope, action, id, details)


def note_done(scope: Scope, action: Action, id: str, **details: object) -> None:
    """As `note`, in a separate transaction, for a change in another store that cannot be undone: a failure of the log
    is not an error of the request."""
    now, deferred = _context.get(), _deferred.get()
    if now is None:
        return
    if deferred is not None:
        deferred.append(lambda tx: now.audit.write(tx, now.origin, scope, action, id, details))
        return
    try:
        now.audit.write_separately(now.origin, scope, action, id, details)
    except Unavailable as error:
        _log.error("audit.not_written", extra={"action": action, "cause": error.message})


@contextmanager
def defer_notes() -> Iterator[list[Note]]:
    """Collect the notes of a block in a list instead of writing them, for changes of documents whose rows are written
    in the transaction that completes them."""
    deferred: list[Note] = []
    token = _deferred.set(deferred)
    try:
        yield deferred
    finally:
        _deferred.reset(token)


class Audit:
    """The log in the metadata store. `now` is UTC; rows are kept for `days` days, at most the newest `rows` of an
    organisation."""

    def __init__(
        self, store: RecordStore, now: Callable[[], datetime], retention: RetentionClock, *, days: int, rows: int
    ) -> None:
        self._store, self._now, self._days, self._rows = store, now, days, rows
        self._retention = retention
        self._written = 0
        self._quotas: dict[tuple[str, str], _RefusalQuota] = {}

    @contextmanager
    def acting(self, origin: Origin) -> Iterator[None]:
        """Attribute the notes of a block to this caller."""
        token = _context.set(_Context(self, origin))
        try:
            yield
        finally:
            _context.reset(token)

    def search(self, scope: Scope, query: Query, question: AuditQuestion) -> Listing[AuditEntry]:
        """Search the log of an organisation, newest first by default."""
        narrowed = replace(query, filter=And((query.filter, *_conditions(question))))
        listing = self._store.find(scope.organization, "audit", narrowed)
        return Listing([AuditEntry.model_validate(item.body) for item in listing.items], listing.total, listing.more)

    def note_refusal(self, organization_id: str, outcome: Outcome, id: str, **details: object) -> None:
        """Record a request that was rejected for lack of a valid key or of a permission; `id` is that of the key, or
        empty.

        At most 10 rows a minute are written for each key and for all unknown ones together, so that requests cannot
        fill the disk; the next row contains the number of omitted ones. Never raises: the request is rejected anyway.
        """
        skipped = self._quota_for(organization_id, id).take(self._now())
        now = _context.get()
        if skipped is None or now is None:
            return
        details = {**details, "left_out": skipped or None}
        with suppress(Unavailable):
            self.write_separately(now.origin, Scope(organization_id), "key.refuse", id, details, outcome)

    def write_separately(
        self,
        origin: Origin,
        scope: Scope,
        action: Action,
        id: str,
        details: dict[str, Any],
        outcome: Outcome = "done",
    ) -> None:
        """Write a row in a separate transaction."""
        self._store.transact(lambda tx: self.write(tx, origin, scope, action, id, details, outcome))

    def write(
        self,
        tx: Transaction,
        origin: Origin,
        scope: Scope,
        action: Action,
        id: str,
        details: dict[str, Any],
        outcome: Outcome = "done",
    ) -> None:
        """Write a row in the transaction of the change."""
        caller = origin.caller
        entry = AuditEntry(
            audit_id=new_id("aud"),
            created_at=self._now(),
            organization_id=scope.organization_id,
            namespace_id=scope.namespace_id or None,
            action=action,
            outcome=outcome,
            resource_type=action.partition(".")[0],
            resource_id=_redact(id),
            via=origin.via,
            key_id=None if caller is None else caller.key_id,
            key_name=None if caller is None else caller.name,
            user=origin.user if caller is None else caller.user_email,
            address=origin.address,
            request_id=origin.request_id,
            details={name: _redact_value(value) for name, value in details.items() if value is not None},
        )
        tx.insert(scope.organization, "audit", entry.audit_id, entry.model_dump(mode="json"))
        tx.on_commit(lambda: self._prune(scope.organization))

    def _prune(self, organization: Scope) -> None:
        """Prune now and then, a bounded number of rows, but more than were written since the last time."""
        due = self._written % _PRUNED_EVERY == 0
        self._written += 1
        if due:
            with suppress(Unavailable):  # the row is written, and the next call prunes
                self.prune(organization)

    def prune(self, organization: Scope) -> None:
        """Remove rows of an organisation that are too old or too many, a bounded number at a time."""
        now = self._retention()
        too_old = now - timedelta(days=self._days)
        self._store.transact(
            lambda tx: tx.prune(organization, "audit", too_old, now=now, keep=self._rows, most=_PRUNED_AT_ONCE)
        )

    def _quota_for(self, organization_id: str, id: str) -> "_RefusalQuota":
        if len(self._quotas) >= _MAX_QUOTAS:
            self._quotas.clear()
        return self._quotas.setdefault((organization_id, id), _RefusalQuota())


class _RefusalQuota:
    """The quota of rows about rejected requests: 10 a minute."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._rows = self._skipped = 0

    def take(self, now: datetime) -> int | None:
        """Return the number of rows omitted since the last one, or None where this one must be omitted as well."""
        if self._since is None or not self._since <= now < self._since + timedelta(minutes=1):
            self._since, self._rows = now, 0
        if self._rows >= _REFUSALS_PER_MINUTE:
            self._skipped += 1
            return None
        self._rows += 1
        skipped, self._skipped = self._skipped, 0
        return skipped


def _conditions(question: AuditQuestion) -> Iterator[Filter]:
    if question.action is not None:
        yield Condition("action", "starts_with", question.action)
    if question.outcome is not None:
        yield Condition("outcome", "eq", question.outcome)
    if question.key is not None:
        # A request without a valid key has no caller; its resource is the rejected key.
        of_key = [("key_id", question.key), ("key_name", question.key), ("resource_id", question.key)]
        yield Or(tuple(Condition(name, "eq", value, case_sensitive=True) for name, value in of_key))
    if question.since is not None:
        yield Condition("created_at", "gte", format_wire_time(question.since))
    if question.until is not None:
        yield Condition("created_at", "lt", format_wire_time(question.until))


def _redact_value(value: object) -> object:
    return _redact(value) if isinstance(value, str) else value


def _redact(text: str) -> str:
    """Truncate a text of a caller, and mask anything that looks like a key."""
    return _SECRET.sub("sk_…", text)[:_MAX_TEXT]
