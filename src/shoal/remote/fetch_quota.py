"""Writes downloaded files to disk within a quota."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shoal.engine.plan import Progress
from shoal.errors import TooLarge
from shoal.files.bounds import format_size
from shoal.settings import Settings

__all__ = ["FetchQuota"]

_FREE_SPACE: Final = 256 * 2**20
"""Disk space that downloads leave free."""
_MIB: Final = 2**20


class FetchQuota:
    """Limits the size of downloaded files and keeps disk space free.

    Parameters
    ----------
    folder
        A folder on the disk whose free space is checked.
    progress
        Called with "read" and the fraction of a file that has arrived.
    """

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder, self._progress = folder, progress
        self._most = Settings.read().fetch_mib * _MIB

    def check_file(self, name: str, size: int) -> None:
        """Raise TooLarge for a single file over the limit."""
        if size > self._most:
            raise TooLarge(
                f"{name}: cannot be fetched, as it holds more than {format_size(self._most)}. Raise SHOAL_FETCH_MIB, "
                "or copy it here first.",
                field=name,
            )

    def check_disk(self, name: str, size: int) -> None:
        """Raise TooLarge where this many more bytes, of all files together, do not fit on the disk."""
        free = shutil.disk_usage(self._folder).free
        if free < size + _FREE_SPACE:
            raise TooLarge(
                f"{name}: cannot be fetched, as only {format_size(free)} are free on the disk of "
                f"{tempfile.gettempdir()}. Make room there, or name another folder with TMPDIR.",
                field=name,
            )

    def write(self, pieces: Iterator[bytes], target: Path, size: int) -> None:
        """Write chunks of bytes to a file, of `size` bytes in total unless that is 0.

        Raises TooLarge as soon as the disk would be full or the limit is exceeded, whatever size was announced.
        """
        self.check_file(target.name, size)
        self.check_disk(target.name, size)
        written = 0
        with target.open("wb") as file:
            for piece in pieces:
                file.write(piece)
                written, before = written + len(piece), written
                self.check_file(target.name, written)
                if written // _FREE_SPACE != before // _FREE_SPACE:
                    self.check_disk(target.name, 0)
                self._progress("read", min(written / size, 1.0) if size else 0.0)
