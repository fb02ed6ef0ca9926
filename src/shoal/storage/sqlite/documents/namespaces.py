"""The files of namespaces: opened when asked for, the most recently used ones kept open.

`<root>/<organization>/<namespace>/documents.sqlite` and, beside it, `vectors/`; `.<namespace>.*.gone` while it is being
removed.
"""

import contextlib
import errno
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from threading import Lock
from typing import Final, Literal, overload

from shoal import turns
from shoal.durable import remove_tree, sync_folder
from shoal.errors import Corrupt, InvalidField, Unavailable
from shoal.records.scope import Scope
from shoal.storage.filters.to_sql import register_functions
from shoal.storage.sqlite.commit_count import knows
from shoal.storage.sqlite.database import Database, identity_of, journal_size
from shoal.storage.sqlite.documents.receipts import RECEIPTS_SCHEMA
from shoal.storage.sqlite.documents.result_fences import FENCES_SCHEMA
from shoal.storage.sqlite.documents.slots import SLOTS_CHECKSUM, SLOTS_SCHEMA
from shoal.storage.sqlite.documents.space_lists import SPACE_LISTS, register_list_functions
from shoal.storage.sqlite.documents.vectors import VectorSegments, safe_name
from shoal.storage.sqlite.documents.written import WRITTEN_SCHEMA
from shoal.storage.sqlite.replies import REPLIES_CHECKSUM, REPLIES_SCHEMA

__all__ = ["DOCUMENTS_FORMAT", "Namespace", "Namespaces", "namespace_databases", "namespace_folders", "removed_folders"]

_FILE: Final = "documents.sqlite"
_GONE: Final = ".gone"
_REMOVED: Final = "The namespace was removed while this waited for it. Try again."
_MOST_OPEN: Final = 64
_FIRST: Final = (
    """
CREATE TABLE collections (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE documents (
    number INTEGER PRIMARY KEY, collection INTEGER NOT NULL, document_id TEXT NOT NULL, payload TEXT NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE UNIQUE INDEX documents_by_id ON documents (collection, document_id);
"""
    + SLOTS_SCHEMA
)
_ENRICHMENTS: Final = """
CREATE TABLE enrichments (
    id TEXT PRIMARY KEY, cluster_id TEXT NOT NULL, run_id TEXT NOT NULL, run_time TEXT NOT NULL, target TEXT NOT NULL,
    total INTEGER NOT NULL, position INTEGER NOT NULL, enriched INTEGER NOT NULL, updated_at TEXT NOT NULL
);
CREATE INDEX enrichments_of_a_target ON enrichments (target, cluster_id);
CREATE INDEX enrichments_of_a_run ON enrichments (run_id);
"""
_CHECKSUMS: Final = "ALTER TABLE documents ADD COLUMN checksum INTEGER;" + SLOTS_CHECKSUM
_GUARDS: Final = RECEIPTS_SCHEMA + FENCES_SCHEMA
_SCHEMA: Final = (
    _FIRST,
    _ENRICHMENTS,
    _CHECKSUMS,
    REPLIES_SCHEMA,
    REPLIES_CHECKSUM,
    WRITTEN_SCHEMA,
    SPACE_LISTS,
    _GUARDS,
)
DOCUMENTS_FORMAT: Final = len(_SCHEMA)


def namespace_folders(root: Path) -> list[Path]:
    """The folder of each namespace below `root`."""
    return sorted(root.glob("*/[!.]*"))


def namespace_databases(root: Path) -> list[Path]:
    """The database of each namespace below `root` that has one."""
    return [path for folder in namespace_folders(root) if (path := folder / _FILE).exists()]


def removed_folders(root: Path) -> list[Path]:
    """Those of namespaces that were being removed when their process ended, or are right now."""
    return sorted(root.glob(f"*/.*{_GONE}"))


@dataclass(slots=True, eq=False)
class Namespace:
    """The open files of a namespace. `users` calls are using them; closed by the last one where `outdated`."""

    folder: Path
    database: Database
    files: VectorSegments
    users: int = 0
    outdated: bool = False

    def check_current(self) -> None:
        """Call it within a transaction, before files are written. Raises Unavailable where it was dropped meanwhile."""
        if identity_of(self.folder / _FILE) != self.database.identity:
            raise Unavailable(_REMOVED)


class Namespaces:
    """Opens namespaces and keeps the most recently used ones open."""

    def __init__(self, root: Path, segment_bytes: int) -> None:
        self._root = root
        self._segment_bytes = segment_bytes
        self._open: OrderedDict[Path, Namespace] = OrderedDict()
        self._opening: dict[Path, Lock] = {}
        self._guard = Lock()
        self._closed = False

    @contextlib.contextmanager
    def opened(self, scope: Scope) -> Iterator[Namespace | None]:
        """A namespace, kept open for the block; None where it was never written to."""
        namespace = self._take(scope, create=False)
        try:
            yield namespace
        finally:
            if namespace is not None:
                self._release(namespace)

    @contextlib.contextmanager
    def made(self, scope: Scope) -> Iterator[Namespace]:
        """A namespace, kept open for the block; made where it does not exist."""
        namespace = self._take(scope, create=True)
        try:
            yield namespace
        finally:
            self._release(namespace)

    def forget(self, namespace: Namespace) -> None:
        """Close the namespace when its last user is done; the next one opens it anew."""
        with self._guard:
            self._discard(namespace)

    def move_away(self, scope: Scope) -> None:
        """Take the name from the folder of a namespace, at one moment; nothing happens where there is none."""
        folder = self._folder(scope)
        try:
            folder.rename(folder.with_name(f".{folder.name}.{secrets.token_hex(6)}{_GONE}"))
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EXDEV:  # a layer below an overlay cannot be renamed
                raise
            remove_tree(folder)

    def remove_moved(self, scope: Scope) -> None:
        """Remove what was moved away of a namespace, now or by one that was killed before it came to this."""
        folder = self._folder(scope)
        gone = list(folder.parent.glob(f".{folder.name}.*{_GONE}"))
        if gone:
            sync_folder(folder.parent)  # else a power cut could bring the name back, with half of what it held
        for left in gone:
            remove_tree(left)

    def journal_bytes(self) -> int:
        """The size of the journals of all namespaces."""
        return sum(journal_size(folder / _FILE) for folder in namespace_folders(self._root))

    def checkpoint(self) -> None:
        """Cut the journals of the namespaces that are open."""
        with self._guard:
            using = list(self._open.values())
            for namespace in using:
                namespace.users += 1
        for namespace in using:
            try:
                namespace.database.checkpoint()
            finally:
                self._release(namespace)

    def close(self) -> None:
        """Close everything that is idle, the rest when it becomes so; nothing can be opened afterwards."""
        with self._guard:
            self._closed = True
            for namespace in list(self._open.values()):
                self._discard(namespace)

    def _folder(self, scope: Scope) -> Path:
        if not scope.namespace_id:
            raise InvalidField("namespace_id", "must not be empty", remedy="Documents live in a namespace.")
        return self._root / safe_name(scope.organization_id) / safe_name(scope.namespace_id)

    @overload
    def _take(self, scope: Scope, *, create: Literal[True]) -> Namespace: ...

    @overload
    def _take(self, scope: Scope, *, create: Literal[False]) -> Namespace | None: ...

    def _take(self, scope: Scope, *, create: bool) -> Namespace | None:
        folder = self._folder(scope)
        namespace = self._used(folder)
        if namespace is not None:
            return namespace
        if identity_of(folder / _FILE) is None:
            left = knows(folder / _FILE) or any((folder / "vectors").glob("*/*/*"))
            if left and identity_of(folder / _FILE) is None:  # still: the file is there before what lies beside it
                raise Corrupt(f"The documents of {scope.namespace_id} are missing. Restore them from a backup.")
            if not create:
                return None
        # Opening may migrate, which takes as long as the file is large: the other namespaces do not wait for it.
        with self._guard:
            opening = self._opening.setdefault(folder, Lock())
        with turns.hold_none(), opening:
            namespace = self._used(folder)
            return self._made(folder) if namespace is None else namespace

    def _used(self, folder: Path) -> Namespace | None:
        """The namespace, where it is open and current, with one user more."""
        with self._guard:
            if self._closed:
                raise Unavailable("The document store is closed.")
            namespace = self._open_and_current(folder)
            if namespace is not None:
                self._open.move_to_end(folder)
                namespace.users += 1
            return namespace

    def _made(self, folder: Path) -> Namespace:
        namespace = self._make(folder)
        with self._guard:
            if self._closed:
                namespace.database.close()
                raise Unavailable("The document store is closed.")
            self._open[folder] = namespace
            namespace.users += 1
            idle = [other for other in self._open.values() if not other.users]
            for other in idle[: max(0, len(self._open) - _MOST_OPEN)]:
                self._discard(other)
        return namespace

    def _open_and_current(self, folder: Path) -> Namespace | None:
        namespace = self._open.get(folder)
        if namespace is None or namespace.database.identity == identity_of(folder / _FILE):
            return namespace
        # Dropped, and perhaps made again, by another process.
        self._discard(namespace)
        return None

    def _make(self, folder: Path) -> Namespace:
        before = identity_of(folder / _FILE)
        try:
            database = Database(folder / _FILE, _SCHEMA, setup=_prepare)
        except Unavailable as error:
            after = identity_of(folder / _FILE)
            if after is None or before not in (None, after):
                raise Unavailable(_REMOVED) from error
            raise
        files = VectorSegments(folder / "vectors", self._segment_bytes)
        return Namespace(folder, database, files)

    def _release(self, namespace: Namespace) -> None:
        with self._guard:
            namespace.users -= 1
            if namespace.outdated and not namespace.users:
                namespace.database.close()

    def _discard(self, namespace: Namespace) -> None:
        if self._open.get(namespace.folder) is namespace:
            del self._open[namespace.folder]
        namespace.outdated = True
        if not namespace.users:
            namespace.database.close()


def _prepare(connection: Connection) -> None:
    # Enough for the inner pages of the index by id: random ids are otherwise read from the file at each insert.
    connection.execute("PRAGMA cache_size=-32768")
    register_functions(connection)
    register_list_functions(connection)
