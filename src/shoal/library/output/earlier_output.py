"""Recognizes a file of clustered rows that Shoal wrote, which the next run may replace."""

import csv
import io
from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.files.columnar.row_writers import parse_output_format
from shoal.records.clusters.ids import is_cluster_id

__all__ = ["PREFIX", "RESULT_COLUMNS", "is_earlier_output"]

RESULT_COLUMNS: Final = ("cluster_id", "cluster_label", "strength", "x", "y")
PREFIX: Final = "shoal_"
"""The prefix of result columns where the caller has a column of the same name."""
_WIDTHS: Final = (5, 3)
"""The number of result columns with a map, and without."""
_HEAD: Final = 2**20
_ROWS: Final = 8192


def is_earlier_output(path: Path, columns: Collection[str] | None = None) -> bool:
    """Return whether a file ends in result columns with Shoal's cluster ids, after no other columns than `columns`.

    None accepts any columns before them.
    """
    try:
        names, rows = _read_head(path)
    except (OSError, ValueError, KeyError, IndexError, pa.ArrowException, csv.Error, StopIteration):
        return False
    width = next((width for width in _WIDTHS if _are_result_columns(names[-width:])), None)
    if width is None or (columns is not None and not set(names[:-width]) <= set(columns)):
        return False
    ids = [row for row in rows if row not in (None, "")]
    return bool(ids) and all(isinstance(id, str) and is_cluster_id(id) for id in ids)


def _are_result_columns(names: Sequence[str]) -> bool:
    return tuple(name.removeprefix(PREFIX) for name in names) == RESULT_COLUMNS[: len(names)]


def _find_id_column(names: Sequence[str]) -> str:
    """Return the last column of that name, which is the one Shoal added."""
    return next(name for name in reversed(names) if name.removeprefix(PREFIX) == RESULT_COLUMNS[0])


def _read_head(path: Path) -> tuple[Sequence[str], list[Any]]:
    """Return the column names, and the cluster ids of the first rows."""
    kind = parse_output_format(path)
    if kind == "parquet":
        with pq.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            batch = next(file.iter_batches(_ROWS, columns=[_find_id_column(names)]))
            return names, batch.column(0).to_pylist()
    if kind == "arrow":
        with pa.memory_map(str(path)) as memory:
            reader = pa.ipc.open_file(memory)
            names = list(reader.schema.names)
            return names, reader.get_batch(0).slice(0, _ROWS).column(_find_id_column(names)).to_pylist()
    with pa.input_stream(str(path), compression="detect") as stream:
        content = bytes(stream.read(_HEAD))
    text = content.decode("utf-8-sig", errors="replace")
    if len(content) == _HEAD:  # drop the truncated last row
        text = text.rpartition("\n")[0]
    return _read_delimited(text) if kind in ("csv", "tsv") else _read_objects(text)


def _read_delimited(text: str) -> tuple[Sequence[str], list[Any]]:
    dialect = csv.Sniffer().sniff(text.partition("\n")[0], ",;\t|")
    rows = csv.reader(io.StringIO(text, newline=""), dialect)
    names = next(rows)
    at = names.index(_find_id_column(names))
    return names, [row[at] for row in islice(rows, _ROWS) if len(row) == len(names)]


def _read_objects(text: str) -> tuple[Sequence[str], list[Any]]:
    lines = (line.strip(" \r,") for line in text.lstrip("[\r\n ").split("\n"))
    rows = [orjson.loads(line) for line in islice((line for line in lines if line not in ("", "]")), _ROWS)]
    names = list(rows[0])
    return names, [row.get(_find_id_column(names)) for row in rows]
