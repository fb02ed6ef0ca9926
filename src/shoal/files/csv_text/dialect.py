"""Infers the dialect of a delimited text file: its delimiter, and where its header and its rows begin."""

import csv
import io
import re
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shoal.errors import InvalidField
from shoal.files.bounds import check_columns
from shoal.files.layout import ReadRequest

__all__ = ["Dialect", "check_delimiter", "detect_dialect", "find_line", "iter_records"]

_HEAD: Final = 64 * 1024
_DELIMITERS: Final = (",", ";", "\t", "|")
_BOM: Final = b"\xef\xbb\xbf"
_QUOTED: Final = re.compile(rb'"(?:[^"]|"")*"')
_SEP: Final = re.compile(rb"sep=(.)\r?\n?", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|nan")
_BY_NAME: Final = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_SNIFFED_LINES: Final = 50
_UNDECODED: Final = re.compile("[\udc80-\udcff]")
_VECTOR: Final = "embedding"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a delimited file is written.

    Parameters
    ----------
    delimiter
        Separates the columns.
    skipped
        Lines before the header.
    has_header
        False for rows of numbers alone, as `numpy.savetxt` writes them.
    names
        The column names from the header, or column numbers.
    looks_named
        Whether a first line that was read as values may have been meant as names.
    nameless
        The generated names of columns that have none in the file.
    """

    delimiter: str
    skipped: int
    has_header: bool
    names: list[str]
    looks_named: bool = False
    nameless: Sequence[str] = ()


def check_delimiter(value: str) -> str:
    """Return the character that `--delimiter` stands for: itself, or its name. Raises InvalidField."""
    delimiter = _BY_NAME.get(value.lower(), value)
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
        raise InvalidField("delimiter", "must be one character", value=value, remedy="Such as ';', '|' or tab.")
    return delimiter


def detect_dialect(path: Path, label: str, usual: str, request: ReadRequest) -> Dialect:
    """Infer the dialect of a file from its first lines.

    The delimiter is the requested one, the one that Excel's first line `sep=;` names, or `usual`, unless another splits
    all of the first lines into equally many parts and `usual` does not. Raises InvalidField for a file whose first line
    holds a vector instead of names.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
        text = head.removeprefix(_BOM)
        skipped, start = _skip_blank_lines(text)
        sep_line = _SEP.match(text, start)
        if sep_line is not None:
            skipped, start = skipped + 1, sep_line.end()
            more, start = _skip_blank_lines(text, start)
            skipped += more
        from_sep_line = None if sep_line is None else sep_line[1].decode("latin-1")
        delimiter = (
            check_delimiter(request.delimiter)
            if request.delimiter
            else from_sep_line or _sniff_delimiter(text[start:], usual, whole=len(head) < _HEAD)
        )
        file.seek(len(head) - len(text) + start)
        try:
            names = _read_header(file.read(max(_HEAD, 16 * 2**20)), delimiter)
        except csv.Error:  # a field over the limit of the csv module
            problem = f"has a name of more than {csv.field_size_limit():,} characters in the header"
            remedy = "Put the names of the columns into the first line, and close each quote."
            raise InvalidField(f"{label}: line {skipped + 1}", problem, remedy=remedy) from None
    check_columns(len(names), label)
    if undecoded := next((name for name in names if _UNDECODED.search(name)), None):
        place, written = f"{label}: line {skipped + 1}", undecoded.encode("utf-8", "surrogateescape").decode("latin-1")
        raise InvalidField(place, "is not UTF-8 text", value=written, remedy=request.option_names.not_utf8)
    if len(names) == 1 and _is_savetxt_row(names[0]):
        return Dialect(delimiter, skipped, False, [_VECTOR])
    has_header = not _is_data_row(names)
    looks_named = not has_header and _are_years(names)
    if has_header and any(_is_vector(name) for name in names):
        remedy = "Put the names of the columns into the first line, such as id,text,embedding."
        raise InvalidField(label, "has no header: its first line holds a vector, not names", remedy=remedy)
    cleaned = _fill_names([name.strip() for name in names])
    numbered = [str(at) for at in range(len(names))]
    if not has_header:
        return Dialect(delimiter, skipped, has_header, numbered, looks_named=looks_named)
    nameless = [filled for name, filled in zip(names, cleaned, strict=True) if not name.strip()]
    return Dialect(delimiter, skipped, has_header, cleaned, nameless=nameless)


def _fill_names(names: list[str]) -> list[str]:
    """Name the columns that have no name, as pandas does, avoiding names in use."""
    used, filled = set(names), list[str]()
    for at, name in enumerate(names):
        candidate = name or f"Unnamed: {at}"
        while not name and candidate in used:
            candidate += "_"
        used.add(candidate)
        filled.append(candidate)
    return filled


def iter_records(path: Path, dialect: Dialect) -> Generator[tuple[int, bytes], None, None]:
    """Yield for each row the line in which it starts, from 1, and its text."""
    quoted, first_line, lines = False, 0, list[bytes]()
    header = dialect.has_header
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number <= dialect.skipped or not (quoted or line.strip(b"\r\n")):
                continue
            if not quoted:
                first_line, lines = number, []
            lines.append(line)
            quoted ^= line.count(b'"') % 2 == 1
            if not quoted and header:
                header = False
            elif not quoted:
                yield first_line, b"".join(lines)
    if quoted:
        yield first_line, b"".join(lines)


def find_line(path: Path, dialect: Dialect, row: int) -> int | None:
    """Return the line in which a row starts."""
    with closing(iter_records(path, dialect)) as rows:
        return next((line for number, (line, _) in enumerate(rows) if number == row), None)


def _skip_blank_lines(text: bytes, start: int = 0) -> tuple[int, int]:
    """Return the number of blank lines from `start`, and the offset after them."""
    count = 0
    while (end := text.find(b"\n", start)) >= 0 and not text[start:end].strip(b"\r"):
        count, start = count + 1, end + 1
    return count, start


def _sniff_delimiter(text: bytes, usual: str, *, whole: bool) -> str:
    """Return the delimiter that splits all lines evenly; quoted text does not count."""
    lines = _QUOTED.sub(b"", text).splitlines()[: None if whole else -1]
    filled = [line for line in lines if line.strip()][:_SNIFFED_LINES]
    if not filled:
        return usual
    counts = {
        delimiter: [line.count(delimiter.encode()) for line in filled]
        for delimiter in dict.fromkeys((usual, *_DELIMITERS))
    }
    even = [delimiter for delimiter, occurrences in counts.items() if occurrences[0] and len(set(occurrences)) == 1]
    if usual in even or not even:
        return usual if usual in even or counts[usual][0] else _choose_by_header(counts, usual)
    return max(even, key=lambda delimiter: counts[delimiter][0])


def _choose_by_header(counts: dict[str, list[int]], usual: str) -> str:
    """Return the delimiter of a header over uneven lines: the one that occurs in all of them."""
    likely = [
        delimiter for delimiter, occurrences in counts.items() if occurrences[0] and min(occurrences) >= occurrences[0]
    ]
    return likely[0] if likely else usual


def _read_header(text: bytes, delimiter: str) -> list[str]:
    lines = io.StringIO(text.decode("utf-8", "surrogateescape"), newline="")
    return next(csv.reader(lines, delimiter=delimiter, strict=False), [])


def _is_data_row(names: list[str]) -> bool:
    """Return whether a first line holds values: numbers, other than those that number the columns."""
    numbers = [name.strip() for name in names]
    if len(numbers) < 2 or not all(_NUMBER.fullmatch(number) for number in numbers):
        return False
    return numbers not in ([str(at + first) for at in range(len(numbers))] for first in (0, 1))


def _are_years(names: list[str]) -> bool:
    """Return whether the numbers are distinct integers, such as years or codes that name columns."""
    numbers = [name.strip() for name in names]
    return len(set(numbers)) == len(numbers) and all(map(str.isdecimal, numbers))


def _is_savetxt_row(line: str) -> bool:
    """Return whether a line is numbers separated by spaces, the default of `numpy.savetxt`."""
    parts = line.split()
    return len(parts) > 1 and all(_NUMBER.fullmatch(part) for part in parts) and "." in line


def _is_vector(name: str) -> bool:
    """Return whether a column name is a vector, possibly after a word, as GloVe and word2vec write them."""
    parts = name.split()
    numbers = sum(1 for part in parts if _NUMBER.fullmatch(part) and "." in part)
    return (name.lstrip().startswith("[") and name.count(".") > 3) or numbers >= max(4, len(parts) - 1)
