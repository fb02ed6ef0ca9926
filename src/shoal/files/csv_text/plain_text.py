"""Files of text as they are read: unpacked where they are archives, and in UTF-8."""

import codecs
import tempfile
from pathlib import Path
from typing import IO, Final

from shoal.errors import InvalidField
from shoal.files.bounds import Bounds
from shoal.files.csv_text.gzip_archive import Unpacked
from shoal.files.formats import format_by_name, packed_format, wide_encoding_of

__all__ = ["PlainText", "check_encoding", "is_written_anew"]

_PIECE: Final = 2**20
_UTF8: Final = frozenset({"utf-8", "utf-8-sig", "ascii"})
_BINARY: Final = frozenset({"parquet", "arrow", "npy", "npz"})
_OF_NAMES: Final = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"})
"""Encodings of names of hosts, and of text in source code."""
_SUCH: Final = "Such as cp1252 for CSV files of Excel, latin-1 or shift_jis."


def check_encoding(given: object) -> str:
    """The name of an encoding of files of text as Python has it. Raises InvalidField."""
    if not isinstance(given, str):
        raise InvalidField("encoding", "must be the name of an encoding", value=given, remedy=_SUCH)
    try:
        found = codecs.lookup(given)
        "".encode(found.name)
    except (LookupError, ValueError):  # and what makes bytes of bytes, such as rot13
        raise InvalidField("encoding", "is unknown", value=given, remedy=_SUCH) from None
    if found.name in _OF_NAMES:
        raise InvalidField("encoding", "is none of files", value=given, remedy=_SUCH)
    return found.name


def is_written_anew(path: Path, format: str | None, encoding: str | None) -> bool:
    """Whether a file is read from a copy: an archive, or text that is not in UTF-8. Raises InvalidField."""
    if packed_format(path, path.name, format) is not None:
        return True
    return _encoding_of(path, path.name, format, encoding) is not None


class PlainText:
    """A file, or the copy of it in UTF-8, at `path`, of the `format` that was given or that the archive's name says.

    Parameters
    ----------
    path
        The file.
    label
        Names it in errors.
    format
        What it is; None where its name says so.
    encoding
        How its text is written; None for UTF-8, and for UTF-16 or UTF-32 with a mark.
    bounds
        How far an archive of its size may unfold.
    temporary
        Where copies go; None takes the system's folder for temporary files.

    Raises
    ------
    InvalidField
        For an archive that is damaged, and naming the line of bytes that are no text of this encoding.
    TooLarge
        For an archive that unfolds too far.
    """

    def __init__(
        self, path: Path, label: str, format: str | None, encoding: str | None, bounds: Bounds, temporary: Path | None
    ) -> None:
        self._copies: list[Unpacked | _Decoded] = []
        self.path, self.format, self.is_packed = path, format, False
        try:
            if (packed := packed_format(path, label, format)) is not None:
                self._take(Unpacked(path, label, bounds, temporary))
                self.format, self.is_packed = packed, True
            if (found := _encoding_of(self.path, label, self.format, encoding)) is not None:
                self._take(_Decoded(self.path, label, found, temporary))
        except BaseException:
            self.close()
            raise

    def _take(self, copy: "Unpacked | _Decoded") -> None:
        self._copies.append(copy)
        self.path = copy.path
        for earlier in self._copies[:-1]:
            earlier.close()

    def close(self) -> None:
        """Remove the copies."""
        for copy in self._copies:
            copy.close()


def _encoding_of(path: Path, label: str, format: str | None, given: str | None) -> str | None:
    """How a file of text has to be decoded; None for UTF-8, and for files that are no text."""
    kind = format_by_name(path, format)
    if given is None:
        return None if kind in _BINARY else wide_encoding_of(path, label)
    encoding = check_encoding(given)
    if kind in _BINARY:
        raise InvalidField("encoding", "belongs to text", value=given, remedy=f"Leave it out: {label} is none.")
    return None if encoding in _UTF8 else encoding


class _Decoded:
    """A text in UTF-8, in a file of this process's own at `path`."""

    def __init__(self, source: Path, label: str, encoding: str, folder: Path | None) -> None:
        self._file: IO[bytes] = tempfile.NamedTemporaryFile(prefix="shoal-", dir=folder)  # noqa: SIM115  # see `close`
        self.path = Path(self._file.name)
        try:
            self._decode(source, label, encoding)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def _decode(self, source: Path, label: str, encoding: str) -> None:
        decoder, lines = codecs.getincrementaldecoder(encoding)(), 1
        with source.open("rb") as file:
            piece = b"-"
            while piece:
                piece = file.read(_PIECE)
                try:
                    text = decoder.decode(piece, final=not piece)
                except UnicodeDecodeError as error:
                    lines += error.object[: error.start].decode(encoding, "replace").count("\n")
                    byte = error.object[error.start]
                    remedy = "Name the encoding that it has, or save it as UTF-8."
                    place = f"{label}: line {lines}"
                    raise InvalidField(place, f"is not {encoding} text (byte 0x{byte:02x})", remedy=remedy) from None
                except UnicodeError:  # without a place: UTF-16 and UTF-32 ask for a mark
                    remedy = f"Name {encoding}-le or {encoding}-be, or the encoding that it has."
                    raise InvalidField(label, f"is not {encoding} text: it has no mark", remedy=remedy) from None
                lines += text.count("\n")
                self._file.write(text.encode())
        self._file.flush()
