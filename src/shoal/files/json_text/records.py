"""The objects of a file of JSON, one after the other as bytes: of lines, of an array, of a document in memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from shoal.errors import InvalidField
from shoal.files.json_text.scan import Data, Unfinished, first_at, sequence, values
from shoal.files.pieces import line_text

__all__ = ["Elements", "Expanded", "Held", "Lines", "Records", "check_ended", "cut_off"]

_LONGEST: Final = 16 * 2**20
_PARSED_BYTES: Final = 2 * 2**20
"""Text parsed at once: lists and objects come to some 25 times the bytes they are written in."""
_BOM: Final = b"\xef\xbb\xbf"


class Records(Protocol):
    """The rows of a file as JSON text, again and again."""

    def stretches(self, size: int) -> Iterator[list[bytes]]:
        """From the first row on, at most `size` and about 2 MiB at a time. Raises InvalidField."""

    def line_of(self, row: int) -> int | None:
        """The line of the file in which a row begins, counted from 1; None where it has none of its own."""


class Lines:
    """Each line that is not blank is a row."""

    def __init__(self, path: Path, label: str) -> None:
        self._path, self._label = path, label

    def stretches(self, size: int) -> Iterator[list[bytes]]:
        with self._path.open("rb") as file:
            if file.read(len(_BOM)) != _BOM:
                file.seek(0)
            yield from stretched(self._lines(file), size)

    def line_of(self, row: int) -> int | None:
        seen = -1
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                seen += bool(line.strip())
                if seen == row:
                    return number
        return None

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        while line := file.readline(_LONGEST + 1):
            if len(line) > _LONGEST:
                raise InvalidField(self._label, f"has a line of more than {_LONGEST:,} bytes")
            if line.strip():
                yield line


class Elements:
    """Each object in the array at `start` is a row, or each from there on that stands `among_others` without an array;
    `around` is what is written about each, `%s` its text. An array that is the `document` ends the file."""

    def __init__(
        self,
        data: Data,
        start: int,
        label: str,
        around: bytes = b"%s",
        *,
        among_others: bool = False,
        document: bool = False,
    ) -> None:
        self._data, self._start, self._label, self._around = data, start, label, around
        self._among_others, self._document = among_others, document

    def stretches(self, size: int) -> Iterator[list[bytes]]:
        yield from stretched((self._around % self._data[start:stop] for start, stop in self._places()), size)

    def line_of(self, row: int) -> int | None:
        for number, (start, _) in enumerate(self._places()):
            if number == row:
                return line_at(self._data, start)
        return None

    def _places(self) -> Iterator[tuple[int, int]]:
        """Raises InvalidField for whatever stands between two objects or behind the document, and for an array that has
        no end."""
        array = not self._among_others
        past, row = self._start + array, 0
        try:
            for start, stop in values(self._data, self._start) if array else sequence(self._data, self._start):
                if array and start == self._start:  # the whole array
                    if self._data[past : stop - 1].strip():
                        raise self._no_object(row, past)
                    if self._document:
                        check_ended(self._data, stop, self._label)
                    return
                if stop - start > _LONGEST:
                    raise InvalidField(f"{self._label}: row {row}", f"has more than {_LONGEST:,} bytes")
                if self._data[past:start].strip() != (b"," if row and array else b""):
                    raise self._no_object(row, past)
                yield start, stop
                past, row = stop, row + 1
        except Unfinished as error:
            raise cut_off(self._data, error.at, self._label) from None

    def _no_object(self, row: int, at: int) -> InvalidField:
        found = bytes(self._data[at : at + 80]).lstrip(b", \r\n\t").decode(errors="replace")
        place = f"{self._label}: row {row}"
        return InvalidField(place, "is no JSON object", value=found, remedy="Every value of the array is one object.")


class Held:
    """Rows that were made of a document as a whole."""

    def __init__(self, rows: Sequence[bytes]) -> None:
        self._rows = rows

    def stretches(self, size: int) -> Iterator[list[bytes]]:
        yield from stretched(self._rows, size)

    def line_of(self, row: int) -> int | None:
        return None


class Expanded:
    """Several rows out of each of others. What is wrong with one of these is named by its line and key."""

    def __init__(self, records: Records, rows_of: Callable[[bytes], Iterable[bytes]], label: str) -> None:
        self._records, self._rows_of, self._label = records, rows_of, label

    def stretches(self, size: int) -> Iterator[list[bytes]]:
        yield from stretched(self._rows(size), size)

    def _rows(self, size: int) -> Iterator[bytes]:
        whole = (record for stretch in self._records.stretches(size) for record in stretch)
        for number, record in enumerate(whole):
            try:
                yield from self._rows_of(record)
            except InvalidField as error:
                line = self._records.line_of(number)
                place = self._label if line is None else f"{self._label}: {line_text(line)}"
                error.move(f"{place}, {error.field!r}" if error.field else place, error.problem)
                raise

    def line_of(self, row: int) -> int | None:
        return None


def stretched(rows: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """At most `size` and about 2 MiB at a time."""
    held, total = list[bytes](), 0
    for row in rows:
        held.append(row)
        total += len(row)
        if len(held) == size or total > _PARSED_BYTES:
            yield held
            held, total = [], 0
    if held:
        yield held


def line_at(data: Data, place: int) -> int:
    """The number of the line, from 1, that a place of the file is in."""
    step, found = 2**20, 1
    for start in range(0, place, step):
        found += bytes(data[start : min(start + step, place)]).count(b"\n")
    return found


def check_ended(data: Data, stop: int, label: str) -> None:
    """Raises InvalidField where more than white space follows the document that ends at `stop`."""
    at = first_at(data, stop)
    if at < len(data):
        found = bytes(data[at : at + 40]).decode(errors="replace")
        problem = f"goes on behind the end of its JSON, in {line_text(line_at(data, at))}"
        remedy = "Write all rows into one array, or one object a line (JSON lines); what is no row has to go."
        raise InvalidField(label, problem, value=found, remedy=remedy)


def cut_off(data: Data, at: int, label: str) -> InvalidField:
    """The error about a document that ends inside of a value."""
    problem = f"is not JSON: what begins in {line_text(line_at(data, first_at(data, at)))} has no end"
    return InvalidField(label, problem, remedy="The file is cut off: write it again.")
