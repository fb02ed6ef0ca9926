"""Pieces of rows that Arrow reads: of Parquet, Arrow and CSV files."""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.columns import VectorColumn
from shoal.errors import InvalidField
from shoal.files.columnar.dimension_columns import find_groups, gathered
from shoal.files.columnar.tables import Rows
from shoal.files.columnar.vector_forms import Form, check_vectors, form_of, is_list, is_number_list
from shoal.files.columnar.vectors import vector_column
from shoal.files.csv_text.rows import CsvRows
from shoal.files.faults import check_values
from shoal.files.ids.ids import are_whole, are_written_whole, ids_of
from shoal.files.ids.likely import is_named_as_ids, likely_ids, repeating_ids, taken_for_ids
from shoal.files.layout import PYTHON, USUAL_NAMES, Asked, Chosen, asked_columns, choose_id, choose_vectors
from shoal.files.originals import Originals
from shoal.files.pieces import Piece, naming_document, row_place
from shoal.files.reading import converted
from shoal.files.text_shards import CsvShards
from shoal.records.document import RESERVED
from shoal.tables import is_text, to_plain, to_plain_batch

__all__ = ["TablePieces"]

_TEXTS: Final = (CsvRows, CsvShards)
_LOOKED_AT: Final = 1024
_NESTED: Final = "vectors"
_FEWEST_DIMENSIONS: Final = 8
"""Columns of numbers that are taken for one vector where none is needed."""


class TablePieces:
    """A file of columns. A struct column `vectors` counts as one column for each of its fields, and columns that hold a
    dimension each as one column of vectors."""

    def __init__(self, rows: Rows, asked: Asked) -> None:
        label, vectors = asked.label, asked.vectors
        self._label, self._rows = label, rows
        self.count, self.shards = rows.count, rows.shards
        self.original_columns: Sequence[str] = rows.schema.names
        self.delimiter = rows.delimiter if isinstance(rows, _TEXTS) else None
        self.nameless: Sequence[str] = rows.nameless if isinstance(rows, _TEXTS) else ()
        self.byo = _is_byo(self._rows.schema)
        self._groups: Mapping[str, Sequence[str]] = {}
        sample = self._sample()
        meant = asked_columns(vectors, sample.schema.names, needed=asked.needed)
        forms = _forms(sample, meant)
        self._groups = _chosen_groups(sample, forms, vectors, meant, needed=asked.needed)
        if self._groups:
            sample = gathered(sample, self._groups, row_place(label, 0))
            forms |= _forms(sample.select(list(self._groups)), meant)
        self.columns: Sequence[str] = sample.schema.names
        self.id_column = choose_id(self.columns, asked)
        if vectors is None:
            types = {name: sample.column(name).type for name in asked.known if name in self.columns}
            vectors = [name for name, kind_of in types.items() if is_list(kind_of)] or None
            for name in (name for name, kind_of in types.items() if is_number_list(kind_of)):
                if name not in forms or forms[name].share < 1:
                    forms[name] = Form(asked.known[name], "lists")
        self._asked, self._number = asked, asked.number
        self._repeating: list[str] = []
        self._vectors = self._chosen(sample, forms, vectors)
        recognised = (
            self._recognised(sample, forms)
            if self.id_column is None and asked.id_column is None and not asked.numbered
            else None
        )
        self.id_column = self.id_column or recognised
        self._forms = {name: self._form(sample, forms, column, asked.most) for name, column in self._vectors.items()}
        self.dimensions: Mapping[str, int] = {name: form.dimension for name, form in self._forms.items()}
        self._payload, left_out = self._attributes(sample, forms)
        grouped = [
            f"Columns {columns[0]!r} to {columns[-1]!r} were read as one vector {name!r} of {len(columns)} numbers."
            for name, columns in self._groups.items()
        ]
        self.warnings: Sequence[str] = [
            *([] if recognised is None else [taken_for_ids(recognised)]),
            *map(repeating_ids, self._repeating),
            *(warning for name, warning in self._rows.warnings.items() if not name or name in self._payload),
            *grouped,
            *([] if asked.options == PYTHON else left_out),
        ]

    def line_of(self, row: int) -> int | None:
        return self._rows.line_of(row)

    def pieces(self, size: int) -> Iterator[Piece]:
        first = 0
        for batch in self._rows.batches(size, self._needed()):
            rows = self._plain(batch, first)
            ids = self._number(first, len(rows)) if self.id_column is None else self._ids(rows, self.id_column, first)
            with naming_document(self._label, first, ids):
                blocks = {
                    name: self._block(rows, column, self._forms[name], first) for name, column in self._vectors.items()
                }
            yield Piece(first, ids, blocks, rows.select(self._payload), self._are_whole(rows, ids))
            first += len(rows)

    def originals(self, size: int, columns: Sequence[str] | None, *, as_text: bool) -> Originals:
        first, wanted = 0, None if columns is None else list(columns)
        texts = self._rows.texts if as_text and isinstance(self._rows, _TEXTS) else self._rows.batches
        for batch in texts(size, wanted):
            check_values(batch, row_place(self._label, first))
            yield batch
            first += len(batch)

    def _plain(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        place = row_place(self._label, first)
        check_values(batch, place)
        return gathered(_spread(to_plain_batch(batch)), self._groups, place)

    def _ids(self, batch: pa.RecordBatch, name: str, first: int) -> list[str]:
        place = row_place(self._label, first, name)
        return converted(batch.column(name), lambda column: ids_of(column, name, first, self._label), place)

    def _are_whole(self, batch: pa.RecordBatch, ids: Sequence[str]) -> bool:
        if self.id_column is None or are_whole(batch.column(self.id_column).type):
            return True
        return self._rows.untyped and are_written_whole(ids)

    def _block(self, batch: pa.RecordBatch, name: str, form: Form, first: int) -> VectorColumn:
        place = row_place(self._label, first, name)
        return converted(batch.column(name), lambda column: vector_column(column, form, place), place)

    def _sample(self) -> pa.RecordBatch:
        """The first rows, to see what the columns hold. Raises InvalidField where there are none."""
        for batch in self._rows.batches(_LOOKED_AT):
            if len(batch):
                return self._plain(batch, 0)
        raise InvalidField(self._label, "has no rows", remedy="Send a file with at least one document.")

    def _recognised(self, sample: pa.RecordBatch, forms: Mapping[str, Form]) -> str | None:
        """The column that holds ids although it is not called so: the first likely one without a value twice."""
        held = {
            name: sample.column(name).to_pylist()
            for name in sample.schema.names
            if name not in forms and name in self._rows.schema.names and _may_be_ids(sample.column(name).type)
        }
        likely = likely_ids(held)
        found = next((name for name in likely if self._are_different(name)), None)
        self._repeating = [name for name in likely if found is None and is_named_as_ids(name)][:1]
        return found

    def _are_different(self, name: str) -> bool:
        """Whether a column has no gap and no value twice. It is judged each time that twice as many rows are read, so
        that one that repeats is not read to its end."""
        held, checked = list[pa.Array](), 0
        for batch in self._rows.batches(_LOOKED_AT * 8, [name]):
            held.append(to_plain(batch.column(0)))
            if held[-1].null_count:
                return False
            if (rows := sum(map(len, held))) >= 2 * checked:
                if not _has_each_once(held):
                    return False
                checked = rows
        return _has_each_once(held)

    def _chosen(self, sample: pa.RecordBatch, forms: Mapping[str, Form], asked: Chosen) -> dict[str, str]:
        needed = self._asked.needed
        nested = [name for name in forms if name.startswith(f"{_NESTED}.")]
        if asked is None and nested:
            return {name.removeprefix(f"{_NESTED}."): name for name in nested}
        likely = [name for name, form in forms.items() if _is_likely(sample.column(name).type, form)]
        even = [name for name in likely if forms[name].share == 1 or name.lower() in USUAL_NAMES]
        # Lists of different lengths are attributes; but where vectors are needed, a bad row is the better error.
        candidates = even or ([name for name in likely if forms[name].share >= 0.5] if needed else [])
        if asked is None and needed and not candidates:
            self._check_cut(sample)
        texts = [name for name in self.columns if name != self.id_column and _reads(sample.column(name))]
        return choose_vectors(self.columns, candidates, self._asked, asked, texts)

    def _check_cut(self, sample: pa.RecordBatch) -> None:
        """Raises InvalidField for a column of vectors that NumPy cut when it printed them."""
        for name in (name for name in sample.schema.names if is_text(sample.column(name).type)):
            texts = sample.column(name).to_pylist()
            first = next((text for text in texts if text), "")
            if first.lstrip().startswith("[") and "..." in first:
                check_vectors(texts, row_place(self._label, 0, name))

    def _form(self, sample: pa.RecordBatch, forms: Mapping[str, Form], column: str, most: int) -> Form:
        if column not in forms:
            if is_text(sample.column(column).type):
                check_vectors(sample.column(column).to_pylist(), row_place(self._label, 0, column))
            problem = "holds no vectors: lists of numbers of one length"
            remedy = f"Name another: {self._asked.options.vector}."
            raise InvalidField(f"{self._label}: column {column!r}", problem, remedy=remedy)
        if not 0 < forms[column].dimension <= most:
            problem = f"has vectors of {forms[column].dimension} numbers; 1 to {most} are allowed"
            raise InvalidField(f"{self._label}: column {column!r}", problem)
        return forms[column]

    def _attributes(self, sample: pa.RecordBatch, forms: Mapping[str, Form]) -> tuple[list[str], list[str]]:
        """The columns that become attributes, and a warning for each that is left out unasked."""
        taken = {self.id_column, *self._vectors.values()}
        kept, warnings = [], []
        for name in self.columns:
            if name in taken:
                continue
            kind = sample.column(name).type
            if name in forms and is_list(kind) and forms[name].share == 1 and _is_likely(kind, forms[name]):
                warnings.append(f"Column {name!r} looks like vectors that were not asked for and was left out.")
            elif name in RESERVED:
                warnings.append(f"Column {name!r} has a name that is Shoal's and was left out.")
            elif not (self.byo and name.startswith(f"{_NESTED}.")):
                kept.append(name)
        return kept, warnings

    def _needed(self) -> list[str]:
        """The columns of the file that have to be read, in its order."""
        wanted = {*self._payload, *self._vectors.values(), self.id_column}
        wanted |= {name for vector, columns in self._groups.items() if vector in wanted for name in columns}
        if self.byo and any(name and name.startswith(f"{_NESTED}.") for name in wanted):
            wanted.add(_NESTED)
        return [name for name in self._rows.schema.names if name in wanted]


def _forms(sample: pa.RecordBatch, asked: Set[str]) -> dict[str, Form]:
    """How vectors are written in the columns that hold any."""
    found = {name: form_of(sample.column(name), asked=name in asked) for name in sample.schema.names}
    return {name: form for name, form in found.items() if form is not None}


def _chosen_groups(
    sample: pa.RecordBatch, forms: Mapping[str, Form], vectors: Chosen, asked: Set[str], *, needed: bool
) -> Mapping[str, Sequence[str]]:
    """The groups of columns to read as a vector: those asked for, else, where no column holds vectors, all that are
    long enough."""
    if vectors is not None and not asked - set(sample.schema.names):
        return {}
    groups = find_groups(sample)
    if vectors is not None:
        return {name: columns for name, columns in groups.items() if name in asked}
    if any(_is_likely(sample.column(name).type, form) for name, form in forms.items()):
        return {}
    fewest = 2 if needed else _FEWEST_DIMENSIONS
    longest = max(map(len, groups.values()), default=0)
    return {name: columns for name, columns in groups.items() if len(columns) >= max(fewest, longest)}


def _is_byo(schema: pa.Schema) -> bool:
    return _NESTED in schema.names and pa.types.is_struct(schema.field(_NESTED).type)


def _spread(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The fields of a struct column `vectors` as columns of their own, called `vectors.<field>`."""
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


def _has_each_once(parts: Sequence[pa.Array]) -> bool:
    column = pa.chunked_array(parts)
    return bool(pc.count_distinct(column).as_py() == len(column))


def _may_be_ids(kind: pa.DataType) -> bool:
    return is_text(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _reads(column: pa.Array) -> bool:
    """Whether a column holds text of several words."""
    if not is_text(column.type):
        return False
    texts = [text for text in column.to_pylist() if text and text.strip()]
    return bool(texts) and sum(" " in text.strip() for text in texts) >= len(texts) / 2


def _is_likely(kind: pa.DataType, form: Form) -> bool:
    """Whether a column is taken for vectors without being named: at least two numbers, and no lists of whole ones."""
    if form.dimension < 2:
        return False
    return not is_number_list(kind) or not pa.types.is_integer(kind.value_type)
