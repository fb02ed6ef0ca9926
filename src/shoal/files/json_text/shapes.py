"""The shapes in which programs write a table as JSON: lines, arrays, columns, an index, responses of services."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from shoal.errors import InvalidField
from shoal.files.bounds import MAX_NESTING, SizeGuard
from shoal.files.json_text.records import (
    ArrayRecords,
    ExpandedRecords,
    InMemoryRecords,
    LineRecords,
    Records,
    check_end,
    truncated_error,
)
from shoal.files.json_text.scan import (
    Data,
    Member,
    Unterminated,
    find_end,
    is_list_of,
    iter_members,
    map_file,
    skip_space,
)
from shoal.files.json_text.telemetry import TRACES, iter_spans

__all__ = ["open_records"]

_BOM: Final = b"\xef\xbb\xbf"
_NUMBERS: Final = b"-0123456789"
_VECTOR: Final = "embedding"
_ID: Final = "id"
_DEEPEST: Final = 3
_LONG_LINE: Final = 2**20
_PARSED_TIMES: Final = 8
"""A document that is parsed as a whole takes about this many times its size."""
_PART_BYTES: Final = 128
"""Additional memory per list or object in it."""
_SPLIT: Final = frozenset({"columns", "data"})
_REMEDY: Final = "Write an array of objects, or one object a line (JSON lines)."


def open_records(path: Path, label: str, guard: SizeGuard) -> Records:
    """Open the rows of a JSON file of any known shape.

    These are JSON Lines, or objects one after the other, as `jq` prints them; an array of objects or of vectors;
    pandas' orients `columns`, `index`, `list` and `split`; objects or vectors by id; and such an array near the top of
    an object, as in responses of services. In OpenTelemetry traces each span is a row. Raises InvalidField for a
    document that holds no rows.
    """
    data = map_file(path)
    start = skip_space(data, len(_BOM) if data[: len(_BOM)] == _BOM else 0)
    first = data[start : start + 1]
    try:
        if first == b"[":
            return _open_array(data, start, label)
        if first == b"{":
            return _open_objects(data, start, path, label, guard)
    except Unterminated as error:
        raise truncated_error(data, error.at, label) from None
    raise InvalidField(label, "is not JSON", value=bytes(data[start : start + 40]).decode(errors="replace"))


def _open_array(data: Data, start: int, label: str) -> Records:
    inside = skip_space(data, start + 1)
    if data[inside : inside + 1] == b"]":
        raise InvalidField(label, "has no rows", remedy="Send a file with at least one document.")
    if is_list_of(data, start, b"["):
        if not is_list_of(data, inside, _NUMBERS):
            remedy = "Write objects, which name the columns: df.to_json(FILE, orient='records')."
            raise InvalidField(label, "is an array of arrays without names of columns", remedy=remedy)
        return ArrayRecords(data, start, label, b'{"' + _VECTOR.encode() + b'":%s}', document=True)
    if is_list_of(data, start, b"{"):
        return ArrayRecords(data, start, label, document=True)
    raise InvalidField(label, "holds no rows: it is an array of single values", remedy=_REMEDY)


def _open_objects(data: Data, start: int, path: Path, label: str, guard: SizeGuard) -> Records:
    """Open lines, or what one object holds. The first line decides, where it is a whole object and more follow."""
    line = _read_first_line(path)
    if len(line) > _LONG_LINE:
        return _open_long_line(data, start, path, label, guard)
    whole = _parse_object(line)
    if whole is not None and (TRACES.isdisjoint(whole) is False):
        return ExpandedRecords(LineRecords(path, label), iter_spans, label)
    follows = whole is not None and skip_space(data, start + len(line)) < len(data)
    if follows or (whole is None and not _spans_lines(line)):
        return LineRecords(path, label)
    stop = find_end(data, start)
    if data[skip_space(data, stop) : skip_space(data, stop) + 1] == b"{":
        return ArrayRecords(data, start, label, among_others=True)
    check_end(data, stop, label)
    records = _unwrap(data, start, label, guard)
    if records is not None:
        return records
    if whole is not None:  # JSON Lines with a single row
        return LineRecords(path, label)
    raise InvalidField(label, "holds no rows: no array of objects", remedy=_REMEDY)


def _open_long_line(data: Data, start: int, path: Path, label: str, guard: SizeGuard) -> Records:
    """As `_open_objects`, where the first line is too long to parse in advance."""
    stop = find_end(data, start)
    if skip_space(data, stop) == len(data) and (records := _unwrap(data, start, label, guard)) is not None:
        return records
    first = next(iter_members(data, start), None)
    return (
        ExpandedRecords(LineRecords(path, label), iter_spans, label)
        if first and first.key in TRACES
        else LineRecords(path, label)
    )


def _read_first_line(path: Path) -> bytes:
    """Return the first line, at most one byte more than may be parsed in advance."""
    with path.open("rb") as file:
        if file.read(len(_BOM)) != _BOM:
            file.seek(0)
        while line := file.readline(_LONG_LINE + 1):
            if line.strip():
                return line.lstrip() if len(line) <= _LONG_LINE else line
    return b""


def _parse_object(line: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _spans_lines(line: bytes) -> bool:
    """Return whether an object continues on the next line, so that this line is not a malformed row."""
    text = line.strip()
    return len(text) < 3 or text.endswith((b",", b"[", b"{", b":")) or not text.startswith(b"{")


def _unwrap(data: Data, start: int, label: str, guard: SizeGuard, depth: int = 1) -> Records | None:
    """Return the rows inside the object at `start`; None where it holds none."""
    inside = list(iter_members(data, start))
    if not inside:
        return None
    traces = next((member for member in inside if member.key in TRACES and is_list_of(data, member.start, b"{")), None)
    if traces is not None:
        around = b'{"resourceSpans":[%s]}'
        return ExpandedRecords(ArrayRecords(data, traces.start, label, around), iter_spans, label)
    if depth == 1 and (records := _parse_whole(data, start, inside, label, guard)) is not None:
        return InMemoryRecords(records)
    arrays = [member for member in inside if is_list_of(data, member.start, b"{")]
    if arrays:
        return ArrayRecords(data, max(arrays, key=lambda member: member.stop - member.start).start, label)
    if depth == _DEEPEST:
        return None
    objects = [member for member in inside if data[member.start : member.start + 1] == b"{"]
    nested = (_unwrap(data, member.start, label, guard, depth + 1) for member in objects)
    return next((records for records in nested if records is not None), None)


def _parse_whole(data: Data, start: int, inside: Sequence[Member], label: str, guard: SizeGuard) -> list[bytes] | None:
    """Parse the rows of a document whose table is transposed; None for any other."""
    keys = {member.key for member in inside}
    split = keys >= _SPLIT and all(
        data[member.start : member.start + 1] == b"[" for member in inside if member.key in _SPLIT
    )
    split = split and any(is_list_of(data, member.start, b"[") for member in inside if member.key == "data")
    columns = any(is_list_of(data, member.start, b"[") for member in inside)
    objects = len(inside) > 1 and all(data[member.start : member.start + 1] == b"{" for member in inside)
    vectors = len(inside) > 1 and all(is_list_of(data, member.start, _NUMBERS) for member in inside)
    if not (split or columns or objects or vectors):
        return None
    size = max(member.stop for member in inside) - start
    guard.check_at_once(_PARSED_TIMES * size, "the document")
    text = bytes(data[start : start + size])
    guard.check_at_once(_PARSED_TIMES * size + _PART_BYTES * (text.count(b"[") + text.count(b"{")), "the document")
    document = {
        member.key: orjson.loads(bytes(data[member.start : member.stop])) for member in inside if member.is_container
    }
    if split:
        rows: Iterable[dict[str, Any]] | None = _rows_from_split(document, label)
    elif columns:
        rows = _rows_from_columns(document, label)
    elif vectors:
        rows = _rows_by_id(document, _VECTOR)
    else:
        rows = _rows_from_objects(document)
    try:
        return None if rows is None else [orjson.dumps(row) for row in rows]
    except TypeError:  # orjson serializes fewer levels than it parses
        raise InvalidField(label, f"is nested more than {MAX_NESTING} deep", remedy="Flatten it.") from None


def _rows_from_split(document: Mapping[str, Any], label: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of the orient `split`. Raises InvalidField for rows or labels of another number than declared."""
    names = [str(name) for name in document["columns"]]
    rows: Sequence[object] = document["data"]
    index: Sequence[object] = document.get("index") or []
    if index and len(index) != len(rows):
        problem = f"has {len(index):,} labels in 'index' and {len(rows):,} rows in 'data'"
        raise InvalidField(label, problem, remedy="Write one label for each row, or leave 'index' out.")
    ids = _to_ids([str(row) for row in index])
    for at, values in enumerate(rows):
        if not isinstance(values, list) or len(values) != len(names):
            actual = f"{len(values):,} values" if isinstance(values, list) else "no list of values"
            problem = f"has {actual}, and 'columns' has {len(names):,} names"
            raise InvalidField(f"{label}: row {at}", problem, remedy="Write one value for each column, null for none.")
        row = dict(zip(names, values, strict=True))
        yield row if ids is None else {_ID: ids[at], **row}


def _rows_from_columns(document: Mapping[str, Any], label: str) -> Iterator[dict[str, Any]] | None:
    """Return rows from lists of the length of the vectors; None without vectors.

    Empty lists, and lists of the other keys (`included` of Chroma), are not part of the table. Raises InvalidField for
    lists of any other length.
    """
    lists = {name: values for name, values in document.items() if isinstance(values, list) and values}
    vectors = next((name for name, values in lists.items() if isinstance(values[0], list)), None)
    if vectors is None:
        return None
    count = len(lists[vectors])
    alike = {name: values for name, values in lists.items() if len(values) == count}
    others = [name for name in lists if name not in alike and not _names_members(lists[name], document)]
    if others:
        others_text = ", ".join(f"{len(lists[name]):,} in {name!r}" for name in others)
        problem = f"has lists of different lengths: {count:,} values in {vectors!r}, {others_text}"
        raise InvalidField(label, problem, remedy="Write one value a row in each, or leave out what is no column.")
    columns = {_rename_ids(name): values for name, values in alike.items()}
    return ({name: values[at] for name, values in columns.items()} for at in range(count))


def _names_members(values: Sequence[object], document: Mapping[str, Any]) -> bool:
    return all(isinstance(name, str) and name in document for name in values)


def _rename_ids(name: str) -> str:
    return _ID if name == "ids" else name


def _rows_from_objects(document: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]] | None:
    """Return rows from pandas' columns, where all inner keys agree and each column has one type.

    Otherwise rows by id, where they have keys in common; None for any other.
    """
    inner = [list(values) for values in document.values()]
    if not inner[0]:
        return None
    same = all(keys == inner[0] for keys in inner)
    if same and all(
        len({_json_kind(value) for value in values.values()} - {None}) <= 1 for values in document.values()
    ):
        ids = _to_ids(inner[0])
        rows = ({name: values[key] for name, values in document.items()} for key in inner[0])
        return rows if ids is None else ({_ID: id, **row} for id, row in zip(ids, rows, strict=True))
    return _rows_by_id(document, None) if all(inner[0][0] in keys for keys in inner) else None


def _json_kind(value: object) -> str | None:
    if value is None:
        return None
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def _rows_by_id(document: Mapping[str, Any], field: str | None) -> Iterator[dict[str, Any]]:
    ids = _to_ids(list(document))
    for at, values in enumerate(document.values()):
        row = dict(values) if field is None else {field: values}
        yield row if ids is None else {_ID: ids[at], **row}


def _to_ids(labels: Sequence[str]) -> Sequence[str] | None:
    """Return the row labels as ids; None where they only number the rows."""
    only_numbers = all(label == str(at) for at, label in zip(itertools.count(), labels, strict=False))
    return None if only_numbers or not labels else labels
