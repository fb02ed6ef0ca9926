"""Pieces of a file of JSON: rows are objects, read as they are, without a schema."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from shoal.columns import VectorColumn
from shoal.errors import InvalidField
from shoal.files.bounds import MAX_NESTING, Unfolding
from shoal.files.columnar.vector_forms import Form, form_of
from shoal.files.columnar.vectors import vector_column
from shoal.files.ids.likely import DifferentColumns, is_named_as_ids, likely_ids, repeating_ids, taken_for_ids
from shoal.files.json_text.records import Records
from shoal.files.json_text.shapes import records_of
from shoal.files.layout import Asked, Known, asked_columns, choose_id, choose_vectors
from shoal.files.originals import Originals
from shoal.files.pieces import Piece, Shards, naming_document, naming_line, row_place
from shoal.files.reading import speaking_shoal
from shoal.files.text_shards import JsonShards
from shoal.precision import split_if_significant
from shoal.records.document import RESERVED, check_lineage
from shoal.records.vectors import Place, double_block
from shoal.scalars import parse_id

__all__ = ["JsonPieces"]

Json = dict[str, Any]
_LOOKED_AT: Final = 1024
_MOST_PARTS: Final = 2**18
_NESTED: Final = "vectors"
_SHELLS: Final = frozenset({"_source", "custom_id"})
_AROUND: Final = frozenset({"values", "statistics"})


class JsonPieces:
    """A file of JSON in any shape of `json_shapes`. A key `vectors` of objects makes the rows BYODocuments."""

    count: int | None = None
    shards: Shards = ()
    delimiter: str | None = None
    nameless: Sequence[str] = ()

    def __init__(self, path: Path, asked: Asked) -> None:
        unfolding = Unfolding(asked.label, path.stat().st_size, asked.bounds)
        self._look_at(records_of(path, asked.label, unfolding), unfolding, asked)

    @classmethod
    def of_shards(cls, shards: JsonShards, size: int, asked: Asked) -> "JsonPieces":
        """Of several files of together `size` bytes."""
        made = cls.__new__(cls)
        made.shards = shards.shards
        made._look_at(shards, Unfolding(asked.label, size, asked.bounds), asked)
        return made

    def _look_at(self, records: Records, unfolding: Unfolding, asked: Asked) -> None:
        label, vectors, known = asked.label, asked.vectors, asked.known
        self._asked, self._label, self._most = asked, label, asked.most
        self._unfolding, self._records = unfolding, records
        sample = next(self._objects(_LOOKED_AT), [])
        if not sample:
            raise InvalidField(label, "has no rows", remedy="Send a file with at least one document.")
        self.columns: Sequence[str] = list(dict.fromkeys(name for row in sample for name in row))
        self.original_columns: Sequence[str] = self.columns
        self._unfolding.check_columns(len(self.columns))
        self.byo = any(isinstance(row.get(_NESTED), dict) for row in sample)
        self._number = asked.number
        self._repeating: list[str] = []
        self.id_column = choose_id(self.columns, asked)
        meant = asked_columns(vectors, self.columns, needed=asked.needed)
        self._forms = {} if self.byo else _forms(sample, self.columns, meant)
        found = {name: form.dimension for name, form in self._forms.items()}
        found |= {name: size for name in self.columns if (size := _dimension(sample, name, meant)) is not None}
        if not self.byo:
            there = {name: size for name, size in known.items() if vectors is None and _holds_lists(sample, name)}
            vectors = list(there) or vectors
            found |= there
        texts = [name for name in self.columns if name != self.id_column and _reads(sample, name)]
        chosen = {} if self.byo else choose_vectors(self.columns, list(found), asked, vectors, texts)
        self._vectors = chosen
        self.dimensions: Mapping[str, int] = _nested(sample, known) if self.byo else self._checked(found)
        recognised = (
            self._recognised(sample, found)
            if self.id_column is None and asked.id_column is None and not asked.numbered
            else None
        )
        self.id_column = self.id_column or recognised
        self._left_out = RESERVED | {self.id_column, *self._vectors.values()}
        unasked = found.keys() - self._left_out
        self.warnings: Sequence[str] = [
            *([] if recognised is None else [taken_for_ids(recognised)]),
            *map(repeating_ids, self._repeating),
            *(
                f"Column {name!r} looks like vectors that were not asked for and was left out."
                for name in sorted(unasked)
            ),
        ]
        self._left_out |= unasked

    def line_of(self, row: int) -> int | None:
        return self._records.line_of(row)

    def pieces(self, size: int) -> Iterator[Piece]:
        first = 0
        for rows in self._objects(size):
            ids = self._number(first, len(rows)) if self.id_column is None else self._ids(rows, first)
            with naming_document(self._label, first, ids):
                blocks = self._nested_blocks(rows, first) if self.byo else self._blocks(rows, first)
            whole = self.id_column is None or all(isinstance(row[self.id_column], (int, float)) for row in rows)
            yield Piece(first, ids, blocks, [self._attributes(row) for row in rows], whole)
            first += len(rows)

    def originals(self, size: int, columns: Sequence[str] | None, *, as_text: bool) -> Originals:
        del as_text  # JSON has types
        for rows in self._objects(size):
            yield rows if columns is None else [{name: row[name] for name in columns if name in row} for row in rows]

    def _recognised(self, sample: Sequence[Json], vectors: Mapping[str, int]) -> str | None:
        """The key that holds ids although it is not called so: the first likely one without a value twice."""
        held = {name: [row.get(name) for row in sample] for name in self.columns if name not in vectors}
        likely = likely_ids(held)
        found = next(iter(self._different(likely)), None)
        self._repeating = [name for name in likely if found is None and is_named_as_ids(name)][:1]
        return found

    def _different(self, names: Sequence[str]) -> list[str]:
        """Those of the keys that have another value in every row, in one pass over the file."""
        columns = DifferentColumns(names)
        for rows in self._objects(_LOOKED_AT) if names else ():
            columns.add({name: [row.get(name) for row in rows] for name in columns.names})
            if not columns.names:
                break
        return columns.ended()

    def _attributes(self, row: Json) -> Json:
        return {name: value for name, value in row.items() if name not in self._left_out}

    def _checked(self, found: Mapping[str, int]) -> dict[str, int]:
        for column in self._vectors.values():
            if column not in found:
                problem = "holds no vectors: lists of numbers of one length"
                remedy = f"Name another: {self._asked.options.vector}."
                raise InvalidField(f"{self._label}: column {column!r}", problem, remedy=remedy)
        return {name: found[column] for name, column in self._vectors.items()}

    def _ids(self, rows: Sequence[Json], first: int) -> list[str]:
        assert self.id_column is not None
        place = row_place(self._label, first, self.id_column)
        return [parse_id(_plain_id(row.get(self.id_column)), place(i)) for i, row in enumerate(rows)]

    def _blocks(self, rows: Sequence[Json], first: int) -> dict[str, VectorColumn]:
        return {
            name: self._column([row.get(column) for row in rows], self.dimensions[name], first, column)
            for name, column in self._vectors.items()
        }

    def _nested_blocks(self, rows: Sequence[Json], first: int) -> dict[str, VectorColumn]:
        place = row_place(self._label, first)
        for i, row in enumerate(rows):
            _check_byo(row, place(i))
        held = [row.get(_NESTED) or {} for row in rows]
        names = list(dict.fromkeys(name for vectors in held for name in vectors))
        return {
            name: self._column(
                [vectors.get(name) for vectors in held], self.dimensions.get(name), first, f"{_NESTED}.{name}"
            )
            for name in names
        }

    def _column(self, values: Sequence[object], dimension: int | None, first: int, column: str) -> VectorColumn:
        place = row_place(self._label, first, column)
        if column in self._forms:
            return vector_column(_texts(values, place), self._forms[column], place)
        values = [_numbers(value) for value in values]
        rows = [i for i, value in enumerate(values) if value is not None]
        block = double_block([values[i] for i in rows], lambda k: place(rows[k]), dimension=dimension, most=self._most)
        return VectorColumn(np.array(rows, np.int64), *split_if_significant(block))

    def _objects(self, size: int) -> Iterator[list[Json]]:
        with speaking_shoal(self._label), naming_line(self._label, self._records.line_of):
            first, total = 0, 0
            for texts in self._records.stretches(size):
                total += sum(map(len, texts))
                self._unfolding.check(total, first + len(texts))
                yield self._parsed(texts, first)
                first += len(texts)

    def _parsed(self, lines: Sequence[bytes], first: int) -> list[Json]:
        """All lines as one array, which is much faster; one by one where that fails, to find the culprit."""
        nested = [i for i, line in enumerate(lines) if self._parts(line, first + i) > MAX_NESTING]
        rows = self._read(lines, first)
        for i in nested:
            if _depth(rows[i]) > MAX_NESTING:
                place = f"{self._label}: row {first + i}"
                raise InvalidField(place, f"is nested more than {MAX_NESTING} deep", remedy="Flatten it.")
        return rows

    def _parts(self, line: bytes, number: int) -> int:
        """How many lists and objects a line has, at most: brackets inside text count too. Raises InvalidField."""
        parts = line.count(b"[") + line.count(b"{")
        if parts > _MOST_PARTS:
            problem = f"holds {parts:,} lists and objects, more than the {_MOST_PARTS:,} allowed"
            raise InvalidField(f"{self._label}: row {number}", problem, remedy="Leave what is not needed out.")
        return parts

    def _read(self, lines: Sequence[bytes], first: int) -> list[Json]:
        try:
            rows = orjson.loads(b"[" + b",".join(lines) + b"]")
        except orjson.JSONDecodeError:
            rows = []
        if len(rows) == len(lines) and set(map(type, rows)) == {dict}:
            return [_without_shell(row) for row in rows] if rows[0].keys() & _SHELLS else rows
        return [self._object(line, first + i) for i, line in enumerate(lines)]

    def _object(self, line: bytes, number: int) -> Json:
        place, remedy = f"{self._label}: row {number}", "Every row is one JSON object; NaN is not JSON: write null."
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            if "UTF-8" in error.msg:
                raise InvalidField(place, "is not UTF-8 text", remedy=self._asked.options.not_utf8) from None
            raise InvalidField(place, f"is not JSON ({error.msg})", remedy=remedy) from None
        if not isinstance(row, dict):
            raise InvalidField(place, "is no JSON object", value=row, remedy=remedy)
        return row


def _depth(value: object) -> int:
    """The levels of lists and objects in a JSON value."""
    depth, level = 0, [value]
    while level := [child for item in level if isinstance(item, (dict, list)) for child in _children(item)]:
        depth += 1
    return depth


def _children(item: Json | list[Any]) -> Sequence[Any]:
    return list(item.values()) if isinstance(item, dict) else item


def _without_shell(row: Json) -> Json:
    """A hit of Elasticsearch or OpenSearch as the document it holds, an answer of OpenAI's batches as its vector."""
    held = row.get("_source")
    if isinstance(held, dict):
        return {"_id": row.get("_id"), **held}
    match row:
        case {"custom_id": str(id), "response": {"body": {"data": [{"embedding": vector}]}}}:
            return {"custom_id": id, "embedding": vector}
    return row


def _plain_id(value: object) -> object:
    """Of MongoDB's `{"$oid": "..."}` the text."""
    if isinstance(value, dict) and len(value) == 1 and value.keys() <= {"$oid", "$uuid", "$numberLong"}:
        return next(iter(value.values()))
    return value


def _numbers(value: object) -> object:
    """The list of numbers in a value that wraps one: `{"values": [...]}`, as Pinecone and Gemini have it, or
    `[[...]]`."""
    if isinstance(value, dict) and isinstance(value.get("values"), list) and value.keys() <= _AROUND:
        return value["values"]
    return value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list) else value


def _dimension(sample: Sequence[Json], name: str, asked: Set[str]) -> int | None:
    """The length of the lists of numbers in a column, if it holds nothing else and they agree, at least 2. Of one that
    is meant to hold vectors the length that most have: a row that differs is the error then."""
    values = [value for row in sample if (value := _numbers(row.get(name))) is not None]
    lengths = Counter(len(value) if isinstance(value, list) else 0 for value in values)
    if name in asked:
        return next((length for length, _ in lengths.most_common() if length), None)
    if len(lengths) != 1 or (length := next(iter(lengths))) < 2:
        return None
    lists = (value for value in values if isinstance(value, list))
    return length if all({*map(type, value)} <= {int, float} for value in lists) else None


def _forms(sample: Sequence[Json], names: Sequence[str], asked: Set[str]) -> dict[str, Form]:
    """How vectors are written in the columns that hold them as text."""
    found: dict[str, Form] = {}
    for name in names:
        values = [value for row in sample if (value := row.get(name)) is not None]
        if values and all(isinstance(value, str) for value in values):
            form = form_of(pa.array(values, pa.large_string()), asked=name in asked)
            if form is not None and (form.share == 1 or name in asked):
                found[name] = form
    return found


def _texts(values: Sequence[object], place: Place) -> pa.Array:
    for row, value in enumerate(values):
        if value is not None and not isinstance(value, str):
            raise InvalidField(place(row), "must be text, as the others are", value=value)
    return pa.array(values, pa.large_string())


def _reads(sample: Sequence[Json], name: str) -> bool:
    """Whether a key holds text of several words."""
    texts = [value.strip() for row in sample if isinstance(value := row.get(name), str) and value.strip()]
    return bool(texts) and sum(" " in text for text in texts) >= len(texts) / 2


def _holds_lists(sample: Sequence[Json], name: str) -> bool:
    return any(isinstance(row.get(name), list) for row in sample)


def _nested(sample: Sequence[Json], known: Known) -> dict[str, int]:
    """The dimensions under `vectors`: those that are known, else those seen first."""
    found: dict[str, int] = {}
    for row in sample:
        vectors = row.get(_NESTED)
        if isinstance(vectors, dict):
            found |= {name: len(v) for name, v in vectors.items() if isinstance(v, list) and v and name not in found}
    return {name: known.get(name, size) for name, size in found.items()}


def _check_byo(row: Json, path: str) -> None:
    for name in (_NESTED, "payload", "metadata"):
        if not isinstance(row.get(name), dict | None):
            raise InvalidField(f"{path}, column {name!r}", "must be an object", value=row[name])
    check_lineage(row, path)
