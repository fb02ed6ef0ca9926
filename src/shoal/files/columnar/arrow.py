"""Arrow IPC streams and files (Feather V2). The expanded size of compressed batches is read from their metadata
first."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from shoal.files.bounds import SizeGuard
from shoal.files.columnar.ipc_sizes import DeclaredSize, read_file_blocks, read_stream_messages
from shoal.files.faults import check_values
from shoal.files.reader import Shards, row_place
from shoal.files.reader_errors import translate_errors

__all__ = ["ArrowRows"]

_FILE: Final = b"ARROW1"


class ArrowRows:
    """An Arrow IPC stream or file, memory-mapped. Batches are validated, since later code trusts their offsets.

    Uncompressed data are not copied.
    """

    warnings: Mapping[str, str] = MappingProxyType({})
    shards: Shards = ()
    untyped = False

    def __init__(self, path: Path, label: str, guard: SizeGuard) -> None:
        self._path, self._label, self._guard = path, label, guard
        with path.open("rb") as file:
            self._is_file = file.read(len(_FILE)) == _FILE
        self.count: int | None = self._count_rows()
        with self._open() as reader:
            self.schema: pa.Schema = reader.schema
        guard.check_schema(self.schema)

    def line_of(self, row: int) -> int | None:
        return None

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        with translate_errors(self._label), self._open() as reader:
            yield from self._guard.bound_batches(self._validate_batches(reader, columns), size)

    def _validate_batches(
        self, reader: pa.ipc.RecordBatchStreamReader | pa.ipc.RecordBatchFileReader, columns: list[str] | None
    ) -> Iterator[pa.RecordBatch]:
        batches = (reader.get_batch(i) for i in range(reader.num_record_batches)) if self._is_file else iter(reader)
        first = 0
        for batch in batches:
            check_values(batch, row_place(self._label, first))
            yield batch if columns is None else batch.select(columns)
            first += len(batch)

    def _open(self) -> pa.ipc.RecordBatchStreamReader | pa.ipc.RecordBatchFileReader:
        mapped = pa.memory_map(str(self._path))
        return pa.ipc.open_file(mapped) if self._is_file else pa.ipc.open_stream(mapped)

    def _count_rows(self) -> int:
        """Return the number of rows. Raises TooLarge where the metadata declare more than is allowed."""
        parts = read_file_blocks(self._path) if self._is_file else read_stream_messages(self._path)
        rows, total = 0, 0
        for number, part in enumerate(parts):
            self._guard.check_at_once(part.compressed_to, _format_part(part, number))
            rows, total = rows + part.rows, total + part.compressed_to
            self._guard.check(total, rows)
        return rows


def _format_part(part: DeclaredSize, number: int) -> str:
    return f"{'dictionary' if part.dictionary else 'batch'} {number}"
