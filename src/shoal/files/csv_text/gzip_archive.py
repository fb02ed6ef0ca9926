"""Gzip archives of text, unpacked as a stream into a file that is gone when nobody reads it any more."""

import gzip
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import IO, Final

from shoal.errors import InvalidField, TooLarge
from shoal.files.bounds import Bounds, size_text

__all__ = ["Unpacked"]

_PIECE: Final = 2**20
_ROOM_LEFT: Final = 256 * 2**20
"""What unpacking leaves free on the disk."""
_DESCRIPTORS: Final = Path("/proc/self/fd")


class Unpacked:
    """What a gzip archive holds, one member or several, in a file of this process's own at `path`.

    Where the system allows it the file has no name, so that nothing is left behind however the process ends.

    Parameters
    ----------
    archive
        The gzip archive.
    label
        Names it in errors.
    bounds
        How far a file of its size may unfold.
    folder
        Where to unpack; None takes the system's folder for temporary files.

    Raises
    ------
    InvalidField
        For an archive that is cut off or damaged.
    TooLarge
        As soon as more comes out than `bounds` allow, or than there is room for on the disk.
    """

    def __init__(self, archive: Path, label: str, bounds: Bounds, folder: Path | None = None) -> None:
        self._label, self._folder = label, folder or Path(tempfile.gettempdir())
        self._file: IO[bytes]
        if _DESCRIPTORS.is_dir():
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  # closed by `close`
            self.path = _DESCRIPTORS / str(self._file.fileno())
        else:
            self._file = tempfile.NamedTemporaryFile(prefix="shoal-")  # noqa: SIM115  # as above
            self.path = Path(self._file.name)
        try:
            self._unpack(archive, bounds)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def _unpack(self, archive: Path, bounds: Bounds) -> None:
        packed = archive.stat().st_size
        most, total = bounds.unfolded_bytes(packed), 0
        try:
            with gzip.open(archive) as content:
                while piece := content.read(_PIECE):
                    total += len(piece)
                    if total > most:
                        raise self._too_large(packed, most)
                    if total // _ROOM_LEFT != (total - len(piece)) // _ROOM_LEFT or total == len(piece):
                        self._check_room()
                    self._file.write(piece)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            what = "ends too early" if isinstance(error, EOFError) else "is damaged"
            remedy = "Copy it again, or pack it anew; `gzip -t FILE` tells whether it is whole."
            raise InvalidField(self._label, f"{what}: it is no whole gzip archive", remedy=remedy) from error
        self._file.flush()

    def _too_large(self, packed: int, most: int) -> TooLarge:
        return TooLarge(
            f"{self._label}: unfolds to more than {size_text(most)}, and a gzip archive of {size_text(packed)} may "
            "unfold to no more. Send it in parts, or raise SHOAL_IMPORT_UNFOLDED_MIB.",
            field=self._label,
            limit_bytes=most,
            setting="SHOAL_IMPORT_UNFOLDED_MIB",
        )

    def _check_room(self) -> None:
        """Before every 256 MiB: there is room for them, and as much is left."""
        free = shutil.disk_usage(self._folder).free
        if free < 2 * _ROOM_LEFT:
            raise TooLarge(
                f"{self._label}: cannot be unpacked, as only {size_text(free)} are free on the disk of {self._folder}. "
                "Make room there, or send the file in parts.",
                field=self._label,
            )
