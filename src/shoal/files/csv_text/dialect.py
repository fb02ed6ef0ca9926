"""How a file of delimited text is written: what separates its columns, where its header and its rows begin."""

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
from shoal.files.layout import Asked

__all__ = ["Dialect", "check_delimiter", "dialect_of", "line_of", "records"]

_HEAD: Final = 64 * 1024
_DELIMITERS: Final = (",", ";", "\t", "|")
_BOM: Final = b"\xef\xbb\xbf"
_QUOTED: Final = re.compile(rb'"(?:[^"]|"")*"')
_SEP: Final = re.compile(rb"sep=(.)\r?\n?", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|nan")
_BY_NAME: Final = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_LOOKED_AT: Final = 50
_NO_TEXT: Final = re.compile("[\udc80-\udcff]")
_VECTOR: Final = "embedding"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file is written.

    Parameters
    ----------
    delimiter
        What separates the columns.
    skipped
        Lines in front of the header.
    has_header
        False for rows of numbers alone, as `numpy.savetxt` writes them.
    names
        The names of the columns: those of the header, or their numbers.
    looks_named
        Whether a first line that was taken for values may have been meant for names.
    nameless
        The names of those columns that have none in the file.
    """

    delimiter: str
    skipped: int
    has_header: bool
    names: list[str]
    looks_named: bool = False
    nameless: Sequence[str] = ()


def check_delimiter(given: str) -> str:
    """What `--delimiter` stands for: one character, or its name. Raises InvalidField."""
    delimiter = _BY_NAME.get(given.lower(), given)
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
        raise InvalidField("delimiter", "must be one character", value=given, remedy="Such as ';', '|' or tab.")
    return delimiter


def dialect_of(path: Path, label: str, usual: str, asked: Asked) -> Dialect:
    """The dialect of a file, seen by its first lines.

    The delimiter is what was `asked` for, what Excel's first line `sep=;` says, or `usual`, unless another splits all
    of the first lines into equally many parts and `usual` does not. Raises InvalidField for a file whose first line
    holds a vector and no names.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
        text = head.removeprefix(_BOM)
        skipped, start = _leading(text)
        told = _SEP.match(text, start)
        if told is not None:
            skipped, start = skipped + 1, told.end()
            more, start = _leading(text, start)
            skipped += more
        named = None if told is None else told[1].decode("latin-1")
        delimiter = (
            check_delimiter(asked.delimiter)
            if asked.delimiter
            else named or _sniffed(text[start:], usual, whole=len(head) < _HEAD)
        )
        file.seek(len(head) - len(text) + start)
        try:
            names = _header(file.read(max(_HEAD, 16 * 2**20)), delimiter)
        except csv.Error:  # a field longer than that reader takes
            problem = f"has a name of more than {csv.field_size_limit():,} characters in the header"
            remedy = "Put the names of the columns into the first line, and close each quote."
            raise InvalidField(f"{label}: line {skipped + 1}", problem, remedy=remedy) from None
    check_columns(len(names), label)
    if odd := next((name for name in names if _NO_TEXT.search(name)), None):
        place, written = f"{label}: line {skipped + 1}", odd.encode("utf-8", "surrogateescape").decode("latin-1")
        raise InvalidField(place, "is not UTF-8 text", value=written, remedy=asked.options.not_utf8)
    if len(names) == 1 and _is_row(names[0]):
        return Dialect(delimiter, skipped, False, [_VECTOR])
    has_header = not _is_numbers(names)
    looks_named = not has_header and _are_years(names)
    if has_header and any(_is_vector(name) for name in names):
        remedy = "Put the names of the columns into the first line, such as id,text,embedding."
        raise InvalidField(label, "has no header: its first line holds a vector, not names", remedy=remedy)
    cleaned = _named([name.strip() for name in names])
    numbered = [str(at) for at in range(len(names))]
    if not has_header:
        return Dialect(delimiter, skipped, has_header, numbered, looks_named=looks_named)
    nameless = [free for name, free in zip(names, cleaned, strict=True) if not name.strip()]
    return Dialect(delimiter, skipped, has_header, cleaned, nameless=nameless)


def _named(names: list[str]) -> list[str]:
    """The same with names for columns that have none, as pandas gives them, unless others have those."""
    taken, found = set(names), list[str]()
    for at, name in enumerate(names):
        free = name or f"Unnamed: {at}"
        while not name and free in taken:
            free += "_"
        taken.add(free)
        found.append(free)
    return found


def records(path: Path, dialect: Dialect) -> Generator[tuple[int, bytes], None, None]:
    """The line, from 1, in which each row begins, and its text."""
    quoted, begun, held = False, 0, list[bytes]()
    header = dialect.has_header
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number <= dialect.skipped or not (quoted or line.strip(b"\r\n")):
                continue
            if not quoted:
                begun, held = number, []
            held.append(line)
            quoted ^= line.count(b'"') % 2 == 1
            if not quoted and header:
                header = False
            elif not quoted:
                yield begun, b"".join(held)
    if quoted:
        yield begun, b"".join(held)


def line_of(path: Path, dialect: Dialect, row: int) -> int | None:
    """The line in which a row begins."""
    with closing(records(path, dialect)) as rows:
        return next((line for number, (line, _) in enumerate(rows) if number == row), None)


def _leading(text: bytes, start: int = 0) -> tuple[int, int]:
    """How many empty lines there are, and where they end."""
    count = 0
    while (end := text.find(b"\n", start)) >= 0 and not text[start:end].strip(b"\r"):
        count, start = count + 1, end + 1
    return count, start


def _sniffed(text: bytes, usual: str, *, whole: bool) -> str:
    """Text in quotes does not count."""
    lines = _QUOTED.sub(b"", text).splitlines()[: None if whole else -1]
    filled = [line for line in lines if line.strip()][:_LOOKED_AT]
    if not filled:
        return usual
    counts = {one: [line.count(one.encode()) for line in filled] for one in dict.fromkeys((usual, *_DELIMITERS))}
    even = [one for one, found in counts.items() if found[0] and len(set(found)) == 1]
    if usual in even or not even:
        return usual if usual in even or counts[usual][0] else _in_header(counts, usual)
    return max(even, key=lambda one: counts[one][0])


def _in_header(counts: dict[str, list[int]], usual: str) -> str:
    """The delimiter of a header over uneven lines: the one that occurs in all of them."""
    likely = [one for one, found in counts.items() if found[0] and min(found) >= found[0]]
    return likely[0] if likely else usual


def _header(text: bytes, delimiter: str) -> list[str]:
    lines = io.StringIO(text.decode("utf-8", "surrogateescape"), newline="")
    return next(csv.reader(lines, delimiter=delimiter, strict=False), [])


def _is_numbers(names: list[str]) -> bool:
    """Whether a first line holds values: numbers, and not those that number columns."""
    numbers = [name.strip() for name in names]
    if len(numbers) < 2 or not all(_NUMBER.fullmatch(number) for number in numbers):
        return False
    return numbers not in ([str(at + first) for at in range(len(numbers))] for first in (0, 1))


def _are_years(names: list[str]) -> bool:
    """Whether numbers are all different and whole, as years and codes are that name columns."""
    numbers = [name.strip() for name in names]
    return len(set(numbers)) == len(numbers) and all(map(str.isdecimal, numbers))


def _is_row(line: str) -> bool:
    """Whether a line is numbers between spaces, as `numpy.savetxt` writes them unless it is told otherwise."""
    parts = line.split()
    return len(parts) > 1 and all(_NUMBER.fullmatch(part) for part in parts) and "." in line


def _is_vector(name: str) -> bool:
    """Whether the name of a column is a vector, also behind a word, as GloVe and word2vec write them."""
    parts = name.split()
    numbers = sum(1 for part in parts if _NUMBER.fullmatch(part) and "." in part)
    return (name.lstrip().startswith("[") and name.count(".") > 3) or numbers >= max(4, len(parts) - 1)
