"""Text files as they are parsed: decompressed where they are archives, and in UTF-8."""

import codecs
import tempfile
from pathlib import Path
from typing import IO, Final

from shoal.errors import InvalidField
from shoal.files.bounds import Bounds
from shoal.files.formats import detect_packed_format, detect_wide_encoding, format_from_name
from shoal.files.text.gzip_archive import UnpackedArchive

__all__ = ["PlainText", "check_encoding", "needs_copy"]

_PIECE: Final = 2**20
_UTF8: Final = frozenset({"utf-8", "utf-8-sig", "ascii"})
_BINARY: Final = frozenset({"parquet", "arrow", "npy", "npz"})
_NOT_FOR_FILES: Final = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"})
"""Codecs of host names and of text in source code."""
_EXAMPLES: Final = "Such as cp1252 for CSV files of Excel, latin-1 or shift_jis."


def check_encoding(name: object) -> str:
    """Return the canonical name of a text encoding. Raises InvalidField."""
    if not isinstance(name, str):
        raise InvalidField("encoding", "must be the name of an encoding", value=name, remedy=_EXAMPLES)
    try:
        codec = codecs.lookup(name)
        "".encode(codec.name)
    except (LookupError, ValueError):  # also codecs that are not text encodings, such as rot13
        raise InvalidField("encoding", "is unknown", value=name, remedy=_EXAMPLES) from None
    if codec.name in _NOT_FOR_FILES:
        raise InvalidField("encoding", "is none of files", value=name, remedy=_EXAMPLES)
    return codec.name


def needs_copy(path: Path, format: str | None, encoding: str | None) -> bool:
    """Return whether a file is read from a copy: an archive, or text that is not UTF-8. Raises InvalidField."""
    if detect_packed_format(path, path.name, format) is not None:
        return True
    return _detect_encoding(path, path.name, format, encoding) is not None


class PlainText:
    """A file, or its copy in UTF-8, at `path`; its `format` is the one given or implied by the archive's name.

    Parameters
    ----------
    path
        The file.
    label
        Names it in errors.
    format
        Its format; None infers it from the name.
    encoding
        The encoding of its text; None for UTF-8, and for UTF-16 or UTF-32 with a byte order mark.
    bounds
        How far an archive of its size may expand.
    temporary
        Where copies go; None takes the system's folder for temporary files.

    Raises
    ------
    InvalidField
        For an archive that is damaged, and naming the line of bytes that are invalid in this encoding.
    TooLarge
        For an archive that expands too far.
    """

    def __init__(
        self, path: Path, label: str, format: str | None, encoding: str | None, bounds: Bounds, temporary: Path | None
    ) -> None:
        self._copies: list[UnpackedArchive | _DecodedCopy] = []
        self.path, self.format, self.is_packed = path, format, False
        try:
            if (packed := detect_packed_format(path, label, format)) is not None:
                self._add_copy(UnpackedArchive(path, label, bounds, temporary))
                self.format, self.is_packed = packed, True
            if (detected := _detect_encoding(self.path, label, self.format, encoding)) is not None:
                self._add_copy(_DecodedCopy(self.path, label, detected, temporary))
        except BaseException:
            self.close()
            raise

    def _add_copy(self, copy: "UnpackedArchive | _DecodedCopy") -> None:
        self._copies.append(copy)
        self.path = copy.path
        for earlier in self._copies[:-1]:
            earlier.close()

    def close(self) -> None:
        """Remove the copies."""
        for copy in self._copies:
            copy.close()


def _detect_encoding(path: Path, label: str, format: str | None, requested: str | None) -> str | None:
    """Return the encoding from which a text file has to be decoded; None for UTF-8, and for binary files."""
    kind = format_from_name(path, format)
    if requested is None:
        return None if kind in _BINARY else detect_wide_encoding(path, label)
    encoding = check_encoding(requested)
    if kind in _BINARY:
        raise InvalidField("encoding", "belongs to text", value=requested, remedy=f"Leave it out: {label} is none.")
    return None if encoding in _UTF8 else encoding


class _DecodedCopy:
    """A UTF-8 copy of a text, in a private temporary file at `path`."""

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
                except UnicodeError:  # without a position: UTF-16 and UTF-32 require a byte order mark
                    remedy = f"Name {encoding}-le or {encoding}-be, or the encoding that it has."
                    raise InvalidField(label, f"is not {encoding} text: it has no mark", remedy=remedy) from None
                lines += text.count("\n")
                self._file.write(text.encode())
        self._file.flush()
