"""Which format a file is in: what its name says and what its first bytes say must agree."""

import difflib
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, get_args

from shoal.errors import InvalidField
from shoal.files.other_formats import refused_by_content, refused_by_name

__all__ = ["FORMATS", "Format", "check_file", "format_by_name", "format_of", "packed_format", "wide_encoding_of"]

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


def format_of(path: Path, label: str, given: str | None = None) -> Format:
    """The format that is `given` or that the file's name says, confirmed by its content. `label` names it in errors.

    Raises InvalidField where there is no such file, it cannot be read, is empty, is of an unknown format, or is not
    what its name says.
    """
    head = _head(path, label)
    expected = _format_named(path, label, given)
    found = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    if found == expected:
        return expected
    if found is not None:
        raise _mismatch(label, expected, _NAMES[found])
    if expected == "npz" and head.startswith(_ZIP):
        return expected
    if (other := refused_by_content(label, head, _NAMES[expected])) is not None:
        raise other
    if expected in _BINARY:
        raise _mismatch(label, expected, "text" if _is_text(head) else "something else")
    if not _is_text(head):
        raise _mismatch(label, expected, "binary data")
    if expected in ("json", "jsonl") and head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"[", b"{"):
        raise _mismatch(label, expected, "other text")
    return expected


def packed_format(path: Path, label: str, given: str | None = None) -> Format | None:
    """The format of what a gzip archive holds; None for a file that is no archive, or not meant to be one: its name has
    to end in .gz, or its format to be given.

    Raises InvalidField for a file called .gz that is no archive, and for an archive of what is no text.
    """
    named = path.suffix.lower() == ".gz"
    if not named and given is None:
        return None
    if not _head(path, label).startswith(_GZIP):
        if named and given is None:
            raise InvalidField(label, "is not a gzip archive, as its name says", remedy="Check the file's ending.")
        return None
    expected = _format_named(Path(path.stem) if named else path, label, given)
    if expected in _BINARY:
        remedy = "Unpack it: in gzip archives Shoal reads CSV, TSV and JSON lines."
        raise InvalidField(label, f"is {_NAMES[expected]} in a gzip archive", remedy=remedy)
    return expected


def check_file(path: Path, label: str) -> None:
    """Raises InvalidField for what is no file, without opening it: a pipe would be waited for without end."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = label.encode("utf-8", "backslashreplace").decode()
        remedy = "Rename it: mv FILE docs.csv, with the ending that it has."
        raise InvalidField(shown, "has a name that is not UTF-8", remedy=remedy) from None
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InvalidField(label, "there is no such file", remedy=_near(path)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidField(label, f"cannot be read ({reason})", remedy="Check the path and its permissions.") from error
    if stat.S_ISDIR(mode):
        raise InvalidField(label, "is a folder", remedy="Name a file.")
    if not stat.S_ISREG(mode):
        what = next((name for test, name in _IRREGULAR if test(mode)), "no regular file")
        raise InvalidField(label, f"is {what}, and Shoal reads files more than once", remedy="Save it to a file first.")


def _near(path: Path) -> str:
    """What may have been meant by the path of no file."""
    try:
        names = [one.name for one in path.absolute().parent.iterdir()]
    except OSError:
        return f"There is no folder {str(path.parent)!r} either."
    near = difflib.get_close_matches(path.name, names, 1)
    return f"Did you mean {near[0]!r}?" if near else "Check the path."


def _head(path: Path, label: str) -> bytes:
    check_file(path, label)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise InvalidField(label, f"cannot be read ({error.strerror})", remedy="Check its permissions.") from error
    if not head.strip(b"\xef\xbb\xbf \t\r\n"):
        raise InvalidField(label, "is empty", remedy="Send a file with at least one document.")
    return head


def _format_named(path: Path, label: str, given: str | None) -> Format:
    if given is not None:
        known: dict[str, Format] = {name: name for name in FORMATS}
        if given not in known:
            raise InvalidField("format", "is unknown", value=given, remedy=f"Use one of: {', '.join(FORMATS)}.")
        return known[given]
    expected = _SUFFIXES.get(path.suffix.lower())
    if expected is None and path.suffix.lower() == _TEXT and _is_table(path):
        return "tsv"
    if expected is None:
        if (other := refused_by_name(label, path.suffix)) is not None:
            raise other
        remedy = (
            f"Shoal reads {', '.join(sorted(_SUFFIXES))}; say what the file is where it has another ending, such as "
            "--format csv."
        )
        raise InvalidField(label, "has an ending that Shoal does not know", value=path.suffix, remedy=remedy)
    return expected


def _is_table(path: Path) -> bool:
    """Whether the first line of a text has tabs in it, as in what Excel calls text."""
    try:
        with path.open("rb") as file:
            return b"\t" in file.read(_HEAD_BYTES).partition(b"\n")[0]
    except OSError:
        return False


def format_by_name(path: Path, given: str | None = None) -> Format | None:
    """The format that is `given` or that the file's name says; None for an ending that Shoal does not know."""
    if given:
        return _format_named(path, path.name, given)
    suffix = Path(path.stem if path.suffix.lower() == ".gz" else path).suffix.lower()
    return "tsv" if suffix == path.suffix.lower() == _TEXT and _is_table(path) else _SUFFIXES.get(suffix)


def wide_encoding_of(path: Path, label: str) -> str | None:
    """The encoding of a file of text in two or four bytes a character; None for any other file. Raises InvalidField for
    what is no file."""
    head = _head(path, label)
    return None if any(head.startswith(magic) for magic, _ in _MAGIC) else _wide_encoding(head)


def _wide_encoding(head: bytes) -> str | None:
    """The encoding of text in two or four bytes a character, by its mark, or by the zeros that Latin letters have."""
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


def _mismatch(label: str, expected: Format, found: str) -> InvalidField:
    return InvalidField(label, f"is not {_NAMES[expected]}: its content is {found}", remedy="Check the file's ending.")
