"""The shapes in which programs write a table as JSON: lines, arrays, columns, an index, answers of services."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from shoal.errors import InvalidField
from shoal.files.bounds import MAX_NESTING, Unfolding
from shoal.files.json_text.records import Elements, Expanded, Held, Lines, Records, check_ended, cut_off
from shoal.files.json_text.scan import Data, Member, Unfinished, end_of, first_at, is_list_of, mapped_file, members
from shoal.files.json_text.telemetry import TRACES, spans_of

__all__ = ["records_of"]

_BOM: Final = b"\xef\xbb\xbf"
_NUMBERS: Final = b"-0123456789"
_VECTOR: Final = "embedding"
_ID: Final = "id"
_DEEPEST: Final = 3
_LONG_LINE: Final = 2**20
_PARSED_TIMES: Final = 8
"""A document that is read as a whole takes about so many times its size."""
_PART_BYTES: Final = 128
"""What a list or an object of it takes beside that."""
_SPLIT: Final = frozenset({"columns", "data"})
_REMEDY: Final = "Write an array of objects, or one object a line (JSON lines)."


def records_of(path: Path, label: str, unfolding: Unfolding) -> Records:
    """The rows of a file of JSON, whatever its shape.

    JSON lines, or objects one after the other, as `jq` prints them; an array of objects, or of vectors; pandas'
    `columns`, `index`, `list` and `split`; objects or vectors by their ids; and such an array anywhere near the top of
    an object, as services answer. Of OpenTelemetry's traces each span is a row.

    Raises InvalidField for a document that holds no rows.
    """
    data = mapped_file(path)
    start = first_at(data, len(_BOM) if data[: len(_BOM)] == _BOM else 0)
    first = data[start : start + 1]
    try:
        if first == b"[":
            return _of_array(data, start, label)
        if first == b"{":
            return _of_objects(data, start, path, label, unfolding)
    except Unfinished as error:
        raise cut_off(data, error.at, label) from None
    raise InvalidField(label, "is not JSON", value=bytes(data[start : start + 40]).decode(errors="replace"))


def _of_array(data: Data, start: int, label: str) -> Records:
    inside = first_at(data, start + 1)
    if data[inside : inside + 1] == b"]":
        raise InvalidField(label, "has no rows", remedy="Send a file with at least one document.")
    if is_list_of(data, start, b"["):
        if not is_list_of(data, inside, _NUMBERS):
            remedy = "Write objects, which name the columns: df.to_json(FILE, orient='records')."
            raise InvalidField(label, "is an array of arrays without names of columns", remedy=remedy)
        return Elements(data, start, label, b'{"' + _VECTOR.encode() + b'":%s}', document=True)
    if is_list_of(data, start, b"{"):
        return Elements(data, start, label, document=True)
    raise InvalidField(label, "holds no rows: it is an array of single values", remedy=_REMEDY)


def _of_objects(data: Data, start: int, path: Path, label: str, unfolding: Unfolding) -> Records:
    """Lines, or what one object holds. The first line decides where it is one whole object and more follow."""
    line = _first_line(path)
    if len(line) > _LONG_LINE:
        return _of_long_line(data, start, path, label, unfolding)
    whole = _object(line)
    if whole is not None and (TRACES.isdisjoint(whole) is False):
        return Expanded(Lines(path, label), spans_of, label)
    follows = whole is not None and first_at(data, start + len(line)) < len(data)
    if follows or (whole is None and not _is_spread(line)):
        return Lines(path, label)
    stop = end_of(data, start)
    if data[first_at(data, stop) : first_at(data, stop) + 1] == b"{":
        return Elements(data, start, label, among_others=True)
    check_ended(data, stop, label)
    found = _unwrapped(data, start, label, unfolding)
    if found is not None:
        return found
    if whole is not None:  # JSON lines of one row
        return Lines(path, label)
    raise InvalidField(label, "holds no rows: no array of objects", remedy=_REMEDY)


def _of_long_line(data: Data, start: int, path: Path, label: str, unfolding: Unfolding) -> Records:
    """The same where the first line is too long to be parsed for a look."""
    stop = end_of(data, start)
    if first_at(data, stop) == len(data) and (found := _unwrapped(data, start, label, unfolding)) is not None:
        return found
    first = next(members(data, start), None)
    return Expanded(Lines(path, label), spans_of, label) if first and first.key in TRACES else Lines(path, label)


def _first_line(path: Path) -> bytes:
    """As far as it is to be parsed for a look, and one byte more."""
    with path.open("rb") as file:
        if file.read(len(_BOM)) != _BOM:
            file.seek(0)
        while line := file.readline(_LONG_LINE + 1):
            if line.strip():
                return line.lstrip() if len(line) <= _LONG_LINE else line
    return b""


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _is_spread(line: bytes) -> bool:
    """Whether an object goes on in the next line, so that a line is no row that is broken."""
    text = line.strip()
    return len(text) < 3 or text.endswith((b",", b"[", b"{", b":")) or not text.startswith(b"{")


def _unwrapped(data: Data, start: int, label: str, unfolding: Unfolding, depth: int = 1) -> Records | None:
    """The rows inside of the object at `start`; None where it holds none."""
    inside = list(members(data, start))
    if not inside:
        return None
    traces = next((one for one in inside if one.key in TRACES and is_list_of(data, one.start, b"{")), None)
    if traces is not None:
        around = b'{"resourceSpans":[%s]}'
        return Expanded(Elements(data, traces.start, label, around), spans_of, label)
    if depth == 1 and (found := _whole(data, start, inside, label, unfolding)) is not None:
        return Held(found)
    arrays = [one for one in inside if is_list_of(data, one.start, b"{")]
    if arrays:
        return Elements(data, max(arrays, key=lambda one: one.stop - one.start).start, label)
    if depth == _DEEPEST:
        return None
    objects = [one for one in inside if data[one.start : one.start + 1] == b"{"]
    below = (_unwrapped(data, one.start, label, unfolding, depth + 1) for one in objects)
    return next((found for found in below if found is not None), None)


def _whole(data: Data, start: int, inside: Sequence[Member], label: str, unfolding: Unfolding) -> list[bytes] | None:
    """Rows out of a document that is a table in another order; None for any other."""
    keys = {one.key for one in inside}
    split = keys >= _SPLIT and all(data[one.start : one.start + 1] == b"[" for one in inside if one.key in _SPLIT)
    split = split and any(is_list_of(data, one.start, b"[") for one in inside if one.key == "data")
    columns = any(is_list_of(data, one.start, b"[") for one in inside)
    objects = len(inside) > 1 and all(data[one.start : one.start + 1] == b"{" for one in inside)
    vectors = len(inside) > 1 and all(is_list_of(data, one.start, _NUMBERS) for one in inside)
    if not (split or columns or objects or vectors):
        return None
    size = max(one.stop for one in inside) - start
    unfolding.check_at_once(_PARSED_TIMES * size, "the document")
    text = bytes(data[start : start + size])
    unfolding.check_at_once(_PARSED_TIMES * size + _PART_BYTES * (text.count(b"[") + text.count(b"{")), "the document")
    document = {one.key: orjson.loads(bytes(data[one.start : one.stop])) for one in inside if one.is_container}
    if split:
        rows: Iterable[dict[str, Any]] | None = _split(document, label)
    elif columns:
        rows = _columns(document, label)
    elif vectors:
        rows = _by_id(document, _VECTOR)
    else:
        rows = _objects(document)
    try:
        return None if rows is None else [orjson.dumps(row) for row in rows]
    except TypeError:  # orjson writes fewer levels than it reads
        raise InvalidField(label, f"is nested more than {MAX_NESTING} deep", remedy="Flatten it.") from None


def _split(document: Mapping[str, Any], label: str) -> Iterator[dict[str, Any]]:
    """Raises InvalidField for a row of another length than the names, and for labels of another number of rows."""
    names = [str(name) for name in document["columns"]]
    rows: Sequence[object] = document["data"]
    index: Sequence[object] = document.get("index") or []
    if index and len(index) != len(rows):
        problem = f"has {len(index):,} labels in 'index' and {len(rows):,} rows in 'data'"
        raise InvalidField(label, problem, remedy="Write one label for each row, or leave 'index' out.")
    ids = _ids([str(row) for row in index])
    for at, held in enumerate(rows):
        if not isinstance(held, list) or len(held) != len(names):
            found = f"{len(held):,} values" if isinstance(held, list) else "no list of values"
            problem = f"has {found}, and 'columns' has {len(names):,} names"
            raise InvalidField(f"{label}: row {at}", problem, remedy="Write one value for each column, null for none.")
        row = dict(zip(names, held, strict=True))
        yield row if ids is None else {_ID: ids[at], **row}


def _columns(document: Mapping[str, Any], label: str) -> Iterator[dict[str, Any]] | None:
    """Lists of one length, that of the vectors; empty ones, and those that list what else there is (`included` of
    Chroma), are none of the table. Raises InvalidField for any other length."""
    lists = {name: held for name, held in document.items() if isinstance(held, list) and held}
    vectors = next((name for name, held in lists.items() if isinstance(held[0], list)), None)
    if vectors is None:
        return None
    count = len(lists[vectors])
    alike = {name: held for name, held in lists.items() if len(held) == count}
    others = [name for name in lists if name not in alike and not _lists_members(lists[name], document)]
    if others:
        found = ", ".join(f"{len(lists[name]):,} in {name!r}" for name in others)
        problem = f"has lists of different lengths: {count:,} values in {vectors!r}, {found}"
        raise InvalidField(label, problem, remedy="Write one value a row in each, or leave out what is no column.")
    columns = {_singular(name): held for name, held in alike.items()}
    return ({name: held[at] for name, held in columns.items()} for at in range(count))


def _lists_members(held: Sequence[object], document: Mapping[str, Any]) -> bool:
    return all(isinstance(name, str) and name in document for name in held)


def _singular(name: str) -> str:
    return _ID if name == "ids" else name


def _objects(document: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]] | None:
    """pandas' columns, where all inner keys are the same and each column is of one kind; else rows by their ids, where
    they have fields in common."""
    inner = [list(held) for held in document.values()]
    if not inner[0]:
        return None
    same = all(keys == inner[0] for keys in inner)
    if same and all(len({_kind(value) for value in held.values()} - {None}) <= 1 for held in document.values()):
        ids = _ids(inner[0])
        rows = ({name: held[key] for name, held in document.items()} for key in inner[0])
        return rows if ids is None else ({_ID: id, **row} for id, row in zip(ids, rows, strict=True))
    return _by_id(document, None) if all(inner[0][0] in keys for keys in inner) else None


def _kind(value: object) -> str | None:
    if value is None:
        return None
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def _by_id(document: Mapping[str, Any], field: str | None) -> Iterator[dict[str, Any]]:
    ids = _ids(list(document))
    for at, held in enumerate(document.values()):
        row = dict(held) if field is None else {field: held}
        yield row if ids is None else {_ID: ids[at], **row}


def _ids(labels: Sequence[str]) -> Sequence[str] | None:
    """The labels of rows as ids; None where they only number them."""
    numbered = all(label == str(at) for at, label in zip(itertools.count(), labels, strict=False))
    return None if numbered or not labels else labels
