"""Arrow IPC streams and files (Feather V2). What a compressed batch unfolds to stands in it, and is read first."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from shoal.files.bounds import Unfolding
from shoal.files.columnar.ipc_sizes import Declared, blocks_of_file, messages_of_stream
from shoal.files.faults import check_values
from shoal.files.pieces import Shards, row_place
from shoal.files.reading import speaking_shoal

__all__ = ["ArrowRows"]

_FILE: Final = b"ARROW1"


class ArrowRows:
    """An Arrow IPC stream or file. Batches are validated, since their offsets are trusted later.

    The file is mapped: what is not compressed is not copied.
    """

    warnings: Mapping[str, str] = MappingProxyType({})
    shards: Shards = ()
    untyped = False

    def __init__(self, path: Path, label: str, unfolding: Unfolding) -> None:
        self._path, self._label, self._unfolding = path, label, unfolding
        with path.open("rb") as file:
            self._is_file = file.read(len(_FILE)) == _FILE
        self.count: int | None = self._checked()
        with self._open() as reader:
            self.schema: pa.Schema = reader.schema
        unfolding.check_schema(self.schema)

    def line_of(self, row: int) -> int | None:
        return None

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        with speaking_shoal(self._label), self._open() as reader:
            yield from self._unfolding.bounded(self._validated(reader, columns), size)

    def _validated(
        self, reader: pa.ipc.RecordBatchStreamReader | pa.ipc.RecordBatchFileReader, columns: list[str] | None
    ) -> Iterator[pa.RecordBatch]:
        whole = (reader.get_batch(i) for i in range(reader.num_record_batches)) if self._is_file else iter(reader)
        first = 0
        for batch in whole:
            check_values(batch, row_place(self._label, first))
            yield batch if columns is None else batch.select(columns)
            first += len(batch)

    def _open(self) -> pa.ipc.RecordBatchStreamReader | pa.ipc.RecordBatchFileReader:
        mapped = pa.memory_map(str(self._path))
        return pa.ipc.open_file(mapped) if self._is_file else pa.ipc.open_stream(mapped)

    def _checked(self) -> int:
        """The number of rows. Raises TooLarge where the file says that it holds more than it may."""
        parts = blocks_of_file(self._path) if self._is_file else messages_of_stream(self._path)
        rows, total = 0, 0
        for number, part in enumerate(parts):
            self._unfolding.check_at_once(part.compressed_to, _called(part, number))
            rows, total = rows + part.rows, total + part.compressed_to
            self._unfolding.check(total, rows)
        return rows


def _called(part: Declared, number: int) -> str:
    return f"{'dictionary' if part.dictionary else 'batch'} {number}"
