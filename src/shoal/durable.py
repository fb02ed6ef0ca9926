"""Atomic, durable file operations: a file is whole or absent, and on disk before a call returns."""

import errno
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from shoal.errors import InsufficientStorage, Unavailable

__all__ = [
    "atomic_write",
    "atomic_write_after_cleanup",
    "create_locked_file",
    "disk_error",
    "is_abandoned",
    "is_disk_error",
    "is_full",
    "is_on_read_only_disk",
    "lock_folder",
    "make_folder",
    "remove_abandoned",
    "remove_tree",
    "short_name",
    "sync_folder",
]

_TRIES: Final = 3
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_BROKEN: Final = frozenset({errno.EIO, errno.EROFS})
_SQLITE_FULL: Final = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"})
"""The second is SQLite's code for a full disk while it extends the index of the write-ahead log."""


def short_name(path: Path) -> str:
    """Return the name of a file for messages, with its parent folder: file names repeat from folder to folder."""
    return f"{path.parent.name}/{path.name}"


def is_full(error: BaseException) -> bool:
    """Whether an error of the operating system or of SQLite says that the disk, or the quota, is full."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    return getattr(error, "sqlite_errorname", None) in _SQLITE_FULL


def is_disk_error(error: BaseException) -> bool:
    """Whether an error of the operating system is a disk error: full, failing or mounted read-only."""
    return isinstance(error, OSError) and (is_full(error) or error.errno in _BROKEN)


def disk_error(error: OSError, what: str) -> Unavailable:
    """Translate a disk error; `what` begins the message, without a full stop, such as "Vectors could not be
    written"."""
    if is_full(error):
        return InsufficientStorage(f"{what}: the disk is full. Delete something or enlarge the disk, then try again.")
    return Unavailable(f"{what} ({error.strerror or error}). Try again.")


@contextmanager
def atomic_write(path: Path, *, synced: bool = True, private: bool = False) -> Iterator[BinaryIO]:
    """Write a file that appears at `path` when the block ends, or not at all if the block raises.

    A file that exists is replaced atomically: a reader sees the old bytes or the new ones, never a mixture.

    Parameters
    ----------
    path
        The file to create or replace.
    synced
        Whether the file and its name are on disk when the block ends; otherwise a power cut can tear it.
    private
        Whether only its owner can read the file, from its first byte on.

    Yields
    ------
    The open file.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            if synced:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if synced:
        sync_folder(path.parent)


@contextmanager
def atomic_write_after_cleanup(path: Path) -> Iterator[BinaryIO]:
    """Write a file as `atomic_write` does, after removing temporary files that killed writers of `path` left behind.

    A writer holds a lock on its temporary file for as long as it lives.
    """
    temporary = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{12}}\.part")
    for leftover in [entry for entry in path.parent.iterdir() if temporary.fullmatch(entry.name)]:
        remove_abandoned(leftover)
    with atomic_write(path) as file:
        with suppress(OSError):  # a disk without locks
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file


def sync_folder(path: Path) -> None:
    """Sync the entries of a folder: until this returns, a power cut can lose a new or renamed file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def lock_folder(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a folder. It survives a rename, and is released when the process ends, however that happens.

    Without `wait`, raises BlockingIOError if the lock is taken. On a file system without locks for folders, callers
    that wait get no lock, and callers that do not wait see the lock as taken.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if not wait:
                raise BlockingIOError(error.errno, error.strerror) from error
        yield
    finally:
        os.close(descriptor)


@contextmanager
def create_locked_file(folder: Path) -> Iterator[Path]:
    """Create an empty private file in a folder, locked for the duration of the block and removed afterwards."""
    while True:
        path = folder / secrets.token_hex(16)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():  # else it was removed as abandoned before it was locked
            break
        os.close(descriptor)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def is_abandoned(path: Path) -> bool:
    """Whether no process holds the lock of a file; False if the file is gone. Does not depend on the clock."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def remove_abandoned(path: Path) -> bool:
    """Remove a file unless another process holds its lock. Returns whether it was removed.

    The lock is held until the file is gone, so that `create_locked_file` either keeps its file or makes another.
    """
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            return True
        finally:
            os.close(descriptor)
    return False


def is_on_read_only_disk(path: Path) -> bool:
    """Whether the file system of a path is mounted read-only."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def make_folder(path: Path) -> None:
    """Create a private folder and its missing parents, synced.

    A folder that exists may have been created a moment ago by another process that has not synced its name yet, so the
    name of the innermost one is synced in any case.
    """
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    sync_folder(path.parent)


def remove_tree(path: Path) -> None:
    """Remove a folder recursively, including entries added meanwhile. Does nothing if it is absent or vanishes."""
    for attempt in range(_TRIES):
        with suppress(FileNotFoundError):
            for entry in list(path.iterdir()):
                if entry.is_dir() and not entry.is_symlink():
                    remove_tree(entry)
                else:
                    entry.unlink(missing_ok=True)
            try:
                path.rmdir()
            except OSError as error:
                if error.errno != errno.ENOTEMPTY or attempt == _TRIES - 1:
                    raise
                continue
        return
