"""Files are whole or absent: the one place that knows how bytes reach the disk for good."""

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
    "disk_error",
    "is_abandoned",
    "is_full",
    "is_of_disk",
    "locked",
    "make_folder",
    "named",
    "new_file_held",
    "on_read_only_disk",
    "remove_abandoned",
    "remove_tree",
    "sync_folder",
    "written_alone",
    "written_whole",
]

_TRIES: Final = 3
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_BROKEN: Final = frozenset({errno.EIO, errno.EROFS})
_SQLITE_FULL: Final = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"})
"""The second is how SQLite says that the index of the write-ahead log found no room."""


def named(path: Path) -> str:
    """A file of the data folder as messages call it: with the folder that tells it from others of its name."""
    return f"{path.parent.name}/{path.name}"


def is_full(error: BaseException) -> bool:
    """Whether an error of the system or of SQLite says that the disk, or the quota, has no room left."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    return getattr(error, "sqlite_errorname", None) in _SQLITE_FULL


def is_of_disk(error: BaseException) -> bool:
    """Whether an error of the system is the disk's: full, broken, or mounted so that nobody may write."""
    return isinstance(error, OSError) and (is_full(error) or error.errno in _BROKEN)


def disk_error(error: OSError, what: str) -> Unavailable:
    """An error of the disk in our words; `what` is a sentence without its end, such as "The disk took no vectors"."""
    if is_full(error):
        return InsufficientStorage(f"{what}: the disk is full. Delete something or enlarge the disk, then try again.")
    return Unavailable(f"{what} ({error.strerror or error}). Try again.")


@contextmanager
def written_whole(path: Path, *, synced: bool = True, private: bool = False) -> Iterator[BinaryIO]:
    """A file that appears at `path`, whole and on disk, when the block ends; on an exception nothing changes. One that
    is not `synced` may be torn by a power cut; one that is `private` is its owner's alone, from its first byte on.

    A file that was there is replaced at one moment: a reader sees the old bytes or the new ones, never a mixture.
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
def written_alone(path: Path) -> Iterator[BinaryIO]:
    """The same, after clearing away what writers of `path` that were killed left beside it. Each holds a lock on its
    own for as long as it lives."""
    ours = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{12}}\.part")
    for left in [one for one in path.parent.iterdir() if ours.fullmatch(one.name)]:
        remove_abandoned(left)
    with written_whole(path) as file:
        with suppress(OSError):  # a disk without locks
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file


def sync_folder(path: Path) -> None:
    """Put the names in a folder on disk: a new or renamed file can be lost by a power cut before this returns."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a folder, which stays with it when it is renamed and goes with the process, however that ends.

    Without `wait`, raises BlockingIOError where another holds it. A file system that has no locks for folders stops
    nobody who waits, and is taken for held by those who do not.
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
def new_file_held(folder: Path) -> Iterator[Path]:
    """A new empty file in a folder, private, and locked for as long as the block lasts; gone afterwards."""
    while True:
        path = folder / secrets.token_hex(16)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():  # else it was taken for abandoned before it was locked
            break
        os.close(descriptor)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def is_abandoned(path: Path) -> bool:
    """Whether nobody holds the lock of a file any more; False where it is gone. No clock is asked."""
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
    """Remove a file unless another process holds its lock; whether it was removed. The lock is held until the file is
    gone, so that `new_file_held` either keeps its file or makes another."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            return True
        finally:
            os.close(descriptor)
    return False


def on_read_only_disk(path: Path) -> bool:
    """Whether the disk of a path is mounted so that nobody can write to it."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def make_folder(path: Path) -> None:
    """Make a private folder and those above it, each one on disk. One that is there may be so for an instant only, and
    its name not yet on disk, so that of the innermost is synced again."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    sync_folder(path.parent)


def remove_tree(path: Path) -> None:
    """Remove a folder and all below it; nothing happens where it is absent, or goes away meanwhile. What somebody puts
    there meanwhile goes too."""
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
