"""Assignment of new documents: input with ids, result as arrays and tables."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.columns import NOISE, Labels, Points
from shoal.engine.model import Model
from shoal.engine.plan import Progress
from shoal.errors import InvalidField
from shoal.files import open_source
from shoal.files.ids.ids import ID_COLUMNS, NO_COLUMN
from shoal.files.in_memory import open_table
from shoal.files.layout import PYTHON
from shoal.labeling import whole_text
from shoal.library.input.arguments import (
    check_columns,
    find_texts,
    missing_vectors_error,
    series_to_frame,
    split_frame,
    split_vectors,
)
from shoal.library.input.conversion import to_column, to_texts
from shoal.library.input.document_ids import Ids
from shoal.library.input.frames import Frame, read_frame
from shoal.library.text_encoding import TextEncoding
from shoal.library.views.exports import as_pandas, as_polars
from shoal.precision import Split
from shoal.records.queries.fields import find_field, key_paths

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

__all__ = ["Assignment", "NewDocuments", "NewInput", "assign_known", "read_new_documents"]

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
class NewInput:
    """The arguments of `Clustering.assign`."""

    data: object = None
    vector: str | None = None
    texts: object = None
    text: str | Sequence[str] = ()
    id: object = None
    question: str | None = None
    """What the documents of the clustering were asked: texts to assign are answers to it."""

    @property
    def fields(self) -> list[str]:
        """The columns of text."""
        return [self.text] if isinstance(self.text, str) else list(self.text)


@dataclass(frozen=True, slots=True)
class NewDocuments:
    """The vectors of m documents, their ids (m,), and the index of their pandas data frame."""

    vectors: Split
    ids: Ids
    index: object = None
    encodable: NDArray[np.bool_] | None = None
    """(m,) which of them have a word that the encoder knows; None where vectors were given."""


def assign_known(
    model: Model, points: Points, encodable: NDArray[np.bool_] | None, threads: int, progress: Progress
) -> tuple[Labels, NDArray[np.float32]]:
    """Return labels and strengths of new documents; those without any known word fit no cluster."""
    labels, strengths = np.full(len(points), NOISE, np.int32), np.zeros(len(points), np.float32)
    rows = np.arange(len(points)) if encodable is None else np.flatnonzero(encodable)
    if len(rows) or encodable is None:
        assigned = model.assign(points[rows] if len(rows) < len(points) else points, threads, progress)
        labels[rows], strengths[rows] = assigned.labels, assigned.strengths
    return labels, strengths


def read_new_documents(new: NewInput, encoding: TextEncoding | None, progress: Progress) -> NewDocuments:
    """Read documents as `Clustering.assign` takes them, and encode their texts. Raises InvalidField."""
    data = new.data
    if new.texts is not None or (encoding is not None and find_texts(data) is not None):
        if new.texts is not None and data is not None:
            raise InvalidField("texts", "is given beside vectors", remedy="Give one of them.")
        return _encode_column(new, data if new.texts is None else new.texts, encoding, progress)
    if data is None:
        raise InvalidField("vectors", "is missing", remedy="Give the vectors of the documents, or their texts.")
    if encoding is not None and new.vector is None and (encoded := _encode_table(new, encoding, progress)) is not None:
        return encoded
    if isinstance(data, (str, os.PathLike)):
        return _read_file(Path(data), new.vector, new.id)
    frame = series_to_frame(data) or read_frame(data, _LABEL)
    if frame is None:
        vectors = split_vectors(data, new.vector)
        return NewDocuments(vectors, _read_ids(None, new.id, len(vectors.points)))
    vectors = split_frame(frame, new.vector, _LABEL)
    return NewDocuments(vectors, _read_ids(frame, new.id, len(vectors.points)), frame.index)


def _encode_column(new: NewInput, values: object, encoding: TextEncoding | None, progress: Progress) -> NewDocuments:
    """Encode one text per document."""
    values = _take_answers(new, values)
    frame = series_to_frame(values)
    texts = to_texts(values, None) or []  # type: ignore[arg-type]  # which checks it
    points, encodable = _encode(texts, encoding, progress)
    index = None if frame is None else frame.index
    return NewDocuments(Split(points, None), _read_ids(None, new.id, len(points)), index, encodable)


def _take_answers(new: NewInput, values: object) -> object:
    """Return the texts to encode. Raises InvalidField for texts of documents where the clustering is by answers."""
    if new.question is None:
        return values
    from shoal.labeling.providers.facets import Derived

    if isinstance(values, Derived) and values.question == new.question:
        return values.texts
    remedy = f"Give the answers about them: texts=shoal.derive(texts, {new.question!r}, MODEL)."
    raise InvalidField("texts", f"are no answers to {new.question!r}, by which was clustered", remedy=remedy)


def _encode_table(new: NewInput, encoding: TextEncoding, progress: Progress) -> NewDocuments | None:
    """Encode the columns of text of a table or a file; None where it has none of them."""
    named = new.id if isinstance(new.id, str) else None
    numbered = new.id is not None and named is None
    frame = None
    if isinstance(new.data, (str, os.PathLike)):
        path = Path(new.data)
        source = open_source(
            path, vector_columns=[], text_columns=new.fields, id_column=named, options=PYTHON, numbered=numbered
        )
    else:
        frame = series_to_frame(new.data) or read_frame(new.data, _LABEL)
        if frame is None:
            return None
        source = open_table(frame.table, _LABEL, vector_columns=[], text_columns=new.fields, numbered=True)
    columns = set(source.info.columns)
    if not any(path[0] in columns for field in new.fields for path in key_paths(field)):
        return None
    _take_answers(new, None)
    table = source.read()
    texts = [
        whole_text([find_field(document, field)[1] for field in new.fields])
        for document in table.documents.read(new.fields)
    ]
    points, encodable = _encode(texts, encoding, progress)
    if frame is not None or numbered:
        ids = _read_ids(frame, new.id, len(points))
    else:
        ids = np.array(table.ids, np.int64) if table.whole_ids else np.array(table.ids, np.object_)
    return NewDocuments(Split(points, None), ids, None if frame is None else frame.index, encodable)


def _encode(
    texts: Sequence[str], encoding: TextEncoding | None, progress: Progress
) -> tuple[Points, NDArray[np.bool_]]:
    """Encode texts as those of a clustering were. Raises InvalidField where it was made from vectors."""
    if encoding is None:
        remedy = "Give vectors, of the model that made those of the clustering."
        raise InvalidField("texts", "cannot be encoded, since this clustering was made from vectors", remedy=remedy)
    points = encoding.encode(texts, partial(progress, "encode"))
    return points, np.asarray(points.any(axis=1))


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
