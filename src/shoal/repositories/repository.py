"""Typed records in the metadata store: one repository per kind, always used within a scope.

Inside a transaction `repository.within(tx)` is the same repository, with reads and writes through the transaction.
"""

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from heapq import nsmallest
from typing import Generic, TypeVar

from shoal.errors import NotFound
from shoal.records.audit import Action
from shoal.records.base import READING, Record
from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.repositories.audit import note
from shoal.storage.protocols.records import Json, Kind, Query, RecordReader, Stored
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["Repository", "RepositoryReads", "TransactionRepository"]

R = TypeVar("R", bound=Record)
_MAX_NAMES, _MAX_COMPARED = 1_000, 100
"""How many names are read, and how many of them, the nearest in length, are compared with an unknown name."""


class RepositoryReads(Generic[R]):
    """Reads of one kind. `ref` is an id or a name; the id takes precedence (contract.md#names-and-ids)."""

    def __init__(
        self, reader: RecordReader, kind: Kind, record: type[R], *, id_field: str, name_field: str | None = None
    ) -> None:
        self._reader, self._kind, self._record = reader, kind, record
        self._id_field, self._name_field = id_field, name_field

    def get(self, scope: Scope, ref: str) -> R:
        """Return a record. Raises NotFound."""
        return self._parse(self._load(scope, ref))

    def find_one(self, scope: Scope, ref: str) -> R | None:
        """Return a record, None where there is none."""
        stored = self._find(scope, ref)
        return None if stored is None else self._parse(stored)

    def search(self, scope: Scope, query: Query) -> Listing[R]:
        listing = self._reader.find(scope, self._kind, query)
        return Listing([self._parse(item) for item in listing.items], listing.total, listing.more)

    def all(self, scope: Scope, query: Query | None = None) -> list[R]:
        """Return every match, read page by page."""
        query = query or Query()
        page, records = replace(query.page, limit=1000, offset=0), list[R]()
        while True:
            listing = self.search(scope, replace(query, page=page))
            records += listing.items
            if not listing.more:
                return records
            page = replace(page, offset=page.offset + page.limit)

    def not_found(self, scope: Scope, ref: str) -> NotFound:
        """Build the error for an unknown reference, with the most similar name of the scope."""
        names = [] if self._name_field is None else self._reader.names(scope, self._kind, _MAX_NAMES)
        names = nsmallest(_MAX_COMPARED, names, key=lambda name: (abs(len(name) - len(ref)), name[:1] != ref[:1]))
        return NotFound(self._kind, ref, near=next(iter(get_close_matches(ref, names, n=1)), None))

    def _find(self, scope: Scope, ref: str) -> Stored | None:
        return self._reader.get(scope, self._kind, ref) or self._reader.get_by_name(scope, self._kind, ref)

    def _load(self, scope: Scope, ref: str) -> Stored:
        stored = self._find(scope, ref)
        if stored is None:
            raise self.not_found(scope, ref)
        return stored

    def _parse(self, stored: Stored) -> R:
        return self._record.model_validate(stored.body, context=READING)

    def _body(self, record: R) -> Json:
        return record.model_dump(mode="json")

    def _name(self, body: Json) -> str | None:
        return None if self._name_field is None else body[self._name_field]


class TransactionRepository(RepositoryReads[R]):
    """Reads and writes of one kind inside a transaction. `action` goes into the audit log with the change."""

    def __init__(
        self, tx: Transaction, kind: Kind, record: type[R], *, id_field: str, name_field: str | None = None
    ) -> None:
        super().__init__(tx, kind, record, id_field=id_field, name_field=name_field)
        self._tx = tx

    def add(self, scope: Scope, record: R, action: Action | None = None) -> R:
        """Insert a record. Raises AlreadyExists for an id or name that is taken."""
        body = self._body(record)
        id = str(body[self._id_field])
        self._tx.insert(scope, self._kind, id, body, name=self._name(body))
        self._note(scope, action, id, self._name(body))
        return record

    def change(self, scope: Scope, ref: str, edit: Callable[[R], R], action: Action | None = None) -> R:
        """Apply an edit to a record. Raises NotFound, AlreadyExists for a new name that is taken."""
        stored = self._load(scope, ref)
        edited = edit(self._parse(stored))
        body = self._body(edited)
        name = self._name(body)
        self._tx.replace(scope, self._kind, stored.id, body, name=name, expect_version=stored.version)
        self._note(scope, action, stored.id, name)
        return edited

    def remove(self, scope: Scope, id: str, action: Action | None = None) -> bool:
        """Delete a record. Returns whether it existed."""
        stored = None if action is None else self._tx.get(scope, self._kind, id)
        if stored is not None:
            self._note(scope, action, id, stored.name)
        return self._tx.delete(scope, self._kind, id)

    def _note(self, scope: Scope, action: Action | None, id: str, name: str | None) -> None:
        if action is not None:
            note(self._tx, scope, action, id, name=name)


class Repository(RepositoryReads[R]):
    """Records of one kind; each write is a separate transaction."""

    def __init__(
        self, store: RecordStore, kind: Kind, record: type[R], *, id_field: str, name_field: str | None = None
    ) -> None:
        super().__init__(store, kind, record, id_field=id_field, name_field=name_field)
        self._store = store

    def within(self, tx: Transaction) -> TransactionRepository[R]:
        """The same repository inside a transaction."""
        return TransactionRepository(tx, self._kind, self._record, id_field=self._id_field, name_field=self._name_field)

    def add(self, scope: Scope, record: R, action: Action | None = None) -> R:
        """Insert a record. Raises AlreadyExists for an id or name that is taken. `action` goes into the audit log, in
        the same transaction."""
        return self._store.transact(lambda tx: self.within(tx).add(scope, record, action))

    def change(self, scope: Scope, ref: str, edit: Callable[[R], R], action: Action | None = None) -> R:
        """Apply a pure edit to the newest version; it may be called several times.

        Raises NotFound, AlreadyExists for a new name that is taken.
        """
        return self._store.transact(lambda tx: self.within(tx).change(scope, ref, edit, action))

    def remove(self, scope: Scope, id: str, action: Action | None = None) -> bool:
        """Delete a record. Returns whether it existed."""
        return self._store.transact(lambda tx: self.within(tx).remove(scope, id, action))
