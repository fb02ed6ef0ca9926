"""One SQLite file, shared by threads and processes. Foreign errors stop here.

Each thread has a connection of its own, so readers never wait (WAL); writers of this process stand in a queue, so
that they do not spin on SQLITE_BUSY; writers of other processes are awaited for up to 30 s. Every commit is on disk
before it returns (synchronous=FULL). Needs SQLite 3.35 (UPDATE … RETURNING).
"""

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from shoal import deadline, turns
from shoal.durable import disk_error, is_full, make_folder, named, sync_folder
from shoal.errors import Unavailable
from shoal.storage.sqlite import commit_count
from shoal.storage.sqlite.connection import Connection, Seam, code_of
from shoal.storage.sqlite.migrations import format_of, migrate, refuse_newer
from shoal.storage.sqlite.whole_pages import check_whole_pages

__all__ = ["SQLITE_VERSION", "Database", "identity_of", "journal_size"]

SQLITE_VERSION: Final = sqlite3.sqlite_version

_WAIT_SECONDS: Final = 30.0
_STEPS_BETWEEN_LOOKS: Final = 20_000
"""Of SQLite's virtual machine, a millisecond or so, between two looks at the deadline."""
_PRAGMAS: Final = (
    f"PRAGMA busy_timeout={int(_WAIT_SECONDS * 1000)}",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA wal_autocheckpoint=1000",
    f"PRAGMA journal_size_limit={64 * 1024 * 1024}",
    "PRAGMA temp_store=MEMORY",
)
_WAIT_FOR: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class Database:
    """A SQLite file with a schema.

    `schema[i]` is the script that takes format i to format i + 1 (`PRAGMA user_version`); never change one that was
    released, append another (`migrations.py` runs them). `setup` runs on each new connection and registers
    SQL functions.
    Raises Conflict where the file was written by a newer Shoal, Corrupt where it is no database or has lost commits,
    Unavailable.
    """

    def __init__(
        self, path: Path, schema: Sequence[str], *, setup: Callable[[sqlite3.Connection], None] | None = None
    ) -> None:
        self.path = path
        self._setup = setup
        self._closed = False
        self._start_in_this_process()
        _create(path)
        self.identity = identity_of(path)
        """Which file it is: another one may get its name, when this one is removed."""
        check_whole_pages(path)
        _switch_to_wal(self.read())
        if self.identity != identity_of(path):
            self.close()
            raise Unavailable(f"{named(path)} was removed while it was opened. Try again.")
        commit_count.check(path, self.read())
        self._migrate(schema)
        # Once it counts: what a late writer of another file that had this name may note is known to be not its own.
        commit_count.make_room(path)

    def read(self) -> sqlite3.Connection:
        """This thread's connection, in autocommit mode, or inside the transaction this thread has open.

        Read a cursor to its end: one left half read keeps the journal from being cut. Its errors are Shoal's.
        """
        return self._session().connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All writes inside are on disk when the block ends or, on an exception, undone.

        Calls nest within a thread: an inner block joins the outer one, and where it fails only its own writes are
        undone if the outer block catches the exception. Raises Unavailable after 30 s of waiting for other writers.
        """
        session = self._session()
        if session.only_reads:
            raise RuntimeError("A write inside a snapshot: open the transaction around it.")
        if session.writes:
            self._check_open(session)
            with _savepoint(session.connection):
                yield session.connection
            return
        with (
            turns.hold_none(),
            self._writers.turn(self.path.name),
            session.writing(),
            _undone_on_error(session.connection, "ROLLBACK"),
        ):
            before = session.connection.total_changes
            yield session.connection
            self._check_open(session)
            changed = session.connection.total_changes > before
            deadline.check()
            with deadline.unlimited():
                commit = commit_count.count_up(session.connection) if changed else None
                session.connection.execute("COMMIT")
            if changed:
                deadline.lift()
            if commit is not None:
                commit_count.keep(self.path, commit)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """All reads inside see the store as it was at one moment. No writes inside; within a transaction it joins."""
        session = self._session()
        if session.connection.in_transaction:
            yield session.connection
            return
        session.connection.execute("BEGIN")
        session.only_reads = True
        try:
            with _undone_on_error(session.connection, "ROLLBACK"):
                yield session.connection
                session.connection.execute("COMMIT")
        finally:
            session.only_reads = False

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the file and cut it, as far as nobody reads from it."""
        with contextlib.suppress(Unavailable):
            self.read().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def journal_bytes(self) -> int:
        """The size of the write-ahead log."""
        return journal_size(self.path)

    def close(self) -> None:
        """Close the connections of all threads. Later calls raise Unavailable. May be called twice."""
        self._closed = True
        if self._pid != os.getpid():
            return
        with self._guard:
            sessions = list(self._sessions)
        for session in sessions:
            session.close()

    def _check_open(self, session: "_Session") -> None:
        if not session.connection.in_transaction:  # SQLite itself rolls back on a full disk or an I/O error
            raise Unavailable(f"{self.path.name} gave up the transaction: nothing of it was stored.")

    def _start_in_this_process(self) -> None:
        self._pid = os.getpid()
        self._guard = threading.Lock()
        self._local = threading.local()
        self._sessions: weakref.WeakSet[_Session] = weakref.WeakSet()
        self._writers = _Queue()

    def _session(self) -> "_Session":
        if self._closed:
            raise Unavailable(f"{self.path.name} is closed.")
        if self._pid != os.getpid():
            # A connection must not be used, nor closed, on the far side of a fork: begin anew, keep the old ones.
            _LEFT_BEHIND.append(self._local)
            self._start_in_this_process()
        session: _Session | None = getattr(self._local, "session", None)
        if session is None:
            session = _Session(self._connect())
            self._local.session = session
            with self._guard:
                self._sessions.add(session)
        return session

    def _connect(self) -> "Connection":
        with Seam(self.path):
            connection = sqlite3.connect(
                self.path,
                timeout=_WAIT_SECONDS,
                isolation_level=None,
                check_same_thread=False,
                factory=Connection,
                cached_statements=256,
            )
        try:
            for pragma in _PRAGMAS:
                connection.execute(pragma)
            if self._setup is not None:
                self._setup(connection)
            connection.set_progress_handler(deadline.is_over, _STEPS_BETWEEN_LOOKS)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, schema: Sequence[str]) -> None:
        found = format_of(self.read())
        refuse_newer(self.path, found, len(schema))
        if found < len(schema) or not commit_count.counts(self.read()):
            # All of it or nothing: cut by the time of the request that met the file first, it would never be done.
            with deadline.unlimited(), self.transaction() as connection:
                migrate(self.path, connection, schema)
                commit_count.begin(connection)
            self.checkpoint()  # the id of the count is in the file itself, whatever becomes of the log


def journal_size(path: Path) -> int:
    """The size of the write-ahead log of a database, 0 where there is none."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def identity_of(path: Path) -> tuple[int, int] | None:
    """Which file is at a path; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


# ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Session:
    """A thread's connection. It is closed when the thread ends, because the thread held the only reference."""

    __slots__ = ("__weakref__", "close", "connection", "only_reads", "writes")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.only_reads = self.writes = False
        self.close = weakref.finalize(self, _let_go, connection, os.getpid())

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        self.writes = True
        try:
            yield
        finally:
            self.writes = False


_LEFT_BEHIND: Final[list[object]] = []
"""Connections that came over a fork: SQLite forbids to close them here, so they must not be collected either."""


def _let_go(connection: Connection, pid: int) -> None:
    if pid == os.getpid():
        connection.close()
    else:
        _LEFT_BEHIND.append(connection)


# ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Queue:
    """A lock that is handed over in the order of arrival; a plain one lets a busy thread starve the others."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    @contextlib.contextmanager
    def turn(self, name: str) -> Iterator[None]:
        if not self._arrive(_WAIT_SECONDS):
            raise Unavailable(f"{name} was busy with other writers for {_WAIT_SECONDS:.0f} s. Try again.")
        try:
            yield
        finally:
            self._leave()

    def _arrive(self, timeout: float) -> bool:
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            place = threading.Lock()
            place.acquire()
            self._waiting.append(place)
        try:
            if place.acquire(timeout=timeout):
                return True
        except BaseException:  # Ctrl-C while waiting: the place must not be left in the queue
            if not self._gave_up(place):
                self._leave()
            raise
        return not self._gave_up(place)

    def _gave_up(self, place: threading.Lock) -> bool:
        """Leave the queue. False where the lock was handed over in this very moment."""
        with self._guard:
            if place in self._waiting:
                self._waiting.remove(place)
                return True
            return False

    def _leave(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


@contextlib.contextmanager
def _savepoint(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("SAVEPOINT inner")
    with _undone_on_error(connection, "ROLLBACK TO inner", "RELEASE inner"):
        yield
        connection.execute("RELEASE inner")


@contextlib.contextmanager
def _undone_on_error(connection: sqlite3.Connection, *undo: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            with deadline.unlimited():
                for statement in undo:
                    connection.execute(statement)
        raise


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _create(path: Path) -> None:
    """An empty file that only its owner may read; SQLite gives the journal the same rights."""
    try:
        make_folder(path.parent)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        sync_folder(path.parent)
    except OSError as error:
        if is_full(error):
            raise disk_error(error, f"{path.name} cannot be made") from error
        raise Unavailable(f"{path.name} cannot be opened ({error.strerror}). Is the data folder writable?") from error


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """The mode is kept in the file. SQLite does not wait for its turn here, so two first openers may collide."""
    give_up = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] == "wal":
                return
        except Unavailable as error:
            busy = isinstance(error.__cause__, sqlite3.Error) and code_of(error.__cause__) in _WAIT_FOR
            if not busy or time.monotonic() > give_up:
                raise
        else:
            raise Unavailable("The database cannot use a write-ahead log here. Is the data folder on a network drive?")
        time.sleep(0.02)
