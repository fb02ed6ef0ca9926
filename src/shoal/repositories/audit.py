"""The audit log: every change that a caller makes leaves a row, and so does every call that was refused.

Two halves meet here. Whoever lets a call in (the API, the command line) says with `Audit.acting` who is calling; a
service that changes something says with `note` what it did. The caller travels in a context variable, which follows a
call through threads and coroutines, so that no service has to hand it on; where nobody is calling (a worker, a test of
a service alone) `note` does nothing.

A change of records is noted within its transaction: both are stored or neither is. Documents live in a store of their
own, so there the row is written right after the change, before the call is answered.
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

__all__ = ["INSTALLATION", "Audit", "Note", "note", "note_done", "noted_later"]

INSTALLATION: Final = Scope("")
"""Where refused calls are kept whose key belongs to nobody; only the command line reads them."""

_PRUNED_EVERY: Final = 500
_PRUNED_AT_ONCE: Final = 2_000
_REFUSED_A_MINUTE: Final = 10
_MOST_BOUNDS: Final = 10_000
_LONGEST: Final = 200
_A_SECRET: Final = re.compile(r"sk_[0-9A-Za-z]{16,}")


@dataclass(frozen=True, slots=True)
class _Acting:
    audit: "Audit"
    origin: Origin


Note: TypeAlias = Callable[[Transaction], None]
"""Writes a row in a transaction."""
_log = logging.getLogger("shoal.audit")
_acting: ContextVar[_Acting | None] = ContextVar("acting", default=None)
_later: ContextVar[list[Note] | None] = ContextVar("later", default=None)


def note(tx: Transaction, scope: Scope, action: Action, id: str, **details: object) -> None:
    """Write who does `action` to the thing called `id`, in the transaction that does it.

    `details` are counts and ids; those that are None are left out. Does nothing where nobody is calling.
    """
    now = _acting.get()
    if now is not None:
        now.audit.write(tx, now.origin, scope, action, id, details)


def note_done(scope: Scope, action: Action, id: str, **details: object) -> None:
    """As above, in a transaction of its own, for what is done in another store and cannot be undone: a log that is full
    must not make it an error."""
    now, later = _acting.get(), _later.get()
    if now is None:
        return
    if later is not None:
        later.append(lambda tx: now.audit.write(tx, now.origin, scope, action, id, details))
        return
    try:
        now.audit.write_alone(now.origin, scope, action, id, details)
    except Unavailable as error:
        _log.error("audit.not_written", extra={"action": action, "cause": error.message})


@contextmanager
def noted_later() -> Iterator[list[Note]]:
    """Yields a list: what is noted inside is put there as a call instead of being written. For changes of documents
    whose rows are written in the transaction that ends them."""
    later: list[Note] = []
    token = _later.set(later)
    try:
        yield later
    finally:
        _later.reset(token)


class Audit:
    """The log over the metadata store. `now` is UTC; rows are kept `days` days, the newest `rows` an organisation."""

    def __init__(
        self, store: RecordStore, now: Callable[[], datetime], retention: RetentionClock, *, days: int, rows: int
    ) -> None:
        self._store, self._now, self._days, self._rows = store, now, days, rows
        self._retention = retention
        self._written = 0
        self._bounds: dict[tuple[str, str], _Bound] = {}

    @contextmanager
    def acting(self, origin: Origin) -> Iterator[None]:
        """Whatever is noted inside was asked for by this caller."""
        token = _acting.set(_Acting(self, origin))
        try:
            yield
        finally:
            _acting.reset(token)

    def search(self, scope: Scope, query: Query, asked: AuditQuestion) -> Listing[AuditEntry]:
        """The log of an organisation, newest first unless asked otherwise."""
        narrowed = replace(query, filter=And((query.filter, *_conditions(asked))))
        found = self._store.find(scope.organization, "audit", narrowed)
        return Listing([AuditEntry.model_validate(item.body) for item in found.items], found.total, found.more)

    def refused(self, organization_id: str, outcome: Outcome, id: str, **details: object) -> None:
        """A call that its key does not allow, or that has no good key; `id` is the key's, empty where unknown.

        At most 10 rows a minute for each key and for all unknown ones together, so that nobody can fill the disk by
        asking; the next row tells how many were left out. Never raises: the call is refused in any case.
        """
        left_out = self._bound(organization_id, id).left_out(self._now())
        now = _acting.get()
        if left_out is None or now is None:
            return
        details = {**details, "left_out": left_out or None}
        with suppress(Unavailable):
            self.write_alone(now.origin, Scope(organization_id), "key.refuse", id, details, outcome)

    def write_alone(
        self,
        origin: Origin,
        scope: Scope,
        action: Action,
        id: str,
        details: dict[str, Any],
        outcome: Outcome = "done",
    ) -> None:
        """One row, in a transaction of its own."""
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
        """One row, in the transaction of what it tells of."""
        caller = origin.caller
        entry = AuditEntry(
            audit_id=new_id("aud"),
            created_at=self._now(),
            organization_id=scope.organization_id,
            namespace_id=scope.namespace_id or None,
            action=action,
            outcome=outcome,
            resource_type=action.partition(".")[0],
            resource_id=_harmless(id),
            via=origin.via,
            key_id=None if caller is None else caller.key_id,
            key_name=None if caller is None else caller.name,
            user=origin.user if caller is None else caller.user_email,
            address=origin.address,
            request_id=origin.request_id,
            details={name: _shown(value) for name, value in details.items() if value is not None},
        )
        tx.insert(scope.organization, "audit", entry.audit_id, entry.model_dump(mode="json"))
        tx.on_commit(lambda: self._prune(scope.organization))

    def _prune(self, organization: Scope) -> None:
        """Now and then, and a bounded number of rows at a time: more than were written since the last time."""
        due = self._written % _PRUNED_EVERY == 0
        self._written += 1
        if due:
            with suppress(Unavailable):  # the row is written, and there is a next time
                self.prune(organization)

    def prune(self, organization: Scope) -> None:
        """Remove rows of an organisation that are too old or too many, a bounded number at a time."""
        now = self._retention()
        too_old = now - timedelta(days=self._days)
        self._store.transact(
            lambda tx: tx.prune(organization, "audit", too_old, now=now, keep=self._rows, most=_PRUNED_AT_ONCE)
        )

    def _bound(self, organization_id: str, id: str) -> "_Bound":
        if len(self._bounds) >= _MOST_BOUNDS:
            self._bounds.clear()
        return self._bounds.setdefault((organization_id, id), _Bound())


class _Bound:
    """How many rows may be written: 10 a minute."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._rows = self._left_out = 0

    def left_out(self, now: datetime) -> int | None:
        """How many went unwritten since the last row; None where this one has to as well."""
        if self._since is None or not self._since <= now < self._since + timedelta(minutes=1):
            self._since, self._rows = now, 0
        if self._rows >= _REFUSED_A_MINUTE:
            self._left_out += 1
            return None
        self._rows += 1
        left_out, self._left_out = self._left_out, 0
        return left_out


def _conditions(asked: AuditQuestion) -> Iterator[Filter]:
    if asked.action is not None:
        yield Condition("action", "starts_with", asked.action)
    if asked.outcome is not None:
        yield Condition("outcome", "eq", asked.outcome)
    if asked.key is not None:
        # A call without a good key has no caller; the key that was refused is its resource.
        of_key = [("key_id", asked.key), ("key_name", asked.key), ("resource_id", asked.key)]
        yield Or(tuple(Condition(name, "eq", value, case_sensitive=True) for name, value in of_key))
    if asked.since is not None:
        yield Condition("created_at", "gte", format_wire_time(asked.since))
    if asked.until is not None:
        yield Condition("created_at", "lt", format_wire_time(asked.until))


def _shown(value: object) -> object:
    return _harmless(value) if isinstance(value, str) else value


def _harmless(text: str) -> str:
    """Texts of callers: cut, and without anything that looks like a key."""
    return _A_SECRET.sub("sk_…", text)[:_LONGEST]
