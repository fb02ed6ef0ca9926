"""The files of namespaces: opened on demand; the most recently used ones stay open.

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

from shoal import permits
from shoal.durable import remove_tree, sync_folder
from shoal.errors import Corrupt, InvalidField, Unavailable
from shoal.records.scope import Scope
from shoal.storage.filters.to_sql import register_functions
from shoal.storage.sqlite.commit_count import has_commits
from shoal.storage.sqlite.database import Database, identity_of, journal_size
from shoal.storage.sqlite.documents.receipts import RECEIPTS_SCHEMA
from shoal.storage.sqlite.documents.result_fences import FENCES_SCHEMA
from shoal.storage.sqlite.documents.slots import SLOTS_CHECKSUM, SLOTS_SCHEMA
from shoal.storage.sqlite.documents.space_lists import SPACE_LISTS, register_list_functions
from shoal.storage.sqlite.documents.vectors import VectorSegments, safe_name
from shoal.storage.sqlite.documents.written import WRITTEN_SCHEMA
from shoal.storage.sqlite.replies import REPLIES_CHECKSUM, REPLIES_SCHEMA

__all__ = [
    "DOCUMENTS_FORMAT",
    "Namespace",
    "Namespaces",
    "namespace_databases",
    "namespace_folders",
    "tombstone_folders",
]

_FILE: Final = "documents.sqlite"
_GONE: Final = ".gone"
_REMOVED: Final = "The namespace was removed while the request waited for it. Try again."
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
    """Return the folder of each namespace below `root`."""
    return sorted(root.glob("*/[!.]*"))


def namespace_databases(root: Path) -> list[Path]:
    """Return the database of each namespace below `root` that has one."""
    return [path for folder in namespace_folders(root) if (path := folder / _FILE).exists()]


def tombstone_folders(root: Path) -> list[Path]:
    """Return the folders of namespaces that are being removed, or were when their process ended."""
    return sorted(root.glob(f"*/.*{_GONE}"))


@dataclass(slots=True, eq=False)
class Namespace:
    """The open files of a namespace, in use by `users` calls; the last one closes them if `outdated`."""

    folder: Path
    database: Database
    files: VectorSegments
    users: int = 0
    outdated: bool = False

    def check_current(self) -> None:
        """Raise Unavailable if the namespace was dropped. Call it within a transaction, before files are written."""
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
    def open_existing(self, scope: Scope) -> Iterator[Namespace | None]:
        """Open a namespace for the block; None if it does not exist."""
        namespace = self._take(scope, create=False)
        try:
            yield namespace
        finally:
            if namespace is not None:
                self._release(namespace)

    @contextlib.contextmanager
    def open_or_create(self, scope: Scope) -> Iterator[Namespace]:
        """Open a namespace for the block; create it if it does not exist."""
        namespace = self._take(scope, create=True)
        try:
            yield namespace
        finally:
            self._release(namespace)

    def forget(self, namespace: Namespace) -> None:
        """Close the namespace after its last user; the next one opens it again."""
        with self._guard:
            self._discard(namespace)

    def move_away(self, scope: Scope) -> None:
        """Rename the folder of a namespace atomically to a tombstone; does nothing if there is none."""
        folder = self._folder(scope)
        try:
            folder.rename(folder.with_name(f".{folder.name}.{secrets.token_hex(6)}{_GONE}"))
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EXDEV:  # a folder of a lower overlay layer cannot be renamed
                raise
            remove_tree(folder)

    def remove_moved(self, scope: Scope) -> None:
        """Remove the tombstones of a namespace, also of processes that were killed before they could."""
        folder = self._folder(scope)
        gone = list(folder.parent.glob(f".{folder.name}.*{_GONE}"))
        if gone:
            sync_folder(folder.parent)  # otherwise a power cut could restore the name, with half of the contents
        for left in gone:
            remove_tree(left)

    def journal_bytes(self) -> int:
        """Return the size of the journals of all namespaces."""
        return sum(journal_size(folder / _FILE) for folder in namespace_folders(self._root))

    def checkpoint(self) -> None:
        """Truncate the journals of the open namespaces."""
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
        """Close idle namespaces now, the others after their last use; nothing can be opened afterwards."""
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
        namespace = self._acquire(folder)
        if namespace is not None:
            return namespace
        if identity_of(folder / _FILE) is None:
            left = has_commits(folder / _FILE) or any((folder / "vectors").glob("*/*/*"))
            if left and identity_of(folder / _FILE) is None:  # still missing: it is created before the files beside it
                raise Corrupt(f"The documents of {scope.namespace_id} are missing. Restore them from a backup.")
            if not create:
                return None
        # Opening may migrate a large file: other namespaces must not wait for it.
        with self._guard:
            opening = self._opening.setdefault(folder, Lock())
        with permits.hold_none(), opening:
            namespace = self._acquire(folder)
            return self._open_new(folder) if namespace is None else namespace

    def _acquire(self, folder: Path) -> Namespace | None:
        """Return the namespace with one more user, if it is open and current."""
        with self._guard:
            if self._closed:
                raise Unavailable("The document store is closed.")
            namespace = self._open_and_current(folder)
            if namespace is not None:
                self._open.move_to_end(folder)
                namespace.users += 1
            return namespace

    def _open_new(self, folder: Path) -> Namespace:
        namespace = self._open_files(folder)
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
        # Dropped, and perhaps created again, by another process.
        self._discard(namespace)
        return None

    def _open_files(self, folder: Path) -> Namespace:
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
