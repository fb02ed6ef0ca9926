"""Columns of a file that are copied to the members of its clusters."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from shoal.columns import Rows
from shoal.errors import InvalidField
from shoal.files import Source
from shoal.files.layout import missing_column_error
from shoal.files.originals import to_batches

__all__ = ["find_columns", "read_columns"]


def find_columns(source: Source, names: Sequence[str], option: str = "--keep") -> list[str]:
    """Return the requested columns of the file; `a,b` is two unless a column has that name. Raises InvalidField."""
    existing = source.info.original_columns
    parts = [part for name in names for part in ([name] if name in existing else name.split(","))]
    found_names = list(dict.fromkeys(part if part in existing else part.strip() for part in parts))
    for name in found_names:
        if name not in existing:
            raise missing_column_error(name, existing, f"{option}: the file")
    return found_names


def read_columns(source: Source, rows: Rows, columns: Sequence[str]) -> pa.Table:
    """Read these columns of the `rows` (n,), ascending, and hold no more of the file in memory.

    Raises InvalidField where the number of rows has changed.
    """
    names = list(columns)
    schema, batches = to_batches(lambda: source.originals(columns=names))
    first, selected = 0, list[pa.RecordBatch]()
    for batch in batches:
        start, stop = np.searchsorted(rows, [first, first + len(batch)])
        if stop > start:
            selected.append(batch.take(pa.array(rows[start:stop] - first)))
        first += len(batch)
    table = pa.Table.from_batches(selected, schema).select(names)
    if len(table) != len(rows):
        raise InvalidField("the file", "was modified while it was clustered", remedy="Run the command again.")
    return table
