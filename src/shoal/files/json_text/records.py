"""The objects of a JSON file, one after the other as bytes: from lines, from an array, from a parsed document."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from shoal.errors import InvalidField
from shoal.files.json_text.scan import Data, Unterminated, iter_containers, iter_sequence, skip_space
from shoal.files.reader import format_line

__all__ = [
    "ArrayRecords",
    "ExpandedRecords",
    "InMemoryRecords",
    "LineRecords",
    "Records",
    "check_end",
    "truncated_error",
]

_LONGEST: Final = 16 * 2**20
_PARSED_BYTES: Final = 2 * 2**20
"""Text parsed at once: lists and objects take about 25 times the bytes of their JSON text."""
_BOM: Final = b"\xef\xbb\xbf"


class Records(Protocol):
    """The rows of a file as JSON text, any number of times."""

    def chunks(self, size: int) -> Iterator[list[bytes]]:
        """Yield rows from the first on, at most `size` and about 2 MiB at a time. Raises InvalidField."""

    def line_of(self, row: int) -> int | None:
        """Return the line of the file in which a row starts, from 1; None where it has none of its own."""


class LineRecords:
    """Each line that is not blank is a row."""

    def __init__(self, path: Path, label: str) -> None:
        self._path, self._label = path, label

    def chunks(self, size: int) -> Iterator[list[bytes]]:
        with self._path.open("rb") as file:
            if file.read(len(_BOM)) != _BOM:
                file.seek(0)
            yield from chunk_rows(self._iter_lines(file), size)

    def line_of(self, row: int) -> int | None:
        rows_read = -1
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                rows_read += bool(line.strip())
                if rows_read == row:
                    return number
        return None

    def _iter_lines(self, file: BinaryIO) -> Iterator[bytes]:
        while line := file.readline(_LONGEST + 1):
            if len(line) > _LONGEST:
                raise InvalidField(self._label, f"has a line of more than {_LONGEST:,} bytes")
            if line.strip():
                yield line


class ArrayRecords:
    """The objects of the array at `start`, or the objects that follow each other from there, `among_others`.

    `around` wraps each row, with `%s` for its text. An array that is the whole `document` has to end the file.
    """

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

    def chunks(self, size: int) -> Iterator[list[bytes]]:
        yield from chunk_rows((self._around % self._data[start:stop] for start, stop in self._iter_spans()), size)

    def line_of(self, row: int) -> int | None:
        for number, (start, _) in enumerate(self._iter_spans()):
            if number == row:
                return line_number_at(self._data, start)
        return None

    def _iter_spans(self) -> Iterator[tuple[int, int]]:
        """Yield where each object starts and ends.

        Raises InvalidField for anything between two objects or after the document, and for an array without an end.
        """
        array = not self._among_others
        past, row = self._start + array, 0
        try:
            for start, stop in (
                iter_containers(self._data, self._start) if array else iter_sequence(self._data, self._start)
            ):
                if array and start == self._start:  # the whole array
                    if self._data[past : stop - 1].strip():
                        raise self._not_object_error(row, past)
                    if self._document:
                        check_end(self._data, stop, self._label)
                    return
                if stop - start > _LONGEST:
                    raise InvalidField(f"{self._label}: row {row}", f"has more than {_LONGEST:,} bytes")
                if self._data[past:start].strip() != (b"," if row and array else b""):
                    raise self._not_object_error(row, past)
                yield start, stop
                past, row = stop, row + 1
        except Unterminated as error:
            raise truncated_error(self._data, error.at, self._label) from None

    def _not_object_error(self, row: int, at: int) -> InvalidField:
        excerpt = bytes(self._data[at : at + 80]).lstrip(b", \r\n\t").decode(errors="replace")
        place = f"{self._label}: row {row}"
        return InvalidField(
            place, "is not a JSON object", value=excerpt, remedy="Every value of the array is one object."
        )


class InMemoryRecords:
    """Rows built from a document that was parsed as a whole."""

    def __init__(self, rows: Sequence[bytes]) -> None:
        self._rows = rows

    def chunks(self, size: int) -> Iterator[list[bytes]]:
        yield from chunk_rows(self._rows, size)

    def line_of(self, row: int) -> int | None:
        return None


class ExpandedRecords:
    """Several rows from each record. Errors name the line and the key of the record."""

    def __init__(self, records: Records, rows_of: Callable[[bytes], Iterable[bytes]], label: str) -> None:
        self._records, self._rows_of, self._label = records, rows_of, label

    def chunks(self, size: int) -> Iterator[list[bytes]]:
        yield from chunk_rows(self._rows(size), size)

    def _rows(self, size: int) -> Iterator[bytes]:
        records = (record for chunk in self._records.chunks(size) for record in chunk)
        for number, record in enumerate(records):
            try:
                yield from self._rows_of(record)
            except InvalidField as error:
                line = self._records.line_of(number)
                place = self._label if line is None else f"{self._label}: {format_line(line)}"
                error.move(f"{place}, {error.field!r}" if error.field else place, error.problem)
                raise

    def line_of(self, row: int) -> int | None:
        return None


def chunk_rows(rows: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """Yield at most `size` rows and about 2 MiB at a time."""
    chunk, total = list[bytes](), 0
    for row in rows:
        chunk.append(row)
        total += len(row)
        if len(chunk) == size or total > _PARSED_BYTES:
            yield chunk
            chunk, total = [], 0
    if chunk:
        yield chunk


def line_number_at(data: Data, offset: int) -> int:
    """Return the line number, from 1, of an offset in the file."""
    step, number = 2**20, 1
    for start in range(0, offset, step):
        number += bytes(data[start : min(start + step, offset)]).count(b"\n")
    return number


def check_end(data: Data, stop: int, label: str) -> None:
    """Raise InvalidField where more than white space follows the document that ends at `stop`."""
    at = skip_space(data, stop)
    if at < len(data):
        rest = bytes(data[at : at + 40]).decode(errors="replace")
        problem = f"goes on behind the end of its JSON, in {format_line(line_number_at(data, at))}"
        remedy = "Write all rows into one array, or one object a line (JSON lines); what is no row has to go."
        raise InvalidField(label, problem, value=rest, remedy=remedy)


def truncated_error(data: Data, at: int, label: str) -> InvalidField:
    """Build the error about a document that ends inside a value."""
    problem = f"is not JSON: what begins in {format_line(line_number_at(data, skip_space(data, at)))} has no end"
    return InvalidField(label, problem, remedy="The file is cut off: write it again.")
