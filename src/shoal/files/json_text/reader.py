"""Reads chunks of rows from a JSON file: rows are objects, read without a schema."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from shoal.columns import VectorColumn
from shoal.errors import InvalidField
from shoal.files.bounds import MAX_NESTING, SizeGuard
from shoal.files.columnar.vector_forms import VectorForm, detect_form
from shoal.files.columnar.vectors import to_vector_column
from shoal.files.ids.likely import DistinctColumns, has_id_name, note_chosen, note_repeating, rank_id_columns
from shoal.files.json_text.records import Records
from shoal.files.json_text.shapes import open_records
from shoal.files.json_text.shards import JsonShards
from shoal.files.layout import KnownVectors, ReadRequest, choose_id, choose_vectors, get_requested_columns
from shoal.files.originals import Originals
from shoal.files.prose import is_prose
from shoal.files.reader import Chunk, Shards, name_document_in_errors, name_line_in_errors, row_place
from shoal.files.reader_errors import translate_errors
from shoal.precision import split_if_significant
from shoal.records.documents.document import RESERVED, check_lineage
from shoal.records.documents.vectors import Place, double_block
from shoal.scalars import parse_id

__all__ = ["JsonReader"]

Json = dict[str, Any]
_SAMPLE_ROWS: Final = 1024
_MOST_PARTS: Final = 2**18
_NESTED: Final = "vectors"
_WRAPPER_KEYS: Final = frozenset({"_source", "custom_id"})
_VALUES_KEYS: Final = frozenset({"values", "statistics"})


class JsonReader:
    """Reads a JSON file of any shape that `json_text.shapes` knows.

    A key `vectors` that holds objects makes the rows BYODocuments.
    """

    count: int | None = None
    shards: Shards = ()
    delimiter: str | None = None
    nameless: Sequence[str] = ()

    def __init__(self, path: Path, request: ReadRequest) -> None:
        guard = SizeGuard(request.label, path.stat().st_size, request.bounds)
        self._inspect(open_records(path, request.label, guard), guard, request)

    @classmethod
    def from_shards(cls, shards: JsonShards, size: int, request: ReadRequest) -> "JsonReader":
        """Read several files of `size` bytes in total."""
        reader = cls.__new__(cls)
        reader.shards = shards.shards
        reader._inspect(shards, SizeGuard(request.label, size, request.bounds), request)
        return reader

    def _inspect(self, records: Records, guard: SizeGuard, request: ReadRequest) -> None:
        label, vectors, known_vectors = request.label, request.vectors, request.known_vectors
        self._request, self._label, self._most = request, label, request.max_dimension
        self._guard, self._records = guard, records
        sample = next(self._iter_rows(_SAMPLE_ROWS), [])
        if not sample:
            raise InvalidField(label, "has no rows", remedy="Send a file with at least one document.")
        self.columns: Sequence[str] = list(dict.fromkeys(name for row in sample for name in row))
        self.original_columns: Sequence[str] = self.columns
        self._guard.check_columns(len(self.columns))
        self.byo = any(isinstance(row.get(_NESTED), dict) for row in sample)
        self._make_ids = request.make_ids
        self._repeating: list[str] = []
        self.id_column = choose_id(self.columns, request)
        requested_names = get_requested_columns(vectors, self.columns, needed=request.needs_vectors)
        self._forms = {} if self.byo else _detect_forms(sample, self.columns, requested_names)
        dimensions = {name: form.dimension for name, form in self._forms.items()}
        dimensions |= {
            name: size
            for name in self.columns
            if (size := _detect_dimension(sample, name, requested_names)) is not None
        }
        if not self.byo:
            known_columns = {
                name: size for name, size in known_vectors.items() if vectors is None and _has_lists(sample, name)
            }
            vectors = list(known_columns) or vectors
            dimensions |= known_columns
        texts = [name for name in self.columns if name != self.id_column and is_prose(row.get(name) for row in sample)]
        chosen = {} if self.byo else choose_vectors(self.columns, list(dimensions), request, vectors, texts)
        self._vectors = chosen
        self.dimensions: Mapping[str, int] = (
            _find_nested_dimensions(sample, known_vectors) if self.byo else self._check_dimensions(dimensions)
        )
        detected = (
            self._detect_id_column(sample, dimensions)
            if self.id_column is None and request.id_column is None and not request.number_rows
            else None
        )
        self.id_column = self.id_column or detected
        self._left_out = RESERVED | {self.id_column, *self._vectors.values()}
        unrequested = dimensions.keys() - self._left_out
        self.warnings: Sequence[str] = [
            *([] if detected is None else [note_chosen(detected)]),
            *map(note_repeating, self._repeating),
            *(
                f"Column {name!r} looks like vectors that were not requested and was left out."
                for name in sorted(unrequested)
            ),
        ]
        self._left_out |= unrequested

    def line_of(self, row: int) -> int | None:
        return self._records.line_of(row)

    def chunks(self, size: int) -> Iterator[Chunk]:
        first = 0
        for rows in self._iter_rows(size):
            ids = self._make_ids(first, len(rows)) if self.id_column is None else self._read_ids(rows, first)
            with name_document_in_errors(self._label, first, ids):
                blocks = self._read_nested_blocks(rows, first) if self.byo else self._read_blocks(rows, first)
            whole = self.id_column is None or all(isinstance(row[self.id_column], (int, float)) for row in rows)
            yield Chunk(first, ids, blocks, [self._build_attributes(row) for row in rows], whole)
            first += len(rows)

    def originals(self, size: int, columns: Sequence[str] | None, *, as_text: bool) -> Originals:
        del as_text  # JSON has types
        for rows in self._iter_rows(size):
            yield rows if columns is None else [{name: row[name] for name in columns if name in row} for row in rows]

    def _detect_id_column(self, sample: Sequence[Json], vectors: Mapping[str, int]) -> str | None:
        """Return the key that holds ids although its name does not say so: the first likely one without duplicates."""
        columns = {name: [row.get(name) for row in sample] for name in self.columns if name not in vectors}
        if self._request.reads_texts and not vectors:
            texts = {name for name, values in columns.items() if is_prose(values)} | {*self._request.text_columns}
            columns = {name: values for name, values in columns.items() if name not in texts}
        likely = rank_id_columns(columns)
        distinct = next(iter(self._find_distinct(likely)), None)
        self._repeating = [name for name in likely if distinct is None and has_id_name(name)][:1]
        return distinct

    def _find_distinct(self, names: Sequence[str]) -> list[str]:
        """Return the keys without nulls and duplicates, in one pass over the file."""
        columns = DistinctColumns(names)
        for rows in self._iter_rows(_SAMPLE_ROWS) if names else ():
            columns.add({name: [row.get(name) for row in rows] for name in columns.names})
            if not columns.names:
                break
        return columns.finish()

    def _build_attributes(self, row: Json) -> Json:
        return {name: value for name, value in row.items() if name not in self._left_out}

    def _check_dimensions(self, dimensions: Mapping[str, int]) -> dict[str, int]:
        for column in self._vectors.values():
            if column not in dimensions:
                problem = "holds no vectors: lists of numbers of one length"
                remedy = f"Name another: {self._request.option_names.vector}."
                raise InvalidField(f"{self._label}: column {column!r}", problem, remedy=remedy)
        return {name: dimensions[column] for name, column in self._vectors.items()}

    def _read_ids(self, rows: Sequence[Json], first: int) -> list[str]:
        assert self.id_column is not None
        place = row_place(self._label, first, self.id_column)
        return [parse_id(_unwrap_id(row.get(self.id_column)), place(i)) for i, row in enumerate(rows)]

    def _read_blocks(self, rows: Sequence[Json], first: int) -> dict[str, VectorColumn]:
        return {
            name: self._build_column([row.get(column) for row in rows], self.dimensions[name], first, column)
            for name, column in self._vectors.items()
        }

    def _read_nested_blocks(self, rows: Sequence[Json], first: int) -> dict[str, VectorColumn]:
        place = row_place(self._label, first)
        for i, row in enumerate(rows):
            _check_byo(row, place(i))
        rows_of_vectors = [row.get(_NESTED) or {} for row in rows]
        names = list(dict.fromkeys(name for vectors in rows_of_vectors for name in vectors))
        return {
            name: self._build_column(
                [vectors.get(name) for vectors in rows_of_vectors],
                self.dimensions.get(name),
                first,
                f"{_NESTED}.{name}",
            )
            for name in names
        }

    def _build_column(self, values: Sequence[object], dimension: int | None, first: int, column: str) -> VectorColumn:
        place = row_place(self._label, first, column)
        if column in self._forms:
            return to_vector_column(_to_texts(values, place), self._forms[column], place)
        values = [_unwrap_numbers(value) for value in values]
        rows = [i for i, value in enumerate(values) if value is not None]
        block = double_block([values[i] for i in rows], lambda k: place(rows[k]), dimension=dimension, most=self._most)
        return VectorColumn(np.array(rows, np.int64), *split_if_significant(block))

    def _iter_rows(self, size: int) -> Iterator[list[Json]]:
        with translate_errors(self._label), name_line_in_errors(self._label, self._records.line_of):
            first, total = 0, 0
            for texts in self._records.chunks(size):
                total += sum(map(len, texts))
                self._guard.check(total, first + len(texts))
                yield self._parse_lines(texts, first)
                first += len(texts)

    def _parse_lines(self, lines: Sequence[bytes], first: int) -> list[Json]:
        """Parse all lines as one array, which is much faster; one by one where that fails, to locate the error."""
        nested = [i for i, line in enumerate(lines) if self._count_containers(line, first + i) > MAX_NESTING]
        rows = self._load_lines(lines, first)
        for i in nested:
            if _measure_depth(rows[i]) > MAX_NESTING:
                place = f"{self._label}: row {first + i}"
                raise InvalidField(place, f"is nested more than {MAX_NESTING} deep", remedy="Flatten it.")
        return rows

    def _count_containers(self, line: bytes, number: int) -> int:
        """Return an upper bound of the lists and objects in a line: brackets in strings count too. Raises
        InvalidField."""
        parts = line.count(b"[") + line.count(b"{")
        if parts > _MOST_PARTS:
            problem = f"holds {parts:,} lists and objects, more than the {_MOST_PARTS:,} allowed"
            raise InvalidField(f"{self._label}: row {number}", problem, remedy="Leave what is not needed out.")
        return parts

    def _load_lines(self, lines: Sequence[bytes], first: int) -> list[Json]:
        try:
            rows = orjson.loads(b"[" + b",".join(lines) + b"]")
        except orjson.JSONDecodeError:
            rows = []
        if len(rows) == len(lines) and set(map(type, rows)) == {dict}:
            return [_unwrap_row(row) for row in rows] if rows[0].keys() & _WRAPPER_KEYS else rows
        return [self._load_line(line, first + i) for i, line in enumerate(lines)]

    def _load_line(self, line: bytes, number: int) -> Json:
        place, remedy = f"{self._label}: row {number}", "Every row is one JSON object; NaN is not JSON: write null."
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            if "UTF-8" in error.msg:
                raise InvalidField(place, "is not UTF-8 text", remedy=self._request.option_names.not_utf8) from None
            raise InvalidField(place, f"is not JSON ({error.msg})", remedy=remedy) from None
        if not isinstance(row, dict):
            raise InvalidField(place, "is not a JSON object", value=row, remedy=remedy)
        return row


def _measure_depth(value: object) -> int:
    """Return the nesting depth of a JSON value."""
    depth, level = 0, [value]
    while level := [child for item in level if isinstance(item, (dict, list)) for child in _children(item)]:
        depth += 1
    return depth


def _children(item: Json | list[Any]) -> Sequence[Any]:
    return list(item.values()) if isinstance(item, dict) else item


def _unwrap_row(row: Json) -> Json:
    """Return the document in a hit of Elasticsearch or OpenSearch, or the vector in a response of OpenAI's batch
    API."""
    source = row.get("_source")
    if isinstance(source, dict):
        return {"_id": row.get("_id"), **source}
    match row:
        case {"custom_id": str(id), "response": {"body": {"data": [{"embedding": vector}]}}}:
            return {"custom_id": id, "embedding": vector}
    return row


def _unwrap_id(value: object) -> object:
    """Return the text of MongoDB's `{"$oid": "..."}`."""
    if isinstance(value, dict) and len(value) == 1 and value.keys() <= {"$oid", "$uuid", "$numberLong"}:
        return next(iter(value.values()))
    return value


def _unwrap_numbers(value: object) -> object:
    """Return the list of numbers in a wrapper: `{"values": [...]}`, as in Pinecone and Gemini, or `[[...]]`."""
    if isinstance(value, dict) and isinstance(value.get("values"), list) and value.keys() <= _VALUES_KEYS:
        return value["values"]
    return value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list) else value


def _detect_dimension(sample: Sequence[Json], name: str, requested_names: Set[str]) -> int | None:
    """Return the length of the number lists in a column, at least 2, if it holds nothing else and they agree.

    For a column that was requested, the most common length: a row of another length is then the error.
    """
    values = [value for row in sample if (value := _unwrap_numbers(row.get(name))) is not None]
    lengths = Counter(len(value) if isinstance(value, list) else 0 for value in values)
    if name in requested_names:
        return next((length for length, _ in lengths.most_common() if length), None)
    if len(lengths) != 1 or (length := next(iter(lengths))) < 2:
        return None
    lists = (value for value in values if isinstance(value, list))
    return length if all({*map(type, value)} <= {int, float} for value in lists) else None


def _detect_forms(sample: Sequence[Json], names: Sequence[str], requested_names: Set[str]) -> dict[str, VectorForm]:
    """Return how vectors are encoded in the columns that hold them as text."""
    forms: dict[str, VectorForm] = {}
    for name in names:
        values = [value for row in sample if (value := row.get(name)) is not None]
        if values and all(isinstance(value, str) for value in values):
            form = detect_form(pa.array(values, pa.large_string()), requested=name in requested_names)
            if form is not None and (form.share == 1 or name in requested_names):
                forms[name] = form
    return forms


def _to_texts(values: Sequence[object], place: Place) -> pa.Array:
    for row, value in enumerate(values):
        if value is not None and not isinstance(value, str):
            raise InvalidField(place(row), "must be text, as the others are", value=value)
    return pa.array(values, pa.large_string())


def _has_lists(sample: Sequence[Json], name: str) -> bool:
    return any(isinstance(row.get(name), list) for row in sample)


def _find_nested_dimensions(sample: Sequence[Json], known_vectors: KnownVectors) -> dict[str, int]:
    """Return the dimensions of the vectors under `vectors`: the known ones, else those of the first occurrence."""
    dimensions: dict[str, int] = {}
    for row in sample:
        vectors = row.get(_NESTED)
        if isinstance(vectors, dict):
            dimensions |= {
                name: len(v) for name, v in vectors.items() if isinstance(v, list) and v and name not in dimensions
            }
    return {name: known_vectors.get(name, size) for name, size in dimensions.items()}


def _check_byo(row: Json, path: str) -> None:
    for name in (_NESTED, "payload", "metadata"):
        if not isinstance(row.get(name), dict | None):
            raise InvalidField(f"{path}, column {name!r}", "must be an object", value=row[name])
    check_lineage(row, path)
