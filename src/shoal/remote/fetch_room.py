"""The disk that files are fetched to, and how much of it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shoal.engine.plan import Progress
from shoal.errors import TooLarge
from shoal.files.bounds import size_text
from shoal.settings import Settings

__all__ = ["Room"]

_ROOM_LEFT: Final = 256 * 2**20
"""What fetching leaves free on the disk."""
_MIB: Final = 2**20


class Room:
    """Where the bytes of files go.

    Parameters
    ----------
    folder
        On the disk that is looked at.
    progress
        Hears "read" with the part of a file that is there.
    """

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder, self._progress = folder, progress
        self._most = Settings.read().fetch_mib * _MIB

    def check_file(self, name: str, size: int) -> None:
        """Raises TooLarge for one file that is larger than is allowed."""
        if size > self._most:
            raise TooLarge(
                f"{name}: cannot be fetched, as it holds more than {size_text(self._most)}. Raise SHOAL_FETCH_MIB, or "
                "copy it here first.",
                field=name,
            )

    def check_disk(self, name: str, size: int) -> None:
        """Raises TooLarge where so many more bytes, of all files together, do not fit."""
        free = shutil.disk_usage(self._folder).free
        if free < size + _ROOM_LEFT:
            raise TooLarge(
                f"{name}: cannot be fetched, as only {size_text(free)} are free on the disk of "
                f"{tempfile.gettempdir()}. Make room there, or name another folder with TMPDIR.",
                field=name,
            )

    def write(self, pieces: Iterator[bytes], target: Path, size: int) -> None:
        """All pieces into a file, of `size` bytes where that is not 0.

        Raises TooLarge as soon as the disk would be full, or more came than is allowed, whatever size was announced.
        """
        self.check_file(target.name, size)
        self.check_disk(target.name, size)
        written = 0
        with target.open("wb") as file:
            for piece in pieces:
                file.write(piece)
                written, before = written + len(piece), written
                self.check_file(target.name, written)
                if written // _ROOM_LEFT != before // _ROOM_LEFT:
                    self.check_disk(target.name, 0)
                self._progress("read", min(written / size, 1.0) if size else 0.0)
