"""Selections and formats of the tables of a run: rows of a label, a sample, columns, Parquet files."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["LABELLED", "ParquetTable", "as_columns", "flat", "of_label", "sample_rows", "with_coordinates"]

LABELLED: Final = frozenset({"members", "centroids"})
"""Tables with a column `cluster_label`."""


_MAP_SEED: Final = 42


@dataclass(frozen=True, slots=True)
class ParquetTable:
    """A table of a run as a Parquet file. `content` is seekable; the caller closes it. `sha256` is its hexadecimal
    digest."""

    cluster_id: str
    run_id: str
    content: BinaryIO
    rows: int
    size_bytes: int
    sha256: str


def of_label(members: pa.Table, label: str | None) -> pa.Table:
    """Return the members with a label; all if it is None."""
    return members if label is None else members.filter(pc.equal(members["cluster_label"].cast(pa.string()), label))


def sample_rows(members: pa.Table, most: int) -> pa.Table:
    """Sample at most `most` members uniformly, the same ones each time."""
    if members.num_rows <= most:
        return members
    rows = np.random.default_rng(_MAP_SEED).choice(members.num_rows, most, replace=False)
    return members.take(pa.array(np.sort(rows)))


def as_columns(sample: pa.Table, axes: Iterable[str]) -> dict[str, list[Any]]:
    """Return the columns of a map."""
    named = {axis: sample[axis].to_pylist() for axis in axes}
    return {
        **named,
        "cluster_ids": sample["cluster_id"].to_pylist(),
        "document_ids": sample["document_id"].to_pylist(),
    }


def flat(row: dict[str, Any], axes: int | None) -> dict[str, Any]:
    """Clear the coordinates beyond the requested number of axes."""
    return row if axes is None else {**row, **{axis: None for axis in "xyz"[axes:] if axis in row}}


def with_coordinates(row: dict[str, Any]) -> dict[str, Any]:
    """Add the coordinates as a list, besides x, y and z."""
    return {**row, "coordinates": [row[axis] for axis in "xyz" if row.get(axis) is not None]}
