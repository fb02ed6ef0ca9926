"""Vectors on disk: append-only files of float32 rows, read through memory maps.

A series (one collection, one vector name) is a sequence of segment files. Row `slot` of a segment starts at byte
`slot * dimension * 4`. Readers are safe without locks, because:

- A committed slot is never overwritten, and no file is truncated below its committed length.
- Segment numbers are never reused in a namespace, so a path never changes its meaning.
- Removed files are unlinked: existing memory maps keep the bytes.

The caller knows which slots are committed (`slots.py` stores it in SQLite). Bytes beyond were left by an unfinished
writer; the next writer truncates them. Writers of a namespace are serial.
"""

import contextlib
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from shoal.columns import Points
from shoal.durable import disk_error, sync_folder
from shoal.errors import Corrupt

__all__ = ["SegmentAppender", "SegmentKey", "VectorSegments", "safe_name"]

_FLOAT: Final = np.dtype("<f4")
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_@-")
_LONGEST_NAME: Final = 120


class SegmentKey(NamedTuple):
    """The key of a segment: storage key of a collection, vector name, and a number that is unique in the namespace."""

    collection: str
    vector: str
    number: int


class VectorSegments:
    """The segment files of one namespace, below `folder`. A segment holds at most `segment_bytes`, or one row."""

    def __init__(self, folder: Path, segment_bytes: int = 1 << 30) -> None:
        self.folder = folder
        self._segment_bytes = segment_bytes

    def rows_per_segment(self, dimension: int) -> int:
        """Return the number of rows of a full segment."""
        return max(1, self._segment_bytes // (dimension * _FLOAT.itemsize))

    def path(self, key: SegmentKey) -> Path:
        """Return the path of a segment, whether or not it exists."""
        return self.folder / safe_name(key.collection) / safe_name(key.vector) / f"{key.number:010d}.f32"

    def map(self, key: SegmentKey, dimension: int, slots: int) -> Points:
        """Map the first `slots` rows read-only, (slots, dimension) float32.

        Raises FileNotFoundError if the segment was compacted away, Corrupt if the file is too short.
        """
        path = self.path(key)
        if path.stat().st_size < slots * dimension * _FLOAT.itemsize:
            raise Corrupt(f"Vector file {path.name} is shorter than what was stored in it. Restore it from a backup.")
        if not slots:
            return np.empty((0, dimension), dtype=_FLOAT)
        return np.memmap(path, dtype=_FLOAT, mode="r", shape=(slots, dimension))

    def append(self, key: SegmentKey, dimension: int, slots: int) -> "SegmentAppender":
        """Open a segment for appending after its `slots` committed rows; bytes beyond are truncated."""
        return SegmentAppender(self.path(key), self.folder, dimension, slots)

    def remove(self, key: SegmentKey) -> None:
        """Unlink the file of a segment. Its folders stay, because a writer may be about to use them."""
        self.path(key).unlink(missing_ok=True)

    def size_of(self, keys: Iterable[SegmentKey]) -> int:
        """Return the total size of these segments, in bytes."""
        return sum(self.path(key).stat().st_size for key in keys)

    def sweep(self, segments: Collection[SegmentKey]) -> int:
        """Unlink every file that is not one of these segments, and remove empty folders. Returns the bytes freed.

        Call it only while holding the write lock of the namespace.
        """
        keep = {self.path(key) for key in segments}
        freed = 0
        for path in self.folder.glob("*/*/*.f32"):
            if path not in keep:
                freed += path.stat().st_size
                path.unlink()
        for folder in (*self.folder.glob("*/*"), *self.folder.glob("*")):
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()
        return freed


class SegmentAppender:
    """A segment open for appending. Rows are stored once `sync` has returned and the caller has committed."""

    def __init__(self, path: Path, root: Path, dimension: int, slots: int) -> None:
        self.slots = self._committed = slots
        self._path = path
        self._row_bytes = dimension * _FLOAT.itemsize
        with _translate_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
            try:
                self._cut()
            except BaseException:
                os.close(self._file)
                raise
            # Even if the file exists: a write that was rolled back may have left it, with names that are not synced.
            self._new_folders = [] if slots else _up_to(path.parent, root.parent)

    def append(self, values: Points) -> int:
        """Append (m, d) rows. Returns the slot of the first."""
        first = self.slots
        # Little-endian on disk; on common machines nothing is copied.
        pending = memoryview(np.ascontiguousarray(values, dtype=_FLOAT).reshape(-1).view(np.uint8).data)
        with _translate_errors(self._path):
            while pending:
                pending = pending[os.write(self._file, pending) :]
        self.slots += len(values)
        return first

    def sync(self) -> None:
        """Sync all rows, and the name of the file."""
        with _translate_errors(self._path):
            os.fsync(self._file)
            for folder in self._new_folders:
                sync_folder(folder)
        self._new_folders = []

    def close(self) -> None:
        """Close the file. Rows that were not synced may be lost."""
        os.close(self._file)

    def undo(self) -> None:
        """Remove rows that will not be committed, and close the file."""
        with contextlib.suppress(OSError):  # the next writer does it
            if self._committed:
                os.ftruncate(self._file, self._committed * self._row_bytes)
            else:
                self._path.unlink()
        self.close()

    def _cut(self) -> None:
        end = self.slots * self._row_bytes
        size = os.fstat(self._file).st_size
        if size < end:
            raise Corrupt(f"Vector file {self._path.name} is shorter than what was stored in it. Restore a backup.")
        if size > end:
            os.ftruncate(self._file, end)
        os.lseek(self._file, end, os.SEEK_SET)


def safe_name(text: str) -> str:
    """Return a file name for any text: portable, and unique even on case-insensitive file systems.

    It has no dots and no separators, and at most 120 characters.
    """
    coded = "".join(chr(byte) if chr(byte) in _PLAIN else f"%{byte:02x}" for byte in text.encode())
    if 0 < len(coded) <= _LONGEST_NAME:
        return coded
    return f"~{hashlib.sha256(text.encode()).hexdigest()}"


def _up_to(folder: Path, top: Path) -> list[Path]:
    """Return the folder and its parents up to `top`, included: each may have a new entry."""
    above = [folder, *folder.parents]
    return above[: above.index(top) + 1]


@contextlib.contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_error(error, f"Vectors for {path.name} could not be written") from error
