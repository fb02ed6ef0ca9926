"""Several JSON files, or gzip archives of them, that are read as one table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import orjson

from shoal.files.bounds import SizeGuard
from shoal.files.json_text.records import Records
from shoal.files.json_text.shapes import open_records
from shoal.files.layout import ReadRequest
from shoal.files.paths.partitions import partition_columns
from shoal.files.paths.shards import Shard
from shoal.files.reader import Shards
from shoal.files.text.shard_text import ShardText, shard_starts

__all__ = ["JsonShards"]

_ROWS: Final = 8192


class JsonShards:
    """The rows of JSON files, one file after the other; the parameters are those of `CsvShards`."""

    def __init__(self, shards: Sequence[Shard], request: ReadRequest, temporary: Path | None) -> None:
        self._texts = [ShardText(shard, request, temporary) for shard in shards]
        self._records: list[Records] = [
            open_records(text.path, text.name, SizeGuard(text.name, text.size, request.bounds)) for text in self._texts
        ]
        partitions = partition_columns(shards, {})
        self._added = [
            orjson.dumps({name: values[number].as_py() for name, values in partitions.items()})[1:-1]
            for number in range(len(shards))
        ]
        counts = [sum(map(len, records.chunks(_ROWS))) for records in self._records]
        self.shards: Shards = shard_starts(shards, counts)

    def chunks(self, size: int) -> Iterator[list[bytes]]:
        for records, added in zip(self._records, self._added, strict=True):
            for rows in records.chunks(size):
                # First, so that a row's own fields come last and win.
                yield [_insert_fields(row, added) for row in rows] if added else rows

    def line_of(self, row: int) -> int | None:
        return None


def _insert_fields(row: bytes, added: bytes) -> bytes:
    inner = row.strip()[1:]
    return b"{" + added + (b"" if inner.strip() == b"}" else b",") + inner
