"""Reads chunks of rows from the formats that Arrow reads: Parquet, Arrow, CSV and NPZ."""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.columns import VectorColumn
from shoal.errors import InvalidField
from shoal.files.columnar.dimension_columns import find_groups, gather_groups
from shoal.files.columnar.tables import TableRows
from shoal.files.columnar.vector_forms import VectorForm, check_vectors, detect_form, is_list, is_number_list
from shoal.files.columnar.vectors import to_vector_column
from shoal.files.csv_text.rows import CsvRows
from shoal.files.csv_text.shards import CsvShards
from shoal.files.faults import check_values
from shoal.files.ids.ids import are_canonical_integers, is_whole_type, read_ids
from shoal.files.ids.likely import has_id_name, note_chosen, note_repeating, rank_id_columns
from shoal.files.layout import (
    PYTHON,
    USUAL_NAMES,
    ReadRequest,
    VectorColumns,
    choose_id,
    choose_vectors,
    get_requested_columns,
)
from shoal.files.originals import Originals
from shoal.files.prose import is_prose
from shoal.files.reader import Chunk, name_document_in_errors, row_place
from shoal.files.reader_errors import convert_column
from shoal.records.documents.document import RESERVED
from shoal.tables import is_text, to_plain, to_plain_batch

__all__ = ["TableReader"]

_TEXTS: Final = (CsvRows, CsvShards)
_SAMPLE_ROWS: Final = 1024
_NESTED: Final = "vectors"
_ABBREVIATED: Final = re.compile(r"\s*\[[\s\d.,eE+\-\[]*\.\.\.")
"""Numbers with dots for the middle, as NumPy prints long arrays; a text may begin with a bracket too."""
_FEWEST_DIMENSIONS: Final = 8
"""The minimum number of numeric columns that are taken for one vector where none is required."""


class TableReader:
    """Reads a file of columns.

    A struct column `vectors` counts as one column per field, and columns that hold a dimension each as one vector
    column.
    """

    def __init__(self, rows: TableRows, request: ReadRequest) -> None:
        label, vectors = request.label, request.vectors
        self._label, self._rows = label, rows
        self.count, self.shards = rows.count, rows.shards
        self.original_columns: Sequence[str] = rows.schema.names
        self.delimiter = rows.delimiter if isinstance(rows, _TEXTS) else None
        self.nameless: Sequence[str] = rows.nameless if isinstance(rows, _TEXTS) else ()
        self.byo = _is_byo(self._rows.schema)
        self._groups: Mapping[str, Sequence[str]] = {}
        sample = self._read_sample()
        requested_names = get_requested_columns(vectors, sample.schema.names, needed=request.needs_vectors)
        forms = _detect_forms(sample, requested_names)
        needed = request.needs_vectors and not (request.reads_texts and _has_prose(sample))
        self._groups = _choose_groups(sample, forms, vectors, requested_names, needed=needed)
        if self._groups:
            sample = gather_groups(sample, self._groups, row_place(label, 0))
            forms |= _detect_forms(sample.select(list(self._groups)), requested_names)
        self.columns: Sequence[str] = sample.schema.names
        self.id_column = choose_id(self.columns, request)
        if vectors is None:
            types = {name: sample.column(name).type for name in request.known_vectors if name in self.columns}
            vectors = [name for name, kind_of in types.items() if is_list(kind_of)] or None
            for name in (name for name, kind_of in types.items() if is_number_list(kind_of)):
                if name not in forms or forms[name].share < 1:
                    forms[name] = VectorForm(request.known_vectors[name], "lists")
        self._request, self._make_ids = request, request.make_ids
        self._repeating: list[str] = []
        self._vectors = self._choose_vectors(sample, forms, vectors)
        detected = (
            self._detect_id_column(sample, forms)
            if self.id_column is None and request.id_column is None and not request.number_rows
            else None
        )
        self.id_column = self.id_column or detected
        self._forms = {
            name: self._find_form(sample, forms, column, request.max_dimension)
            for name, column in self._vectors.items()
        }
        self.dimensions: Mapping[str, int] = {name: form.dimension for name, form in self._forms.items()}
        self._payload, left_out = self._choose_attributes(sample, forms)
        group_notes = [
            f"Columns {columns[0]!r} to {columns[-1]!r} were read as one vector {name!r} of {len(columns)} numbers."
            for name, columns in self._groups.items()
        ]
        self.warnings: Sequence[str] = [
            *([] if detected is None else [note_chosen(detected)]),
            *map(note_repeating, self._repeating),
            *(warning for name, warning in self._rows.warnings.items() if not name or name in self._payload),
            *group_notes,
            *([] if request.option_names == PYTHON else left_out),
        ]

    def line_of(self, row: int) -> int | None:
        return self._rows.line_of(row)

    def chunks(self, size: int) -> Iterator[Chunk]:
        first = 0
        for batch in self._rows.batches(size, self._columns_to_read()):
            rows = self._prepare(batch, first)
            ids = (
                self._make_ids(first, len(rows))
                if self.id_column is None
                else self._read_ids(rows, self.id_column, first)
            )
            with name_document_in_errors(self._label, first, ids):
                blocks = {
                    name: self._read_vectors(rows, column, self._forms[name], first)
                    for name, column in self._vectors.items()
                }
            yield Chunk(first, ids, blocks, rows.select(self._payload), self._are_whole(rows, ids))
            first += len(rows)

    def originals(self, size: int, columns: Sequence[str] | None, *, as_text: bool) -> Originals:
        first, selected = 0, None if columns is None else list(columns)
        texts = self._rows.text_batches if as_text and isinstance(self._rows, _TEXTS) else self._rows.batches
        for batch in texts(size, selected):
            check_values(batch, row_place(self._label, first))
            yield batch
            first += len(batch)

    def _prepare(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        place = row_place(self._label, first)
        check_values(batch, place)
        return gather_groups(_expand_vectors_struct(to_plain_batch(batch)), self._groups, place)

    def _read_ids(self, batch: pa.RecordBatch, name: str, first: int) -> list[str]:
        place = row_place(self._label, first, name)
        return convert_column(batch.column(name), lambda column: read_ids(column, name, first, self._label), place)

    def _are_whole(self, batch: pa.RecordBatch, ids: Sequence[str]) -> bool:
        if self.id_column is None or is_whole_type(batch.column(self.id_column).type):
            return True
        return self._rows.untyped and are_canonical_integers(ids)

    def _read_vectors(self, batch: pa.RecordBatch, name: str, form: VectorForm, first: int) -> VectorColumn:
        place = row_place(self._label, first, name)
        return convert_column(batch.column(name), lambda column: to_vector_column(column, form, place), place)

    def _read_sample(self) -> pa.RecordBatch:
        """Return the first rows, from which column contents are inferred. Raises InvalidField where there are none."""
        for batch in self._rows.batches(_SAMPLE_ROWS):
            if len(batch):
                return self._prepare(batch, 0)
        raise InvalidField(self._label, "has no rows", remedy="Send a file with at least one document.")

    def _detect_id_column(self, sample: pa.RecordBatch, forms: Mapping[str, VectorForm]) -> str | None:
        """Return the column that holds ids although its name does not say so: the first likely one without
        duplicates."""
        columns = {
            name: sample.column(name).to_pylist()
            for name in sample.schema.names
            if name not in forms and name in self._rows.schema.names and _may_be_ids(sample.column(name).type)
        }
        if self._request.reads_texts and not self._vectors:
            columns = {name: values for name, values in columns.items() if not self._is_text(name, values)}
        likely = rank_id_columns(columns)
        unique = next((name for name in likely if self._is_unique_column(name)), None)
        self._repeating = [name for name in likely if unique is None and has_id_name(name)][:1]
        return unique

    def _is_text(self, name: str, values: Sequence[object]) -> bool:
        """Return whether a column may be encoded, and so is none of ids, however its name reads."""
        return name in self._request.text_columns or is_prose(values)

    def _is_unique_column(self, name: str) -> bool:
        """Return whether a column has no nulls and no duplicates.

        It is checked whenever the number of rows has doubled, so that a column with duplicates is not read to its end.
        """
        parts, checked = list[pa.Array](), 0
        for batch in self._rows.batches(_SAMPLE_ROWS * 8, [name]):
            parts.append(to_plain(batch.column(0)))
            if parts[-1].null_count:
                return False
            if (rows := sum(map(len, parts))) >= 2 * checked:
                if not _all_distinct(parts):
                    return False
                checked = rows
        return _all_distinct(parts)

    def _choose_vectors(
        self, sample: pa.RecordBatch, forms: Mapping[str, VectorForm], requested: VectorColumns
    ) -> dict[str, str]:
        needed = self._request.needs_vectors
        nested = [name for name in forms if name.startswith(f"{_NESTED}.")]
        if requested is None and nested:
            return {name.removeprefix(f"{_NESTED}."): name for name in nested}
        likely = [name for name, form in forms.items() if _is_likely_vector(sample.column(name).type, form)]
        even = [name for name in likely if forms[name].share == 1 or name.lower() in USUAL_NAMES]
        # Lists of different lengths are attributes; but where vectors are needed, a bad row is the better error.
        candidates = even or ([name for name in likely if forms[name].share >= 0.5] if needed else [])
        if requested is None and needed and not candidates:
            self._check_truncated(sample)
        texts = [name for name in self.columns if name != self.id_column and _is_prose(sample.column(name))]
        return choose_vectors(self.columns, candidates, self._request, requested, texts)

    def _check_truncated(self, sample: pa.RecordBatch) -> None:
        """Raise InvalidField for a column of vectors that NumPy abbreviated when printing."""
        for name in (name for name in sample.schema.names if is_text(sample.column(name).type)):
            texts = sample.column(name).to_pylist()
            first = next((text for text in texts if text), "")
            if _ABBREVIATED.match(first):
                check_vectors(texts, row_place(self._label, 0, name))

    def _find_form(self, sample: pa.RecordBatch, forms: Mapping[str, VectorForm], column: str, most: int) -> VectorForm:
        if column not in forms:
            if is_text(sample.column(column).type):
                check_vectors(sample.column(column).to_pylist(), row_place(self._label, 0, column))
            problem = "holds no vectors: lists of numbers of one length"
            remedy = f"Name another: {self._request.option_names.vector}."
            raise InvalidField(f"{self._label}: column {column!r}", problem, remedy=remedy)
        if not 0 < forms[column].dimension <= most:
            problem = f"has vectors of {forms[column].dimension} numbers; 1 to {most} are allowed"
            raise InvalidField(f"{self._label}: column {column!r}", problem)
        return forms[column]

    def _choose_attributes(
        self, sample: pa.RecordBatch, forms: Mapping[str, VectorForm]
    ) -> tuple[list[str], list[str]]:
        """Return the columns that become attributes, and a warning for each that is left out implicitly."""
        used = {self.id_column, *self._vectors.values()}
        attributes, warnings = [], []
        for name in self.columns:
            if name in used:
                continue
            kind = sample.column(name).type
            if name in forms and is_list(kind) and forms[name].share == 1 and _is_likely_vector(kind, forms[name]):
                warnings.append(f"Column {name!r} looks like vectors that were not requested and was left out.")
            elif name in RESERVED:
                warnings.append(f"Column {name!r} has a name reserved by Shoal and was left out.")
            elif not (self.byo and name.startswith(f"{_NESTED}.")):
                attributes.append(name)
        return attributes, warnings

    def _columns_to_read(self) -> list[str]:
        """Return the columns of the file that have to be read, in file order."""
        names = {*self._payload, *self._vectors.values(), self.id_column}
        names |= {name for vector, columns in self._groups.items() if vector in names for name in columns}
        if self.byo and any(name and name.startswith(f"{_NESTED}.") for name in names):
            names.add(_NESTED)
        return [name for name in self._rows.schema.names if name in names]


def _detect_forms(sample: pa.RecordBatch, requested_names: Set[str]) -> dict[str, VectorForm]:
    """Return how vectors are encoded in the columns that hold any."""
    forms = {name: detect_form(sample.column(name), requested=name in requested_names) for name in sample.schema.names}
    return {name: form for name, form in forms.items() if form is not None}


def _choose_groups(
    sample: pa.RecordBatch,
    forms: Mapping[str, VectorForm],
    vectors: VectorColumns,
    requested_names: Set[str],
    *,
    needed: bool,
) -> Mapping[str, Sequence[str]]:
    """Return the groups of columns to read as one vector.

    Those requested, else, where no column holds vectors, all groups that are long enough.
    """
    if vectors is not None and not requested_names - set(sample.schema.names):
        return {}
    groups = find_groups(sample)
    if vectors is not None:
        return {name: columns for name, columns in groups.items() if name in requested_names}
    if any(_is_likely_vector(sample.column(name).type, form) for name, form in forms.items()):
        return {}
    fewest = 2 if needed else _FEWEST_DIMENSIONS
    longest = max(map(len, groups.values()), default=0)
    return {name: columns for name, columns in groups.items() if len(columns) >= max(fewest, longest)}


def _has_prose(sample: pa.RecordBatch) -> bool:
    return any(_is_prose(column) for column in sample.columns)


def _is_byo(schema: pa.Schema) -> bool:
    return _NESTED in schema.names and pa.types.is_struct(schema.field(_NESTED).type)


def _expand_vectors_struct(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Replace a struct column `vectors` by one column per field, named `vectors.<field>`."""
    if not _is_byo(batch.schema):
        return batch
    columns: dict[str, pa.Array] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name == _NESTED:
            fields = [field.name for field in column.type]
            columns |= {f"{name}.{field}": part for field, part in zip(fields, column.flatten(), strict=True)}
        else:
            columns[name] = column
    return pa.RecordBatch.from_pydict(columns)


def _all_distinct(parts: Sequence[pa.Array]) -> bool:
    column = pa.chunked_array(parts)
    return bool(pc.count_distinct(column).as_py() == len(column))


def _may_be_ids(kind: pa.DataType) -> bool:
    return is_text(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _is_prose(column: pa.Array) -> bool:
    kind = column.type
    if not (is_text(kind) or pa.types.is_struct(kind) or (is_list(kind) and not is_number_list(kind))):
        return False
    try:
        return is_prose(column.to_pylist())
    except ValueError:  # two fields of one name, which is an error where the column is read
        return False


def _is_likely_vector(kind: pa.DataType, form: VectorForm) -> bool:
    """Return whether a column is taken for vectors by default: at least two numbers per row, and not lists of
    integers."""
    if form.dimension < 2:
        return False
    return not is_number_list(kind) or not pa.types.is_integer(kind.value_type)
