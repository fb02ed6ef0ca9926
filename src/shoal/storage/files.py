"""Files are whole or absent: the one place that knows how bytes reach the disk for good."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["locked", "make_folder", "remove_tree", "sync_folder", "written_whole"]


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file that appears at `path`, whole and on disk, when the block ends; on an exception nothing changes.

    A file that was there is replaced at one moment: a reader sees the old bytes or the new ones, never a mixture.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


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


def make_folder(path: Path) -> None:
    """Make a folder and those above it, each one on disk; nothing happens where it exists."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def remove_tree(path: Path) -> None:
    """Remove a folder and all below it; nothing happens where it is absent, or goes away meanwhile."""
    try:
        entries = list(path.iterdir())
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            remove_tree(entry)
        else:
            entry.unlink(missing_ok=True)
    try:
        path.rmdir()
    except FileNotFoundError:
        return
