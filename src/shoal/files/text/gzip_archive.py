"""Gzip archives of text, decompressed as a stream into a temporary file."""

import gzip
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import IO, Final

from shoal.errors import InvalidField, TooLarge
from shoal.files.bounds import Bounds, format_size

__all__ = ["UnpackedArchive"]

_PIECE: Final = 2**20
_FREE_SPACE: Final = 256 * 2**20
"""Disk space that decompression leaves free."""
_DESCRIPTORS: Final = Path("/proc/self/fd")


class UnpackedArchive:
    """The content of a gzip archive of one or more members, in a private temporary file at `path`.

    Where the system allows it the file has no name, so that nothing is left behind however the process ends.

    Parameters
    ----------
    archive
        The gzip archive.
    label
        Names it in errors.
    bounds
        How far a file of its size may expand.
    folder
        Where to decompress; None takes the system's folder for temporary files.

    Raises
    ------
    InvalidField
        For an archive that is truncated or damaged.
    TooLarge
        As soon as the content exceeds `bounds` or the free disk space.
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
        most, total = bounds.max_expanded_bytes(packed), 0
        try:
            with gzip.open(archive) as content:
                while piece := content.read(_PIECE):
                    total += len(piece)
                    if total > most:
                        raise self._size_error(packed, most)
                    if total // _FREE_SPACE != (total - len(piece)) // _FREE_SPACE or total == len(piece):
                        self._check_free_space()
                    self._file.write(piece)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            problem = "ends too early" if isinstance(error, EOFError) else "is damaged"
            remedy = "Copy or compress it again; `gzip -t FILE` checks it."
            raise InvalidField(self._label, f"{problem}: it is not a complete gzip archive", remedy=remedy) from error
        self._file.flush()

    def _size_error(self, packed: int, most: int) -> TooLarge:
        return TooLarge(
            f"{self._label}: unfolds to more than {format_size(most)}, and a gzip archive of {format_size(packed)} may "
            "unfold to no more. Send it in parts, or raise SHOAL_IMPORT_UNFOLDED_MIB.",
            field=self._label,
            limit_bytes=most,
            setting="SHOAL_IMPORT_UNFOLDED_MIB",
        )

    def _check_free_space(self) -> None:
        """Check before every 256 MiB that they fit, and that as much remains free."""
        free = shutil.disk_usage(self._folder).free
        if free < 2 * _FREE_SPACE:
            raise TooLarge(
                f"{self._label}: cannot be unpacked, as only {format_size(free)} are free on the disk of "
                f"{self._folder}. Make room there, or send the file in parts.",
                field=self._label,
            )
