"""Free space on the disk of the data folder, and two safeguards against a full disk.

The reserve: new data is rejected while less than that is free, so that the disk rarely fills. The ballast: a file that
is removed when the disk fills all the same (another program, one large transaction), because a full disk does not allow
deletions either: SQLite has to write to delete. It must be larger than the write-ahead logs, which are truncated then;
1.5 times their limit proved enough, 0.5 times did not. Both recover automatically.
"""

import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shoal.errors import InsufficientStorage, Unavailable

__all__ = ["BALLAST_NAME", "Disk", "FreeSpace", "measure_space"]

BALLAST_NAME: Final = "ballast"
_MIB: Final = 2**20
_RESERVE_LEAST: Final = 1024 * _MIB
_RESERVE_MOST: Final = 10 * 1024 * _MIB
_RESERVE_SHARE: Final = 0.05
_log = logging.getLogger("shoal.disk")


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """The space on a disk, in bytes. `owed` is reserved for restoring the ballast."""

    free: int
    total: int
    reserve: int
    owed: int = 0

    @property
    def usable(self) -> int:
        """Bytes available to new data."""
        return max(0, self.free - self.reserve - self.owed)

    @property
    def low(self) -> bool:
        """Whether new data is rejected."""
        return self.usable == 0


def measure_space(folder: Path, reserve_mib: int = -1) -> FreeSpace:
    """Measure the space on the disk of a folder.

    `reserve_mib` -1 reserves 1 GiB or 5 % of the disk, whichever is more, but at most 10 GiB.
    """
    status = os.statvfs(folder)
    free, total = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
    reserve = reserve_mib * _MIB
    if reserve_mib < 0:
        reserve = min(_RESERVE_MOST, max(_RESERVE_LEAST, int(total * _RESERVE_SHARE)))
    return FreeSpace(free, total, reserve)


class Disk:
    """The disk of a data folder. `emptied` truncates the write-ahead logs where possible."""

    def __init__(
        self, folder: Path, *, reserve_mib: int = -1, ballast_mib: int = 96, emptied: Callable[[], None] = lambda: None
    ) -> None:
        self._folder, self._reserve_mib, self._emptied = folder, reserve_mib, emptied
        self._ballast, self._ballast_bytes = folder / BALLAST_NAME, ballast_mib * _MIB
        self._tended = self._refused = False

    def space(self) -> FreeSpace:
        """Measure the space now."""
        space = measure_space(self._folder, self._reserve_mib)
        owed = self._ballast_bytes if self._tended and not self._refused and not self._ballast.exists() else 0
        return FreeSpace(space.free, space.total, space.reserve, owed)

    def check(self, needed: int = 0) -> None:
        """Raise InsufficientStorage if `needed` bytes of new data must not be stored now."""
        space = self.space()
        if space.usable <= needed:
            raise InsufficientStorage(
                f"The disk has {space.free / _MIB:,.0f} MiB free, and {(space.reserve + space.owed) / _MIB:,.0f} MiB "
                "are kept in reserve. Delete something or enlarge the disk; reading and deleting still work meanwhile.",
                free_bytes=space.free,
                reserve_bytes=space.reserve,
                needed_bytes=needed or None,
            )

    def tend(self) -> None:
        """Remove the ballast when the disk is nearly full, and restore it when there is space.

        Call this every second, from one process of the data folder.
        """
        self._tended = self._ballast_bytes > 0
        if not self._tended:
            self._ballast.unlink(missing_ok=True)
            return
        space = self.space()
        if self._ballast.exists():
            if space.free < min(self._ballast_bytes, max(space.reserve // 2, _MIB)):
                self._remove_ballast(space)
        elif space.free > space.reserve + 2 * self._ballast_bytes and not self._refused:
            self._restore_ballast()

    def _remove_ballast(self, space: FreeSpace) -> None:
        self._ballast.unlink(missing_ok=True)
        _log.warning("disk.ballast_given_up", extra={"free_bytes": space.free})
        with contextlib.suppress(Unavailable):
            self._emptied()

    def _restore_ballast(self) -> None:
        part = self._ballast.with_name(f".{BALLAST_NAME}.part")
        try:
            descriptor = os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            try:
                # Allocated blocks: removing a sparse file would free nothing.
                os.posix_fallocate(descriptor, 0, self._ballast_bytes)
            finally:
                os.close(descriptor)
            part.replace(self._ballast)
        except OSError as error:
            part.unlink(missing_ok=True)
            self._refused = True  # a quota, or a file system without allocation: not tried again before a restart
            _log.warning("disk.no_ballast", extra={"cause": error.strerror})
