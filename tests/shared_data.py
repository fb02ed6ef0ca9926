"""The labelled sets beside the repository; tests that need one are skipped where it is absent."""

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

__all__ = ["load", "vectors"]

_FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"


@cache
def load(name: str) -> pa.Table:
    """The set of this name (`clinc150`), or the test is skipped."""
    path = _FOLDER / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"{name}.parquet is not in ../shared/data")
    return pq.read_table(path)


def vectors(table: pa.Table, column: str = "embedding") -> NDArray[np.float32]:
    """A column of lists of one length as (n, d) float32."""
    flat = table.column(column).combine_chunks().flatten().to_numpy()
    return np.ascontiguousarray(flat.reshape(len(table), -1), dtype=np.float32)
