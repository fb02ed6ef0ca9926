"""Tables in memory, read through the same code as files."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa

from shoal.files.bounds import Bounds
from shoal.files.columnar.table_reader import TableReader
from shoal.files.layout import PYTHON, ReadRequest, VectorColumns
from shoal.files.reader import Shards
from shoal.files.reader_errors import translate_errors
from shoal.files.source import MAX_DIMENSION, Source

if TYPE_CHECKING:
    import pyarrow.dataset as pads  # only named in annotations

__all__ = ["MemoryRows", "open_table"]


class MemoryRows:
    """The rows of an Arrow table or dataset; a dataset is read batch by batch."""

    warnings: Mapping[str, str] = MappingProxyType({})
    shards: Shards = ()
    untyped = False

    def __init__(self, table: "pa.Table | pads.Dataset") -> None:
        self._table = table
        self.schema: pa.Schema = table.schema
        self.count: int | None = table.num_rows if isinstance(table, pa.Table) else table.count_rows()

    def line_of(self, row: int) -> int | None:
        return None

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        names = self.schema.names if columns is None else columns
        if isinstance(self._table, pa.Table):
            yield from self._table.select(names).to_batches(size)
            return
        for batch in self._table.to_batches(columns=names, batch_size=size):
            yield from (batch.slice(start, size) for start in range(0, len(batch), size))


def open_table(
    table: "pa.Table | pads.Dataset",
    label: str,
    *,
    id_column: str | None = None,
    vector_columns: VectorColumns = None,
    needs_vectors: bool = True,
    text_columns: Sequence[str] | None = None,
    numbered: bool = False,
) -> Source:
    """As `shoal.files.open_source`, for a table in memory. `label` names it in errors. Raises InvalidField."""
    request = ReadRequest(
        label=label,
        id_column=id_column,
        vectors=vector_columns,
        needs_vectors=needs_vectors,
        reads_texts=text_columns is not None,
        text_columns=text_columns or (),
        max_dimension=MAX_DIMENSION,
        bounds=Bounds(),
        option_names=PYTHON,
        number_rows=numbered,
    )
    with translate_errors(label, remedy="Give the column another type, or leave it out."):
        return Source(TableReader(MemoryRows(table), request), "arrow", request)
