"""Vectors on disk: append-only files of float32 rows, read through memory maps.

A series (one collection, one vector name) is a row of segment files. Row number `slot` of a segment starts at byte
`slot * dimension * 4`. What keeps readers safe without locks:

- A slot that was committed is never written again, and no file is ever cut below its committed length.
- Segment numbers are never used twice in a namespace, so a path never changes its meaning.
- A file that goes away is unlinked: whoever holds a map of it keeps the bytes.

Which slots are committed is told by the caller (`slots.py` keeps it in SQLite). Bytes beyond are what a writer
left that did not finish; the next writer cuts them. Writers of a namespace come one at a time.
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
    """Which segment: the storage key of a collection, the name of a vector, a number unique in the namespace."""

    collection: str
    vector: str
    number: int


class VectorSegments:
    """The segment files of one namespace, below `folder`. A segment holds at most `segment_bytes`, or one row."""

    def __init__(self, folder: Path, segment_bytes: int = 1 << 30) -> None:
        self.folder = folder
        self._segment_bytes = segment_bytes

    def rows_per_segment(self, dimension: int) -> int:
        """How many rows a segment takes before the next one is begun."""
        return max(1, self._segment_bytes // (dimension * _FLOAT.itemsize))

    def path(self, key: SegmentKey) -> Path:
        """The file of a segment, whether it exists or not."""
        return self.folder / safe_name(key.collection) / safe_name(key.vector) / f"{key.number:010d}.f32"

    def map(self, key: SegmentKey, dimension: int, slots: int) -> Points:
        """The first `slots` rows as a read-only memory map, (slots, dimension) float32.

        Raises FileNotFoundError where the segment was compacted away, Corrupt where the file is shorter than that.
        """
        path = self.path(key)
        if path.stat().st_size < slots * dimension * _FLOAT.itemsize:
            raise Corrupt(f"Vector file {path.name} is shorter than what was stored in it. Restore it from a backup.")
        if not slots:
            return np.empty((0, dimension), dtype=_FLOAT)
        return np.memmap(path, dtype=_FLOAT, mode="r", shape=(slots, dimension))

    def append(self, key: SegmentKey, dimension: int, slots: int) -> "SegmentAppender":
        """Open a segment for rows after its `slots` committed ones; what lies beyond those is cut off."""
        return SegmentAppender(self.path(key), self.folder, dimension, slots)

    def remove(self, key: SegmentKey) -> None:
        """Unlink a segment's file. Its folders stay, because a writer may be about to use them."""
        self.path(key).unlink(missing_ok=True)

    def size_of(self, keys: Iterable[SegmentKey]) -> int:
        """Bytes of the files of these segments."""
        return sum(self.path(key).stat().st_size for key in keys)

    def sweep(self, known: Collection[SegmentKey]) -> int:
        """Unlink every file that is none of the known segments, and empty folders. Returns the bytes freed.

        Only for the one who holds the namespace's write lock.
        """
        keep = {self.path(key) for key in known}
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
    """A segment open for writing. Nothing counts as stored before `sync` returned and the caller committed it."""

    def __init__(self, path: Path, root: Path, dimension: int, slots: int) -> None:
        self.slots = self._committed = slots
        self._path = path
        self._row_bytes = dimension * _FLOAT.itemsize
        with _speaking_of_the_disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
            try:
                self._cut()
            except BaseException:
                os.close(self._file)
                raise
            # Also where the file is there: a write that was undone may have left it, with names that are not on disk.
            self._new_folders = [] if slots else _up_to(path.parent, root.parent)

    def append(self, values: Points) -> int:
        """Write (m, d) rows behind the last one. Returns the slot of the first."""
        first = self.slots
        # The seam to foreign byte orders; on all usual machines nothing is copied.
        pending = memoryview(np.ascontiguousarray(values, dtype=_FLOAT).reshape(-1).view(np.uint8).data)
        with _speaking_of_the_disk(self._path):
            while pending:
                pending = pending[os.write(self._file, pending) :]
        self.slots += len(values)
        return first

    def sync(self) -> None:
        """Put all rows, and the file's name, on disk."""
        with _speaking_of_the_disk(self._path):
            os.fsync(self._file)
            for folder in self._new_folders:
                sync_folder(folder)
        self._new_folders = []

    def close(self) -> None:
        """Let go of the file. What was not synced may be lost."""
        os.close(self._file)

    def undo(self) -> None:
        """Give the room of rows that will not be committed back, and let go of the file."""
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
    """A file name for any text, the same on every system: different texts never share one, also where case is not
    told apart; no dots, no separators, at most 120 characters."""
    coded = "".join(chr(byte) if chr(byte) in _PLAIN else f"%{byte:02x}" for byte in text.encode())
    if 0 < len(coded) <= _LONGEST_NAME:
        return coded
    return f"~{hashlib.sha256(text.encode()).hexdigest()}"


def _up_to(folder: Path, top: Path) -> list[Path]:
    """The folder and those above it, `top` included: each may hold a new name."""
    above = [folder, *folder.parents]
    return above[: above.index(top) + 1]


@contextlib.contextmanager
def _speaking_of_the_disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_error(error, f"The disk did not take vectors for {path.name}") from error
