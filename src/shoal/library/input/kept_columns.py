"""Columns of a file that the members of its clusters carry as well."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from shoal.columns import Rows
from shoal.errors import InvalidField
from shoal.files import Source
from shoal.files.layout import missing_column
from shoal.files.originals import as_batches

__all__ = ["find_kept", "read_kept"]


def find_kept(source: Source, asked: Sequence[str], option: str = "--keep") -> list[str]:
    """The columns of the file that are meant; `a,b` is two unless a column is called so. Raises InvalidField."""
    there = source.info.original_columns
    parts = [part for name in asked for part in ([name] if name in there else name.split(","))]
    wanted = list(dict.fromkeys(part if part in there else part.strip() for part in parts))
    for name in wanted:
        if name not in there:
            raise missing_column(name, there, f"{option}: the file")
    return wanted


def read_kept(source: Source, rows: Rows, columns: Sequence[str]) -> pa.Table:
    """These columns as they stand in the file, of its `rows` (n,), ascending, and no more of it in memory.
    Raises InvalidField where the file has other rows than it had."""
    wanted = list(columns)
    schema, batches = as_batches(lambda: source.originals(columns=wanted))
    first, taken = 0, list[pa.RecordBatch]()
    for batch in batches:
        start, stop = np.searchsorted(rows, [first, first + len(batch)])
        if stop > start:
            taken.append(batch.take(pa.array(rows[start:stop] - first)))
        first += len(batch)
    kept = pa.Table.from_batches(taken, schema).select(wanted)
    if len(kept) != len(rows):
        raise InvalidField("the file", "was changed while it was clustered", remedy="Run the command again.")
    return kept
