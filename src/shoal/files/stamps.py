"""What shows that a file was written to since it was opened."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

__all__ = ["Stamps", "changed_files", "stamps_of"]

Stamps: TypeAlias = Mapping[Path, tuple[int, int]]
"""Size and time of the last change of each file."""


def stamps_of(files: Sequence[Path]) -> Stamps:
    """Of these files as they are now; one that cannot be looked at is left out."""
    found = dict[Path, tuple[int, int]]()
    for file in files:
        with suppress(OSError):
            status = file.stat()
            found[file.absolute()] = (status.st_size, status.st_mtime_ns)
    return found


def changed_files(then: Stamps) -> list[Path]:
    """Those that are not as they were then, or are gone."""
    now = stamps_of(list(then))
    return [path for path, stamp in then.items() if now.get(path) != stamp]
