"""Several CSV files, or several files of JSON, that are read as one table; gzip archives of them too."""

import weakref
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

import orjson
import pyarrow as pa

from shoal.errors import InvalidField
from shoal.files.bounds import Unfolding
from shoal.files.csv_text.dialect import dialect_of
from shoal.files.csv_text.notation import Writing
from shoal.files.csv_text.plain_text import PlainText
from shoal.files.csv_text.rows import CsvRows
from shoal.files.formats import Format, format_by_name, format_of
from shoal.files.ids.ids import ID_COLUMNS
from shoal.files.json_text.records import Records
from shoal.files.json_text.shapes import records_of
from shoal.files.layout import Asked
from shoal.files.pieces import Shards
from shoal.files.reading import speaking_shoal
from shoal.files.shard_rows import partitions
from shoal.files.shards import Shard

__all__ = ["CsvShards", "JsonShards"]

_ROWS: Final = 8192


class CsvShards:
    """The rows of CSV files with the same columns, one file after the other. A column is of one kind in all of them.

    Parameters
    ----------
    shards
        The files, at least one, in the order of their rows. Their delimiters may differ.
    asked
        How they are meant.
    temporary
        Where to unpack archives; None takes the system's folder for temporary files.

    Raises
    ------
    InvalidField
        For a file that is damaged, or whose columns are not those of the first.
    """

    untyped = True

    def __init__(self, shards: Sequence[Shard], asked: Asked, temporary: Path | None) -> None:
        self._texts = [_Text(shard, asked, temporary) for shard in shards]
        writings: dict[str, Writing] = {}
        self._files = [_rows(text, asked, writings) for text in self._texts]
        for shard, file in zip(shards, self._files, strict=True):
            if odd := sorted({*file.columns} ^ {*self._files[0].columns}):
                lacks, has = (shards[0], shard) if odd[0] in file.columns else (shard, shards[0])
                problem = f"has no column {odd[0]!r}, and {has.name} has one"
                raise InvalidField(lacks.name, problem, remedy="Write all files with the same columns.")
        counts = [file.count or 0 for file in self._files]
        self.count: int | None = sum(counts)
        self.shards: Shards = _starts(shards, counts)
        self.delimiter, self.nameless = self._files[0].delimiter, self._files[0].nameless
        stored = {name: writings[name].kind for name in self._files[0].columns}
        self._partitions = partitions(shards, stored)
        added = {name: values.type for name, values in self._partitions.items()}
        self.schema: pa.Schema = pa.schema([*stored.items(), *added.items()])
        self.warnings: Mapping[str, str] = {
            name: warning for file in self._files for name, warning in file.warnings.items()
        }

    def line_of(self, row: int) -> int | None:
        return None

    def batches(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        yield from self._each(size, columns, as_text=False)

    def texts(self, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows as they are written, a field without text null."""
        yield from self._each(size, columns, as_text=True)

    def _each(self, size: int, columns: list[str] | None, *, as_text: bool) -> Iterator[pa.RecordBatch]:
        names = columns or self.schema.names
        stored = [name for name in names if name not in self._partitions] or self._files[0].columns[:1]
        for number, file in enumerate(self._files):
            for batch in file.texts(size, stored) if as_text else file.batches(size, stored):
                parts = [
                    pa.repeat(self._partitions[name][number], len(batch))
                    if name in self._partitions
                    else batch.column(name)
                    for name in names
                ]
                yield pa.RecordBatch.from_arrays(parts, names=names)


class JsonShards:
    """The rows of files of JSON, one file after the other; the parameters are those of `CsvShards`."""

    def __init__(self, shards: Sequence[Shard], asked: Asked, temporary: Path | None) -> None:
        self._texts = [_Text(shard, asked, temporary) for shard in shards]
        self._records: list[Records] = [
            records_of(text.path, text.name, Unfolding(text.name, text.size, asked.bounds)) for text in self._texts
        ]
        added = partitions(shards, {})
        self._added = [
            orjson.dumps({name: values[number].as_py() for name, values in added.items()})[1:-1]
            for number in range(len(shards))
        ]
        counts = [sum(map(len, records.stretches(_ROWS))) for records in self._records]
        self.shards: Shards = _starts(shards, counts)

    def stretches(self, size: int) -> Iterator[list[bytes]]:
        for records, added in zip(self._records, self._added, strict=True):
            for rows in records.stretches(size):
                # In front, so that what a row has itself comes last and counts.
                yield [_with(row, added) for row in rows] if added else rows

    def line_of(self, row: int) -> int | None:
        return None


class _Text:
    """The text of one file, unpacked where it is an archive."""

    def __init__(self, shard: Shard, asked: Asked, temporary: Path | None) -> None:
        self.name, self.size = shard.name, shard.path.stat().st_size
        with speaking_shoal(shard.name):
            text = PlainText(shard.path, shard.name, asked.format, asked.encoding, asked.bounds, temporary)
        weakref.finalize(self, text.close)
        self.path = text.path
        self.kind: Format = format_of(self.path, shard.name, text.format or format_by_name(shard.path))


def _rows(text: _Text, asked: Asked, writings: dict[str, Writing]) -> CsvRows:
    with speaking_shoal(text.name):
        dialect = dialect_of(text.path, text.name, "\t" if text.kind == "tsv" else ",", asked)
        ids = (asked.id_column,) if asked.id_column else tuple(n for n in dialect.names if n.casefold() in ID_COLUMNS)
        unfolding = Unfolding(text.name, text.size, asked.bounds)
        return CsvRows(text.path, text.name, dialect, ids, unfolding, asked.options, writings)


def _starts(shards: Sequence[Shard], counts: Sequence[int]) -> Shards:
    starts = accumulate(counts[:-1], initial=0)
    return [(shard.name, first) for shard, first in zip(shards, starts, strict=True)]


def _with(row: bytes, added: bytes) -> bytes:
    inner = row.strip()[1:]
    return b"{" + added + (b"" if inner.strip() == b"}" else b",") + inner
