"""Detection of a database file that was truncated in the middle of a page.

SQLite reads the missing part of a page as zeros, and an index page that ends in zeros is a page with fewer entries:
rows would be left out silently. A file that ends at a page boundary needs no check, since SQLite reports whole missing
pages as damage.
"""

import time
from pathlib import Path
from typing import Final

from shoal.durable import disk_error, short_name
from shoal.errors import Corrupt

__all__ = ["check_whole_pages"]

_TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.05
_MAGIC: Final = b"SQLite format 3\0"
_PAGE_SIZE_AT: Final = slice(16, 18)
_LOG_HEADER, _FRAME_HEADER = 32, 24
_SALTS: Final = slice(16, 24)
_FRAME_SALTS: Final = slice(8, 16)


def check_whole_pages(path: Path) -> None:
    """Raise Corrupt if a database file ends within a page that its write-ahead log does not contain.

    A page in the log is going to be written again. Call this before the file is opened, which may pad it. Does nothing
    for a file that is gone. Raises Unavailable for a file that cannot be read.
    """
    try:
        _check(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise disk_error(error, f"{short_name(path)} cannot be read") from error


def _check(path: Path) -> None:
    for _ in range(_TRIES):
        cut = _cut_page(path)
        if cut is None or cut in _pages_in_log(path):
            return
        time.sleep(_PAUSE_SECONDS)  # it may be being written at this moment
    raise Corrupt(f"{short_name(path)} is truncated: its last page is incomplete. Restore it from a backup.")


def _cut_page(path: Path) -> int | None:
    """Return the number, from 1, of the page that the file holds only a part of; None at a page boundary."""
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(_MAGIC):
        return None  # SQLite reports that itself
    size = _page_size(header)
    length = path.stat().st_size
    return length // size + 1 if length % size else None


def _page_size(header: bytes) -> int:
    size = int.from_bytes(header[_PAGE_SIZE_AT], "big")
    return 65_536 if size == 1 else max(size, 512)


def _pages_in_log(path: Path) -> set[int]:
    try:
        log = path.with_name(f"{path.name}-wal").read_bytes()
    except FileNotFoundError:
        return set()
    stride = _FRAME_HEADER + int.from_bytes(log[8:12], "big")
    starts = range(_LOG_HEADER, len(log) - stride + 1, stride)
    salts = log[_SALTS]
    return {
        int.from_bytes(log[at : at + 4], "big") for at in starts if log[at : at + _FRAME_HEADER][_FRAME_SALTS] == salts
    }
