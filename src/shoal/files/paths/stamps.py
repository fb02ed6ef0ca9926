"""Detects whether a file was modified since it was opened."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

__all__ = ["Stamps", "find_changed_files", "stamp_files"]

Stamps: TypeAlias = Mapping[Path, tuple[int, int]]
"""Size and modification time of each file."""


def stamp_files(files: Sequence[Path]) -> Stamps:
    """Return the stamps of these files as they are now; files without access are left out."""
    stamps = dict[Path, tuple[int, int]]()
    for file in files:
        with suppress(OSError):
            status = file.stat()
            stamps[file.absolute()] = (status.st_size, status.st_mtime_ns)
    return stamps


def find_changed_files(earlier: Stamps) -> list[Path]:
    """Return the files that were modified or removed since."""
    now = stamp_files(list(earlier))
    return [path for path, stamp in earlier.items() if now.get(path) != stamp]
