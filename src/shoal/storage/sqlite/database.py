"""One SQLite file, shared by threads and processes. SQLite's errors do not leave this package.

Each thread has its own connection, so readers never wait (WAL). Writers of this process wait in a queue instead of
spinning on SQLITE_BUSY; writers of other processes are waited for up to 30 s. A commit is on disk when it returns
(synchronous=FULL). Needs SQLite 3.35 (UPDATE … RETURNING).
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

from shoal import deadline, permits
from shoal.durable import disk_error, is_full, make_folder, short_name, sync_folder
from shoal.errors import Unavailable
from shoal.storage.sqlite import commit_count
from shoal.storage.sqlite.connection import Connection, Seam, code_of
from shoal.storage.sqlite.migrations import format_of, migrate, refuse_newer
from shoal.storage.sqlite.whole_pages import check_whole_pages

__all__ = ["SQLITE_VERSION", "Database", "identity_of", "journal_size"]

SQLITE_VERSION: Final = sqlite3.sqlite_version

_WAIT_SECONDS: Final = 30.0
_STEPS_BETWEEN_CHECKS: Final = 20_000
"""Instructions of SQLite's virtual machine, about a millisecond, between two checks of the deadline."""
_PRAGMAS: Final = (
    f"PRAGMA busy_timeout={int(_WAIT_SECONDS * 1000)}",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA wal_autocheckpoint=1000",
    f"PRAGMA journal_size_limit={64 * 1024 * 1024}",
    "PRAGMA temp_store=MEMORY",
)
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class Database:
    """A SQLite file with a schema.

    Parameters
    ----------
    path
        The file, created if absent.
    schema
        `schema[i]` is the script that migrates format i to format i + 1 (`PRAGMA user_version`). Never change a script
        that was released; append another (`migrations.py` runs them).
    setup
        Called with each new connection, to register SQL functions.

    Raises
    ------
    Conflict
        The file was written by a newer version of Shoal.
    Corrupt
        The file is not a database, or has lost commits.
    Unavailable
        The file cannot be opened.
    """

    def __init__(
        self, path: Path, schema: Sequence[str], *, setup: Callable[[sqlite3.Connection], None] | None = None
    ) -> None:
        self.path = path
        self._setup = setup
        self._closed = False
        self._reset_process_state()
        _create(path)
        self.identity = identity_of(path)
        """Device and inode, to notice that the file was removed and another one has its name."""
        check_whole_pages(path)
        _switch_to_wal(self.read())
        if self.identity != identity_of(path):
            self.close()
            raise Unavailable(f"{short_name(path)} was removed while it was being opened. Try again.")
        commit_count.check(path, self.read())
        self._migrate(schema)
        # After it counts its commits: it then has an id, so that a late writer of a removed file of this name is
        # ignored.
        commit_count.create_file(path)

    def read(self) -> sqlite3.Connection:
        """Return this thread's connection, in autocommit mode or inside the open transaction of this thread.

        Read each cursor to its end: a half-read one prevents the journal from being truncated. Errors are Shoal's.
        """
        return self._session().connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block in a write transaction: on disk when the block ends, rolled back on an exception.

        Raises Unavailable after waiting 30 s for other writers, RuntimeError inside another block of this thread.
        """
        session = self._session()
        if session.only_reads:
            raise RuntimeError("A write inside a snapshot: open the transaction around it.")
        if session.writes:
            self._check_open(session)
            raise RuntimeError("A transaction inside a transaction: write through the connection of the outer one.")
        with (
            permits.hold_none(),
            self._writers.wait(self.path.name),
            session.begin_write(),
            _roll_back_on_error(session.connection),
        ):
            before = session.connection.total_changes
            yield session.connection
            self._check_open(session)
            changed = session.connection.total_changes > before
            deadline.check()
            with deadline.suspend():
                commit = commit_count.increment(session.connection) if changed else None
                session.connection.execute("COMMIT")
            if changed:
                deadline.lift()
            if commit is not None:
                commit_count.record(self.path, commit)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Run the block on one snapshot of the database, without writes. Inside a transaction, reads join it."""
        session = self._session()
        if session.connection.in_transaction:
            yield session.connection
            return
        session.connection.execute("BEGIN")
        session.only_reads = True
        try:
            with _roll_back_on_error(session.connection):
                yield session.connection
                session.connection.execute("COMMIT")
        finally:
            session.only_reads = False

    def checkpoint(self) -> None:
        """Copy the write-ahead log into the file and truncate it, unless readers still need it."""
        with contextlib.suppress(Unavailable):
            self.read().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def journal_bytes(self) -> int:
        """Return the size of the write-ahead log."""
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
            raise Unavailable(f"{self.path.name} rolled the transaction back: nothing of it was stored.")

    def _reset_process_state(self) -> None:
        self._pid = os.getpid()
        self._guard = threading.Lock()
        self._local = threading.local()
        self._sessions: weakref.WeakSet[_Session] = weakref.WeakSet()
        self._writers = _Queue()

    def _session(self) -> "_Session":
        if self._closed:
            raise Unavailable(f"{self.path.name} is closed.")
        if self._pid != os.getpid():
            # A connection must neither be used nor closed after a fork: start afresh and keep the old ones.
            _INHERITED.append(self._local)
            self._reset_process_state()
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
            connection.set_progress_handler(deadline.is_over, _STEPS_BETWEEN_CHECKS)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, schema: Sequence[str]) -> None:
        current = format_of(self.read())
        refuse_newer(self.path, current, len(schema))
        if current < len(schema) or not commit_count.counts(self.read()):
            # No deadline: interrupted by that of the request that opens the file, it would never be completed.
            with deadline.suspend(), self.transaction() as connection:
                migrate(self.path, connection, schema)
                commit_count.begin(connection)
            self.checkpoint()  # the id of the commit count is then in the file itself, whatever happens to the log


def journal_size(path: Path) -> int:
    """Return the size of the write-ahead log of a database, 0 if there is none."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return the device and inode of a file; None if there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


# ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Session:
    """A thread's connection. It is closed when the thread ends, which holds the only reference."""

    __slots__ = ("__weakref__", "close", "connection", "only_reads", "writes")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.only_reads = self.writes = False
        self.close = weakref.finalize(self, _close, connection, os.getpid())

    @contextlib.contextmanager
    def begin_write(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        self.writes = True
        try:
            yield
        finally:
            self.writes = False


_INHERITED: Final[list[object]] = []
"""Connections inherited through a fork: SQLite forbids closing them here, so they must not be collected either."""


def _close(connection: Connection, pid: int) -> None:
    if pid == os.getpid():
        connection.close()
    else:
        _INHERITED.append(connection)


# ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Queue:
    """A first-in, first-out lock; with a plain one a busy thread would starve the others."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    @contextlib.contextmanager
    def wait(self, name: str) -> Iterator[None]:
        if not self._acquire(_WAIT_SECONDS):
            raise Unavailable(f"{name} was busy with other writers for {_WAIT_SECONDS:.0f} s. Try again.")
        try:
            yield
        finally:
            self._release()

    def _acquire(self, timeout: float) -> bool:
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
        except BaseException:  # Ctrl-C while waiting: the place must not stay in the queue
            if not self._cancel(place):
                self._release()
            raise
        return not self._cancel(place)

    def _cancel(self, place: threading.Lock) -> bool:
        """Leave the queue. Returns False if the lock was handed over at this very moment."""
        with self._guard:
            if place in self._waiting:
                self._waiting.remove(place)
                return True
            return False

    def _release(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


@contextlib.contextmanager
def _roll_back_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            with deadline.suspend():
                connection.execute("ROLLBACK")
        raise


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _create(path: Path) -> None:
    """Create an empty file that only its owner may read; SQLite gives the journal the same permissions."""
    try:
        make_folder(path.parent)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        sync_folder(path.parent)
    except OSError as error:
        if is_full(error):
            raise disk_error(error, f"{path.name} cannot be created") from error
        raise Unavailable(f"{path.name} cannot be opened ({error.strerror}). Is the data folder writable?") from error


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log, a mode stored in the file.

    SQLite does not wait for locks here, so two processes that open a new file at once may collide.
    """
    give_up = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] == "wal":
                return
        except Unavailable as error:
            busy = isinstance(error.__cause__, sqlite3.Error) and code_of(error.__cause__) in _BUSY
            if not busy or time.monotonic() > give_up:
                raise
        else:
            raise Unavailable("The database cannot use a write-ahead log here. Is the data folder on a network drive?")
        time.sleep(0.02)
