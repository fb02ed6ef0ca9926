"""The index of a pandas data frame as columns that can be saved."""

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["index_table", "restore_index"]


def index_table(index: Any) -> pa.Table | None:
    """Return a pandas index as columns, to be saved; None where there is none, or Arrow cannot represent it."""
    if index is None or isinstance(index, pa.Table):
        return index
    try:
        levels = [pa.array(index.get_level_values(level), from_pandas=True) for level in range(index.nlevels)]
        names = json.dumps([name if isinstance(name, str) else None for name in index.names])
        return pa.table(dict(zip(map(str, range(len(levels))), levels, strict=True)), metadata={"names": names})
    except (pa.ArrowException, TypeError, ValueError):
        return None


def restore_index(table: pa.Table) -> "pd.Index[Any]":
    """Return the pandas index that `index_table` saved."""
    import pandas as pd

    names, frame = json.loads(table.schema.metadata[b"names"]), table.to_pandas()
    index: pd.Index[Any] = pd.Index(frame["0"]).rename(names[0])
    return pd.MultiIndex.from_frame(frame, names=names) if len(names) > 1 else index
