"""Pieces of Parquet, Arrow and CSV files."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.files.formats import Format
from shoal.files.ids import ID_COLUMNS, ids_of, numbered
from shoal.files.layout import Chosen, Known, choose_id, choose_vectors
from shoal.files.pieces import Piece, naming_document, row_place
from shoal.files.tables import open_rows
from shoal.files.vectors import dimension_of, is_list, is_number_list, vector_column
from shoal.records.document import RESERVED

__all__ = ["TablePieces"]

_LOOKED_AT: Final = 1024
_NESTED: Final = "vectors"
_NUMBERED: Final = (
    "There is no id column: documents are numbered by row, so another such file would replace them. "
    "Name a column with ids to keep them apart."
)


class TablePieces:
    """A file of columns. A struct column `vectors` counts as one column for each of its fields."""

    def __init__(
        self,
        path: Path,
        kind: Format,
        label: str,
        id_column: str | None,
        vectors: Chosen,
        known: Known,
        *,
        needed: bool,
        most: int,
    ) -> None:
        self._label = label
        self._rows = open_rows(path, kind, label, (id_column,) if id_column else ID_COLUMNS)
        self.count = self._rows.count
        sample = self._sample()
        self.columns: Sequence[str] = sample.schema.names
        self.byo = _is_byo(self._rows.schema)
        self.id_column = choose_id(self.columns, id_column, label)
        found = {name: size for name in self.columns if (size := dimension_of(sample.column(name))) is not None}
        if vectors is None:
            types = {name: sample.column(name).type for name in known if name in self.columns}
            vectors = [name for name, kind_of in types.items() if is_list(kind_of)] or None
            found |= {n: known[n] for n, kind_of in types.items() if n not in found and is_number_list(kind_of)}
        self._vectors = self._chosen(sample, found, vectors, needed)
        self.dimensions: Mapping[str, int] = {
            name: self._dimension(found, column, most) for name, column in self._vectors.items()
        }
        self._payload, left_out = self._attributes(sample, found)
        self.warnings: Sequence[str] = ([] if self.id_column else [_NUMBERED]) + left_out

    def pieces(self, size: int) -> Iterator[Piece]:
        first = 0
        for batch in self._rows.batches(size, self._needed()):
            spread = _spread(batch)
            ids = (
                numbered(first, len(batch))
                if self.id_column is None
                else ids_of(spread.column(self.id_column), self.id_column, first, self._label)
            )
            with naming_document(self._label, first, ids):
                blocks = {
                    name: vector_column(
                        spread.column(column), self.dimensions[name], row_place(self._label, first, column)
                    )
                    for name, column in self._vectors.items()
                }
            yield Piece(first, ids, blocks, spread.select(self._payload))
            first += len(batch)

    def _sample(self) -> pa.RecordBatch:
        """The first rows, to see what the columns hold. Raises InvalidField where there are none."""
        for batch in self._rows.batches(_LOOKED_AT):
            if len(batch):
                return _spread(batch)
        raise InvalidField(self._label, "has no rows", remedy="Send a file with at least one document.")

    def _chosen(self, sample: pa.RecordBatch, found: Mapping[str, int], asked: Chosen, needed: bool) -> dict[str, str]:
        nested = [name for name in found if name.startswith(f"{_NESTED}.")]
        if asked is None and nested:
            return {name.removeprefix(f"{_NESTED}."): name for name in nested}
        likely = [name for name in found if _is_likely(sample.column(name).type, found[name])]
        return choose_vectors(self.columns, likely, asked, self._label, needed=needed)

    def _dimension(self, found: Mapping[str, int], column: str, most: int) -> int:
        if column not in found:
            problem = "holds no vectors: lists of numbers of one length"
            raise InvalidField(f"{self._label}: column {column!r}", problem, remedy="Name another with --vector.")
        if not 0 < found[column] <= most:
            problem = f"has vectors of {found[column]} numbers; 1 to {most} are allowed"
            raise InvalidField(f"{self._label}: column {column!r}", problem)
        return found[column]

    def _attributes(self, sample: pa.RecordBatch, found: Mapping[str, int]) -> tuple[list[str], list[str]]:
        """The columns that become attributes, and a warning for each that is left out unasked."""
        taken = {self.id_column, *self._vectors.values()}
        kept, warnings = [], []
        for name in self.columns:
            if name in taken:
                continue
            if (
                name in found
                and is_list(sample.column(name).type)
                and _is_likely(sample.column(name).type, found[name])
            ):
                warnings.append(f"Column {name!r} looks like vectors that were not asked for and was left out.")
            elif name in RESERVED:
                warnings.append(f"Column {name!r} has a name that is Shoal's and was left out.")
            elif not name.startswith(f"{_NESTED}."):
                kept.append(name)
        return kept, warnings

    def _needed(self) -> list[str]:
        """The columns of the file that have to be read, in its order."""
        wanted = {*self._payload, *self._vectors.values(), self.id_column}
        roots = {name.partition(".")[0] if name.startswith(f"{_NESTED}.") else name for name in wanted if name}
        return [name for name in self._rows.schema.names if name in wanted or name in roots]


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


def _is_likely(kind: pa.DataType, dimension: int) -> bool:
    """Whether a column is taken for vectors without being named: text, or floats, at least two of them."""
    if dimension < 2:
        return False
    return not is_list(kind) or bool(pa.types.is_floating(kind.value_type))
