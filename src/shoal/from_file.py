"""From a file to named clusters: what `shoal cluster FILE` does, without the printing."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine.cost import wall_seconds
from shoal.engine.plan import Progress, silent
from shoal.errors import InvalidField
from shoal.files import Documents, Source, Wanted, open_source
from shoal.files.bounds import Bounds
from shoal.files.shards import name_of
from shoal.labeling import LONGEST_READ, Volume, choose_text_fields, document_text, trimmed
from shoal.library import Clustering, How, cluster_columns, expected_cost
from shoal.records.document import RESULT_FIELDS, own_fields
from shoal.records.fields import find_field
from shoal.records.filters import MATCH_ALL, Condition, Filter
from shoal.settings import Settings
from shoal.storage.filters.to_mask import mask

__all__ = ["FileClustering", "FilePlan", "Request", "cluster_file", "plan_file"]

_START_BYTES: Final = 160 * 2**20
_READING_TIMES, _READING_FEW, _READING_MOST = 5, 32 * 2**20, 400 * 2**20
"""Reading takes so many times the attributes that it looks at, and this more, but no more than the last: it goes by
stretches. Half of it is not given back."""
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
    """The rows to cluster: aligned ids, points and documents, and why others were left out."""

    ids: list[str]
    points: Points
    documents: Documents
    vector: str
    columns: Sequence[str]
    """Of the file."""
    read: int
    """Documents with a vector, chosen or not."""
    unfolded_bytes: int
    """What the attributes of the whole file came to while they were read."""
    warnings: list[str]
    rows: Rows
    """Where they stand in the file."""
    whole_ids: bool
    rest: Points | None = None
    """What rounding to float32 left of the points, where that matters."""


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
    chosen = _chosen(request, progress)
    rows, dimension = chosen.points.shape
    text = Volume.of(_texts(chosen, _text_fields(request, chosen)) or ())
    cost = expected_cost(request.how, rows, dimension, text)
    reading = min(_READING_TIMES * chosen.unfolded_bytes + _READING_FEW, _READING_MOST)
    # Documents and their texts are there together at the end of reading; later the texts, the engine and naming are.
    held = text.held_bytes + max(chosen.documents.nbytes + reading, reading / 2 + cost.bytes)
    return FilePlan(
        rows=rows,
        dimension=dimension,
        algorithm=request.how.algorithm,
        seconds=wall_seconds(cost, request.how.threads),
        peak_memory_bytes=int(held + chosen.points.nbytes) + _START_BYTES,
        disk_bytes=rows * (_RESULT_BYTES + len(max(chosen.ids, key=len))),
    )


def cluster_file(request: Request, progress: Progress = silent) -> FileClustering:
    """Read, choose, cluster and name. Raises InvalidField for a file or parameters that cannot be used."""
    chosen = _chosen(request, progress)
    fields = _text_fields(request, chosen)
    about = {
        "file": name_of(request.path),
        "rows_read": chosen.read,
        "vector": chosen.vector,
        "dimension": int(chosen.points.shape[1]),
        "text": fields,
    }
    ids, points, warnings, texts = chosen.ids, chosen.points, chosen.warnings, _texts(chosen, fields)
    rest, whole_ids = chosen.rest, chosen.whole_ids
    del chosen  # its documents are not needed any more, and may be large
    clustering = cluster_columns(points, ids, texts, request.how, progress, rest=rest, whole_ids=whole_ids)
    return FileClustering(replace(clustering, warnings=[*warnings, *clustering.warnings]), about)


def _chosen(request: Request, progress: Progress) -> _Chosen:
    """The documents that match the filter and have a usable vector. Raises InvalidField where none do."""
    progress("read", 0.0)
    source = open_source(
        request.path,
        format=request.format,
        id_column=request.id,
        vector_columns=None if request.vector is None else [request.vector],
        sidecar=request.sidecar,
        bounds=Bounds.in_memory(Settings.read().import_unfolded_mib),
    )
    return _usable(request, _read(request, source))


def _read(request: Request, source: Source) -> _Chosen:
    def matches(ids: Sequence[str], documents: Documents) -> NDArray[np.bool_]:
        return _matching(request.where, ids, documents)

    # Cut to what naming looks at while it is read, so that a file of long texts needs little memory.
    table = source.read(Wanted(None if request.where == MATCH_ALL else matches, trimmed, LONGEST_READ))
    vector, warnings = next(iter(table.vectors)), list(source.info.warnings)
    if table.missing:
        warnings.append(f"{table.missing:,} documents have no {vector}; left out.")
    if not table.ids:
        remedy = f"The file's fields are: {', '.join(source.info.columns)}."
        raise InvalidField("where", f"matches none of {table.read:,} documents", remedy=remedy)
    points = table.vectors[vector]
    columns, rest = source.info.columns, table.rests.get(vector)
    read, unfolded = table.read, table.unfolded_bytes
    return _Chosen(
        table.ids,
        points,
        table.documents,
        vector,
        columns,
        read,
        unfolded,
        warnings,
        table.rows,
        table.whole_ids,
        rest,
    )


def _usable(request: Request, read: _Chosen) -> _Chosen:
    """Without the documents whose vector has no direction, where directions are compared."""
    usable = read.points.any(axis=1) if request.how.normalize else np.ones(len(read.ids), np.bool_)
    if usable.all():
        return read
    if not usable.any():
        raise InvalidField(read.vector, "is all zero in every document", remedy="Choose another column of vectors.")
    rows, count = np.flatnonzero(usable), int(np.count_nonzero(~usable))
    warning = f"{count:,} documents have an all-zero vector, for which no direction exists; left out."
    return replace(
        read,
        ids=[read.ids[row] for row in rows],
        points=read.points[rows],
        rows=read.rows[rows],
        rest=None if read.rest is None else read.rest[rows],
        documents=read.documents.taken(rows),
        warnings=[*read.warnings, warning],
    )


def _matching(where: Filter, ids: Sequence[str], documents: Documents) -> NDArray[np.bool_]:
    """(n,) which documents match; they are compared as the JSON a server would hold, so both answer alike."""
    found = documents.read(set(_fields(where)))
    return mask(where, [{**document, "document_id": id} for id, document in zip(ids, found, strict=True)])


def _fields(where: Filter) -> Iterator[str]:
    """The fields a filter looks at."""
    if isinstance(where, Condition):
        yield where.field
        return
    for member in where.members:
        yield from _fields(member)


def _text_fields(request: Request, chosen: _Chosen) -> list[str]:
    """The fields that were named, else those that read most like text."""
    if request.text:
        return list(request.text)
    sample = heapq.nsmallest(_LOOKED_AT, range(len(chosen.ids)), key=chosen.ids.__getitem__)
    payloads = [own_fields(one) for one in chosen.documents.taken(np.sort(sample)).read()]
    return choose_text_fields(payloads, without=RESULT_FIELDS)


def _texts(chosen: _Chosen, fields: Sequence[str]) -> list[str] | None:
    """One text a row; None where no field holds any. Raises InvalidField for a field that no document has."""
    if not fields:
        return None
    missing, texts = set(fields) - set(chosen.columns), []
    for document in chosen.documents.read(fields):
        found = [find_field(document, field) for field in fields]
        texts.append(document_text([value for _, value in found]))
        missing -= {field for field, (there, _) in zip(fields, found, strict=True) if there and field in missing}
    if missing:
        columns = ", ".join(chosen.columns)
        raise InvalidField("text", "is no field of the file", value=min(missing), remedy=f"It has: {columns}.")
    return texts
