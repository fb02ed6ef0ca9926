"""Several CSV files, or gzip archives of them, that are read as one table."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.files.bounds import SizeGuard
from shoal.files.csv_text.dialect import detect_dialect
from shoal.files.csv_text.notation import ColumnNotation
from shoal.files.csv_text.rows import CsvRows
from shoal.files.ids.ids import ID_COLUMNS
from shoal.files.layout import ReadRequest
from shoal.files.paths.partitions import partition_columns
from shoal.files.paths.shards import Shard
from shoal.files.reader import Shards
from shoal.files.reader_errors import translate_errors
from shoal.files.text.shard_text import ShardText, shard_starts

__all__ = ["CsvShards"]


class CsvShards:
    """The rows of CSV files with the same columns, one file after the other. A column has one type across all of them.

    Parameters
    ----------
    shards
        The files, at least one, in the order of their rows. Their delimiters may differ.
    request
        How to read them.
    temporary
        Where to decompress archives; None takes the system's folder for temporary files.

    Raises
    ------
    InvalidField
        For a file that is damaged, or whose columns differ from those of the first.
    """

    untyped = True

    def __init__(self, shards: Sequence[Shard], request: ReadRequest, temporary: Path | None) -> None:
        self._texts = [ShardText(shard, request, temporary) for shard in shards]
        notations: dict[str, ColumnNotation] = {}
        self._files = [_open_rows(text, request, notations) for text in self._texts]
        for shard, file in zip(shards, self._files, strict=True):
            if unshared := sorted({*file.columns} ^ {*self._files[0].columns}):
                lacks, has = (shards[0], shard) if unshared[0] in file.columns else (shard, shards[0])
                problem = f"has no column {unshared[0]!r}, and {has.name} has one"
                raise InvalidField(lacks.name, problem, remedy="Write all files with the same columns.")
        counts = [file.count or 0 for file in self._files]
        self.count: int | None = sum(counts)
        self.shards: Shards = shard_starts(shards, counts)
        self.delimiter, self.nameless = self._files[0].delimiter, self._files[0].nameless
        stored = {name: notations[name].kind for name in self._files[0].columns}
        self._partitions = partition_columns(shards, stored)
        partitions = {name: values.type for name, values in self._partitions.items()}
        self.schema: pa.Schema = pa.schema([*stored.items(), *partitions.items()])
        self.warnings: Mapping[str, str] = {
            name: warning for file in self._files for name, warning in file.warnings.items()
        }

    def line_of(self, row: int) -> int | None:
        return None

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        yield from self._iter_batches(size, columns, as_text=False)

    def text_batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows as raw text, null for an empty field."""
        yield from self._iter_batches(size, columns, as_text=True)

    def _iter_batches(self, size: int, columns: list[str] | None, *, as_text: bool) -> Iterator[pa.RecordBatch]:
        names = columns or self.schema.names
        stored = [name for name in names if name not in self._partitions] or self._files[0].columns[:1]
        for number, file in enumerate(self._files):
            for batch in file.text_batches(size, stored) if as_text else file.batches(size, stored):
                columns_out = [
                    pa.repeat(self._partitions[name][number], len(batch))
                    if name in self._partitions
                    else batch.column(name)
                    for name in names
                ]
                yield pa.RecordBatch.from_arrays(columns_out, names=names)


def _open_rows(text: ShardText, request: ReadRequest, notations: dict[str, ColumnNotation]) -> CsvRows:
    with translate_errors(text.name):
        dialect = detect_dialect(text.path, text.name, "\t" if text.kind == "tsv" else ",", request)
        ids = (
            (request.id_column,) if request.id_column else tuple(n for n in dialect.names if n.casefold() in ID_COLUMNS)
        )
        guard = SizeGuard(text.name, text.size, request.bounds)
        return CsvRows(text.path, text.name, dialect, ids, guard, request.option_names, notations)
