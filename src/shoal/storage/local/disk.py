"""How much room the disk of the data folder has, and how some of it is kept for the day it is full.

Two guards. The reserve: new data are refused while less than that is free, so that the disk hardly ever fills. The
ballast: a file that is given up when the disk filled all the same (another program, one large transaction), because a
full disk takes no deletion either: SQLite has to write to delete. It must be larger than the write-ahead logs, which
are emptied then; 1.5 times their limit proved enough, 0.5 times did not. Both come back by themselves.
"""

import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shoal.errors import InsufficientStorage, Unavailable

__all__ = ["BALLAST_NAME", "Disk", "Room", "room"]

BALLAST_NAME: Final = "ballast"
_MIB: Final = 2**20
_RESERVE_LEAST: Final = 1024 * _MIB
_RESERVE_MOST: Final = 10 * 1024 * _MIB
_RESERVE_SHARE: Final = 0.05
_log = logging.getLogger("shoal.disk")


@dataclass(frozen=True, slots=True)
class Room:
    """The state of a disk, in bytes. `owed` is what the ballast takes again before new data may."""

    free: int
    total: int
    reserve: int
    owed: int = 0

    @property
    def usable(self) -> int:
        """What new data may take."""
        return max(0, self.free - self.reserve - self.owed)

    @property
    def low(self) -> bool:
        """Whether new data are refused."""
        return self.usable == 0


def room(folder: Path, reserve_mib: int = -1) -> Room:
    """The room on the disk of a folder. `reserve_mib` -1 keeps 1 GiB or 5 % of the disk free, whichever is more, but
    at most 10 GiB."""
    status = os.statvfs(folder)
    free, total = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
    reserve = reserve_mib * _MIB
    if reserve_mib < 0:
        reserve = min(_RESERVE_MOST, max(_RESERVE_LEAST, int(total * _RESERVE_SHARE)))
    return Room(free, total, reserve)


class Disk:
    """The disk of a data folder. `emptied` cuts the write-ahead logs, as far as they can be cut."""

    def __init__(
        self, folder: Path, *, reserve_mib: int = -1, ballast_mib: int = 96, emptied: Callable[[], None] = lambda: None
    ) -> None:
        self._folder, self._reserve_mib, self._emptied = folder, reserve_mib, emptied
        self._ballast, self._ballast_bytes = folder / BALLAST_NAME, ballast_mib * _MIB
        self._tended = self._refused = False

    def room(self) -> Room:
        """The room there is now."""
        found = room(self._folder, self._reserve_mib)
        owed = self._ballast_bytes if self._tended and not self._refused and not self._ballast.exists() else 0
        return Room(found.free, found.total, found.reserve, owed)

    def check(self, needed: int = 0) -> None:
        """Raises InsufficientStorage where `needed` bytes of new data must not be stored now."""
        found = self.room()
        if found.usable <= needed:
            raise InsufficientStorage(
                f"The disk has {found.free / _MIB:,.0f} MiB free, and {(found.reserve + found.owed) / _MIB:,.0f} MiB "
                "are kept in reserve. Delete something or enlarge the disk; reading and deleting go on meanwhile.",
                free_bytes=found.free,
                reserve_bytes=found.reserve,
                needed_bytes=needed or None,
            )

    def tend(self) -> None:
        """Give the ballast up where the disk is about full, take it again where there is room. Call it every second,
        from one process of the data folder."""
        self._tended = self._ballast_bytes > 0
        if not self._tended:
            self._ballast.unlink(missing_ok=True)
            return
        found = self.room()
        if self._ballast.exists():
            if found.free < min(self._ballast_bytes, max(found.reserve // 2, _MIB)):
                self._give_up(found)
        elif found.free > found.reserve + 2 * self._ballast_bytes and not self._refused:
            self._take()

    def _give_up(self, found: Room) -> None:
        self._ballast.unlink(missing_ok=True)
        _log.warning("disk.ballast_given_up", extra={"free_bytes": found.free})
        with contextlib.suppress(Unavailable):
            self._emptied()

    def _take(self) -> None:
        part = self._ballast.with_name(f".{BALLAST_NAME}.part")
        try:
            descriptor = os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            try:
                # Real blocks: a file with a hole would give nothing back.
                os.posix_fallocate(descriptor, 0, self._ballast_bytes)
            finally:
                os.close(descriptor)
            part.replace(self._ballast)
        except OSError as error:
            part.unlink(missing_ok=True)
            self._refused = True  # a quota, or a file system without reservations: not asked again before a restart
            _log.warning("disk.no_ballast", extra={"cause": error.strerror})
