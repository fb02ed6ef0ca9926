"""From a file to named clusters: what `shoal cluster FILE` does, without the printing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.cost import wall_seconds
from shoal.engine.plan import Progress, silent
from shoal.errors import InvalidField
from shoal.files import FileTable, open_source
from shoal.files.payloads import json_of_batch
from shoal.labeling import choose_text_fields, document_text
from shoal.library import Clustering, How, cluster_columns, expected_cost
from shoal.records.filters import MATCH_ALL, Condition, Filter
from shoal.storage.filters.to_mask import mask

__all__ = ["FileClustering", "FilePlan", "Request", "cluster_file", "plan_file"]

_START_BYTES: Final = 160 * 2**20
_RESULT_BYTES: Final = 90
_LOOKED_AT: Final = 200
"""Documents whose fields are looked at to choose the ones that speak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to read from the file, and how to cluster it."""

    path: Path
    format: str | None = None
    sidecar: Path | None = None
    vector: str | None = None
    """None takes the only column of vectors."""
    text: Sequence[str] = ()
    """None given: the fields that read most like text."""
    id: str | None = None
    where: Filter = MATCH_ALL
    how: How = field(default_factory=How)


@dataclass(frozen=True, slots=True)
class FileClustering:
    """The clustering, and what was read for it."""

    clustering: Clustering
    source: Mapping[str, Any]
    """file, rows_read, rows_clustered, vector, dimension, text fields: ready for the summary."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The rows to cluster: aligned ids, points and attributes, and why others were left out."""

    ids: list[str]
    points: Points
    payload: pa.Table
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What `cluster_file` would cost once the file is read. `peak_memory_bytes` is of the whole process."""

    rows: int
    dimension: int
    algorithm: str
    seconds: float
    peak_memory_bytes: int
    disk_bytes: int


def plan_file(request: Request, progress: Progress = silent) -> FilePlan:
    """Read and choose, and tell what clustering these rows would cost. Raises InvalidField as `cluster_file` does."""
    table, vector, _ = _read(request, progress)
    points = _chosen(request, table, vector).points
    rows, dimension = points.shape
    cost = expected_cost(request.how, rows, dimension)
    return FilePlan(
        rows=rows,
        dimension=dimension,
        algorithm=request.how.algorithm,
        seconds=wall_seconds(cost, request.how.threads),
        peak_memory_bytes=int(cost.bytes + points.nbytes) + _START_BYTES,
        disk_bytes=rows * (_RESULT_BYTES + len(max(table.ids, key=len))),
    )


def _read(request: Request, progress: Progress) -> tuple[FileTable, str, Sequence[str]]:
    """The file, the name of its vectors, and what to tell of it."""
    progress("read", 0.0)
    source = open_source(
        request.path,
        format=request.format,
        id_column=request.id,
        vector_columns=None if request.vector is None else [request.vector],
        sidecar=request.sidecar,
    )
    table = source.read()
    progress("filter", 0.0)
    return table, next(iter(table.vectors)), source.info.warnings


def cluster_file(request: Request, progress: Progress = silent) -> FileClustering:
    """Read, choose, cluster and name. Raises InvalidField for a file or parameters that cannot be used."""
    table, vector, told = _read(request, progress)
    chosen = _chosen(request, table, vector)
    fields = _text_fields(request, chosen.payload)
    clustering = cluster_columns(chosen.points, chosen.ids, _texts(chosen.payload, fields), request.how, progress)
    about = {
        "file": request.path.name,
        "rows_read": len(table.ids),
        "vector": vector,
        "dimension": int(chosen.points.shape[1]),
        "text": fields,
    }
    return FileClustering(replace(clustering, warnings=[*told, *chosen.warnings, *clustering.warnings]), about)


def _chosen(request: Request, table: FileTable, vector: str) -> _Chosen:
    """Rows that match the filter and have a usable vector. Raises InvalidField where none do."""
    points, warnings = table.vectors[vector], []
    if table.missing:
        warnings.append(f"{table.missing:,} documents have no {vector}; left out.")
    keep = np.ones(len(table.ids), np.bool_) if request.where == MATCH_ALL else _matching(request.where, table)
    if not keep.any():
        columns = ", ".join(table.payload.column_names)
        raise InvalidField(
            "where", f"matches none of {len(table.ids):,} documents", remedy=f"The file's fields are: {columns}."
        )
    if request.how.normalize:
        zero = keep & ~points.any(axis=1)
        if zero.any():
            count = int(np.count_nonzero(zero))
            warnings.append(f"{count:,} documents have an all-zero vector, for which no direction exists; left out.")
            keep &= ~zero
    if not keep.any():
        raise InvalidField(vector, "is all zero in every document", remedy="Choose another column of vectors.")
    if keep.all():
        return _Chosen(table.ids, points, table.payload, warnings)
    rows = np.flatnonzero(keep)
    return _Chosen([table.ids[row] for row in rows], points[rows], table.payload.take(pa.array(rows)), warnings)


def _matching(where: Filter, table: FileTable) -> NDArray[np.bool_]:
    """(n,) which documents match; they are compared as the JSON a server would hold, so both answer alike."""
    roots = {part for field in _fields(where) for part in field.split(".")[:2]}
    payload = table.payload.select([name for name in table.payload.column_names if name in roots])
    documents = list(_objects(payload, table.ids if "document_id" in roots else None))
    return mask(where, documents or [{}] * len(table.ids))


def _objects(payload: pa.Table, ids: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    row = 0
    for batch in payload.to_batches(8192):
        for encoded in json_of_batch(batch, lambda number: f"row {number}", byo=False):
            yield {**orjson.loads(encoded), **({} if ids is None else {"document_id": ids[row]})}
            row += 1


def _fields(where: Filter) -> Iterator[str]:
    """The fields a filter looks at."""
    if isinstance(where, Condition):
        yield where.field
        return
    for member in where.members:
        yield from _fields(member)


def _text_fields(request: Request, payload: pa.Table) -> list[str]:
    """The columns that were named, else those that read most like text. Raises InvalidField for one not there."""
    for name in request.text:
        if name not in payload.column_names:
            columns = ", ".join(payload.column_names) or "no others"
            raise InvalidField("text", "is no column of the file", value=name, remedy=f"It has: {columns}.")
    if request.text or not payload.num_columns:
        return list(request.text)
    return list(choose_text_fields(list(_objects(payload.slice(0, _LOOKED_AT), None))))


def _texts(payload: pa.Table, fields: Sequence[str]) -> list[str] | None:
    """One text a row; None where no field holds any."""
    if not fields:
        return None
    columns = [payload[name].to_pylist() for name in fields]
    return [document_text(values) for values in zip(*columns, strict=True)]
