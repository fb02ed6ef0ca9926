"""Assignment of new documents: input with ids, result as arrays and tables."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.columns import Labels
from shoal.errors import InvalidField
from shoal.files import open_source
from shoal.files.ids.ids import ID_COLUMNS, NO_COLUMN
from shoal.files.layout import PYTHON
from shoal.library.input.arguments import (
    check_columns,
    missing_vectors_error,
    series_to_frame,
    split_frame,
    split_vectors,
)
from shoal.library.input.conversion import to_column
from shoal.library.input.document_ids import Ids
from shoal.library.input.frames import Frame, read_frame
from shoal.library.views.exports import as_pandas, as_polars
from shoal.precision import Split

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

__all__ = ["Assignment", "NewDocuments", "read_new_documents"]

_LABEL: Final = "vectors"


@dataclass(frozen=True)
class Assignment:
    """Clusters of m new documents.

    Attributes
    ----------
    labels : (m,) int32
        The position in `Clustering.clusters`, -1 where a document fits none.
    strengths : (m,) float32
        In 0..1, 0 where a document fits none.
    cluster_ids : sequence of str
        (m,) The ids of the clusters, `cl_noise` where a document fits none.
    cluster_labels : sequence of str or None
        (m,) What the clusters are called, None where a document fits none.
    ids : (m,) array
        Of the documents, as they were given: whole numbers as int64, others as objects; row numbers where there are
        none.
    index : object or None
        Of the pandas data frame that the documents came in.
    """

    labels: Labels
    strengths: NDArray[np.float32]
    cluster_ids: Sequence[str]
    cluster_labels: Sequence[str | None]
    ids: Ids
    index: object = None

    def to_arrow(self) -> pa.Table:
        """One row a document, in the order given: document_id, cluster_id (`cl_noise` where it fits none),
        cluster_label (null there), strength (0..1)."""
        return pa.table(
            {
                "document_id": pa.array(self.ids),
                "cluster_id": pa.array(self.cluster_ids, pa.string()),
                "cluster_label": pa.array(self.cluster_labels, pa.string()),
                "strength": pa.array(self.strengths),
            }
        )

    def to_pandas(self) -> "pd.DataFrame":
        """`to_arrow` as a data frame of pandas, with the index of the one that was given. Raises ShoalError where
        pandas is not installed."""
        return as_pandas(self.to_arrow(), self.index)

    def to_polars(self) -> "pl.DataFrame":
        """`to_arrow` as a data frame of polars. Raises ShoalError where polars is not installed."""
        return as_polars(self.to_arrow())

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class NewDocuments:
    """The vectors of m documents, their ids (m,), and the index of their pandas data frame."""

    vectors: Split
    ids: Ids
    index: object = None


def read_new_documents(data: object, vector: str | None, id: object) -> NewDocuments:
    """Read documents as `Clustering.assign` takes them. Raises InvalidField."""
    if isinstance(data, (str, os.PathLike)):
        return _read_file(Path(data), vector, id)
    frame = series_to_frame(data) or read_frame(data, _LABEL)
    if frame is None:
        vectors = split_vectors(data, vector)
        return NewDocuments(vectors, _read_ids(None, id, len(vectors.points)))
    vectors = split_frame(frame, vector, _LABEL)
    return NewDocuments(vectors, _read_ids(frame, id, len(vectors.points)), frame.index)


def _read_file(path: Path, vector: str | None, id: object) -> NewDocuments:
    """Read a file in which each row has to have a vector, so that the result is aligned with its rows."""
    name = id if isinstance(id, str) else None
    columns = None if vector is None else [vector]
    table = open_source(
        path, vector_columns=columns, id_column=name, options=PYTHON, numbered=id is not None and name is None
    ).read()
    ((column, points),) = table.vectors.items()
    if table.missing:
        raise missing_vectors_error(path.name, column, table.rows, table.missing)
    vectors = Split(points, table.rests.get(column))
    if id is not None and name is None:
        return NewDocuments(vectors, _read_ids(None, id, len(points)))
    return NewDocuments(vectors, np.array(table.ids, np.int64) if table.whole_ids else np.array(table.ids, np.object_))


def _read_ids(frame: Frame | None, id: object, count: int) -> Ids:
    """Return the given or named ids, else those of a usual column, else row numbers."""
    column_name = id if isinstance(id, str) else None
    if column_name == NO_COLUMN or (id is None and frame is None):
        return np.arange(count)
    if id is None and frame is not None:
        column_name = next((name for name in ID_COLUMNS if name in frame.columns), None)
        if column_name is None:
            return np.arange(count)
    if column_name is None:
        column = to_column("id", id)
    elif frame is None:
        raise InvalidField("id", "names a column, and the data have none", value=column_name)
    else:
        check_columns("id", [column_name], frame)
        table = frame.table if isinstance(frame.table, pa.Table) else frame.table.to_table(columns=[column_name])
        column = table[column_name]
    if len(column) != count:
        raise InvalidField("id", f"has {len(column):,} values for {count:,} documents", remedy="Give one for each.")
    values = column.to_pylist()
    if all(isinstance(value, int) for value in values) and max(map(abs, values), default=0) < 2**63:
        return np.array(values, np.int64)
    return np.array(values, np.object_)
