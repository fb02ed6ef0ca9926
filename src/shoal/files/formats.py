"""Detects the format of a file: what its name implies and what its first bytes say must agree."""

import difflib
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, get_args

from shoal.errors import InvalidField
from shoal.files.unsupported_formats import unsupported_content_error, unsupported_name_error

__all__ = [
    "FORMATS",
    "Format",
    "check_file",
    "detect_format",
    "detect_packed_format",
    "detect_wide_encoding",
    "format_from_name",
]

Format = Literal["parquet", "arrow", "csv", "tsv", "jsonl", "json", "npy", "npz"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

_SUFFIXES: Final[Mapping[str, Format]] = MappingProxyType(
    {
        ".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".arrows": "arrow", ".ipc": "arrow",
        ".feather": "arrow", ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
        ".json": "json", ".npy": "npy", ".npz": "npz",
    }
)  # fmt: skip
_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "parquet": "a Parquet file",
        "arrow": "an Arrow file",
        "csv": "a CSV file",
        "tsv": "a TSV file",
        "jsonl": "a file of JSON lines",
        "json": "a file of JSON",
        "npy": "a NumPy file",
        "npz": "a NumPy archive",
    }
)
_MAGIC: Final = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),  # an IPC stream: continuation marker of the schema message
    (b"\x93NUMPY", "npy"),
)
_TEXT: Final = ".txt"
_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_WIDE_MARKS: Final = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_BINARY: Final = frozenset({"parquet", "arrow", "npy", "npz"})
_HEAD_BYTES: Final = 4096
_IRREGULAR: Final = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def detect_format(path: Path, label: str, requested: str | None = None) -> Format:
    """Return the format that is `requested`, or that the file name implies, confirmed by the content.

    `label` names the file in errors.

    Raises InvalidField where there is no such file, it cannot be read, is empty, is of an unknown format, or is not
    what its name says.
    """
    head = _read_head(path, label)
    expected = _resolve_format(path, label, requested)
    detected = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    if detected == expected:
        return expected
    if detected is not None:
        raise _mismatch_error(label, expected, _NAMES[detected])
    if expected == "npz" and head.startswith(_ZIP):
        return expected
    if (unsupported := unsupported_content_error(label, head, _NAMES[expected])) is not None:
        raise unsupported
    if expected in _BINARY:
        raise _mismatch_error(label, expected, "text" if _is_text(head) else "something else")
    if not _is_text(head):
        raise _mismatch_error(label, expected, "binary data")
    if expected in ("json", "jsonl") and head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"[", b"{"):
        raise _mismatch_error(label, expected, "other text")
    return expected


def detect_packed_format(path: Path, label: str, requested: str | None = None) -> Format | None:
    """Return the format of the content of a gzip archive; None for a file that is not treated as an archive.

    An archive is treated as such where its name ends in .gz or its format is given. Raises InvalidField for a file
    named .gz that is not an archive, and for an archive of binary data.
    """
    named = path.suffix.lower() == ".gz"
    if not named and requested is None:
        return None
    if not _read_head(path, label).startswith(_GZIP):
        if named and requested is None:
            raise InvalidField(label, "is not a gzip archive, as its name says", remedy="Check the file's ending.")
        return None
    expected = _resolve_format(Path(path.stem) if named else path, label, requested)
    if expected in _BINARY:
        remedy = "Unpack it: in gzip archives Shoal reads CSV, TSV and JSON lines."
        raise InvalidField(label, f"is {_NAMES[expected]} in a gzip archive", remedy=remedy)
    return expected


def check_file(path: Path, label: str) -> None:
    """Raise InvalidField for what is not a regular file, without opening it: opening a pipe would block."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = label.encode("utf-8", "backslashreplace").decode()
        remedy = "Rename it: mv FILE docs.csv, with the ending that it has."
        raise InvalidField(shown, "has a name that is not UTF-8", remedy=remedy) from None
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InvalidField(label, "there is no such file", remedy=_suggest_path(path)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidField(label, f"cannot be read ({reason})", remedy="Check the path and its permissions.") from error
    if stat.S_ISDIR(mode):
        raise InvalidField(label, "is a folder", remedy="Name a file.")
    if not stat.S_ISREG(mode):
        what = next((name for test, name in _IRREGULAR if test(mode)), "no regular file")
        raise InvalidField(label, f"is {what}, and Shoal reads files more than once", remedy="Save it to a file first.")


def _suggest_path(path: Path) -> str:
    """Return a remedy with a path close to one that does not exist."""
    try:
        names = [entry.name for entry in path.absolute().parent.iterdir()]
    except OSError:
        return f"There is no folder {str(path.parent)!r} either."
    near = difflib.get_close_matches(path.name, names, 1)
    return f"Did you mean {near[0]!r}?" if near else "Check the path."


def _read_head(path: Path, label: str) -> bytes:
    check_file(path, label)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise InvalidField(label, f"cannot be read ({error.strerror})", remedy="Check its permissions.") from error
    if not head.strip(b"\xef\xbb\xbf \t\r\n"):
        raise InvalidField(label, "is empty", remedy="Send a file with at least one document.")
    return head


def _resolve_format(path: Path, label: str, requested: str | None) -> Format:
    if requested is not None:
        formats: dict[str, Format] = {name: name for name in FORMATS}
        if requested not in formats:
            raise InvalidField("format", "is unknown", value=requested, remedy=f"Use one of: {', '.join(FORMATS)}.")
        return formats[requested]
    expected = _SUFFIXES.get(path.suffix.lower())
    if expected is None and path.suffix.lower() == _TEXT and _is_tab_separated(path):
        return "tsv"
    if expected is None:
        if (unsupported := unsupported_name_error(label, path.suffix)) is not None:
            raise unsupported
        remedy = (
            f"Shoal reads {', '.join(sorted(_SUFFIXES))}; say what the file is where it has another ending, such as "
            "--format csv."
        )
        raise InvalidField(label, "has an ending that Shoal does not know", value=path.suffix, remedy=remedy)
    return expected


def _is_tab_separated(path: Path) -> bool:
    """Return whether the first line of a text contains tabs, as in what Excel calls text."""
    try:
        with path.open("rb") as file:
            return b"\t" in file.read(_HEAD_BYTES).partition(b"\n")[0]
    except OSError:
        return False


def format_from_name(path: Path, requested: str | None = None) -> Format | None:
    """Return the format that is `requested` or that the file name implies; None for an unknown suffix."""
    if requested:
        return _resolve_format(path, path.name, requested)
    suffix = Path(path.stem if path.suffix.lower() == ".gz" else path).suffix.lower()
    return "tsv" if suffix == path.suffix.lower() == _TEXT and _is_tab_separated(path) else _SUFFIXES.get(suffix)


def detect_wide_encoding(path: Path, label: str) -> str | None:
    """Return the encoding of a text file with two or four bytes per character; None for any other file.

    Raises InvalidField for what is not a file.
    """
    head = _read_head(path, label)
    return None if any(head.startswith(magic) for magic, _ in _MAGIC) else _sniff_wide_encoding(head)


def _sniff_wide_encoding(head: bytes) -> str | None:
    """Return the encoding of text with two or four bytes per character, by its byte order mark or the zeros of Latin
    letters."""
    marked = next((name for mark, name in _WIDE_MARKS if head.startswith(mark)), None)
    if marked is not None:
        return marked
    pairs, zeros = len(head) // 2, head.count(0)
    for first, name in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        if zeros > pairs // 2 and head[first::2].count(0) == zeros:
            return name
    return None


def _is_text(head: bytes) -> bool:
    return b"\0" not in head


def _mismatch_error(label: str, expected: Format, content: str) -> InvalidField:
    return InvalidField(
        label, f"is not {_NAMES[expected]}: its content is {content}", remedy="Check the file's ending."
    )
