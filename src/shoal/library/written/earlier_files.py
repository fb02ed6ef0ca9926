"""Whether a file of clustered rows that is there was written by Shoal, and may be replaced by the next run."""

import csv
import io
from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.files.columnar.row_writers import written_format
from shoal.records.cluster_ids import is_cluster_id

__all__ = ["PREFIX", "RESULT_COLUMNS", "is_earlier"]

RESULT_COLUMNS: Final = ("cluster_id", "cluster_label", "strength", "x", "y")
PREFIX: Final = "shoal_"
"""Stands before the name of a column of results where the caller has one of that name."""
_WIDTHS: Final = (5, 3)
"""How many columns of results there are: with a map, and without."""
_HEAD: Final = 2**20
_ROWS: Final = 8192


def is_earlier(path: Path, columns: Collection[str] | None = None) -> bool:
    """Whether a file ends in the columns of results, has cluster ids of Shoal in them, and nothing but `columns`, those
    of the file that is clustered, before them. None takes any columns before them."""
    try:
        names, rows = _head(path)
    except (OSError, ValueError, KeyError, IndexError, pa.ArrowException, csv.Error, StopIteration):
        return False
    width = next((width for width in _WIDTHS if _are_results(names[-width:])), None)
    if width is None or (columns is not None and not set(names[:-width]) <= set(columns)):
        return False
    ids = [row for row in rows if row not in (None, "")]
    return bool(ids) and all(isinstance(id, str) and is_cluster_id(id) for id in ids)


def _are_results(names: Sequence[str]) -> bool:
    return tuple(name.removeprefix(PREFIX) for name in names) == RESULT_COLUMNS[: len(names)]


def _id_column(names: Sequence[str]) -> str:
    """The last one of that name is the one that was added."""
    return next(name for name in reversed(names) if name.removeprefix(PREFIX) == RESULT_COLUMNS[0])


def _head(path: Path) -> tuple[Sequence[str], list[Any]]:
    """The names of the columns, and the cluster ids of the first rows."""
    kind = written_format(path)
    if kind == "parquet":
        with pq.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            found = next(file.iter_batches(_ROWS, columns=[_id_column(names)]))
            return names, found.column(0).to_pylist()
    if kind == "arrow":
        with pa.memory_map(str(path)) as memory:
            reader = pa.ipc.open_file(memory)
            names = list(reader.schema.names)
            return names, reader.get_batch(0).slice(0, _ROWS).column(_id_column(names)).to_pylist()
    with pa.input_stream(str(path), compression="detect") as stream:
        content = bytes(stream.read(_HEAD))
    text = content.decode("utf-8-sig", errors="replace")
    if len(content) == _HEAD:  # without the row that is cut off
        text = text.rpartition("\n")[0]
    return _separated(text) if kind in ("csv", "tsv") else _objects(text)


def _separated(text: str) -> tuple[Sequence[str], list[Any]]:
    dialect = csv.Sniffer().sniff(text.partition("\n")[0], ",;\t|")
    rows = csv.reader(io.StringIO(text, newline=""), dialect)
    names = next(rows)
    at = names.index(_id_column(names))
    return names, [row[at] for row in islice(rows, _ROWS) if len(row) == len(names)]


def _objects(text: str) -> tuple[Sequence[str], list[Any]]:
    lines = (line.strip(" \r,") for line in text.lstrip("[\r\n ").split("\n"))
    rows = [orjson.loads(line) for line in islice((line for line in lines if line not in ("", "]")), _ROWS)]
    names = list(rows[0])
    return names, [row.get(_id_column(names)) for row in rows]
