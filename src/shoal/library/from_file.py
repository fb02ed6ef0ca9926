"""From a file to named clusters: `shoal cluster FILE` without the output."""

import heapq
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from shoal.columns import Points, Rows
from shoal.engine.cost import startup_seconds, wall_seconds
from shoal.engine.plan import Progress, ignore_progress
from shoal.errors import InvalidField
from shoal.files import Documents, FileTable, Selection, Source, open_source
from shoal.files.bounds import Bounds
from shoal.files.in_memory import open_table
from shoal.files.layout import PYTHON, format_names
from shoal.files.paths.shards import Files
from shoal.labeling import LONGEST_READ, Volume, choose_text_fields, document_text, trim_payload
from shoal.library.clustering import Kept
from shoal.library.from_columns import Clustering, cluster_columns, estimate_clustering_cost
from shoal.library.input.arguments import check_count, missing_vectors_error, suggest_columns
from shoal.library.input.conversion import IdValues, to_texts
from shoal.library.input.member_columns import find_columns, read_columns
from shoal.library.output.write_back import check_replaceable, write_back
from shoal.library.request import Request
from shoal.library.results import estimate_bytes
from shoal.library.row_filter import RowFilter
from shoal.precision import Split
from shoal.quantities import plural
from shoal.records.documents.document import RESULT_FIELDS, own_fields
from shoal.records.queries.fields import find_field, key_paths
from shoal.records.queries.filters import MATCH_ALL
from shoal.remote.remote_files import FetchedFiles, as_local_files
from shoal.settings import Settings

__all__ = ["FileClustering", "FilePlan", "cluster_file", "plan_file"]

_START_BYTES: Final = 256 * 2**20
_READING_TIMES, _READING_BASE, _READING_MOST = 5, 32 * 2**20, 400 * 2**20
"""Reading takes this many times the size of the attributes, plus a base, up to a maximum; half of it is not
returned."""
_SCHEMALESS: Final = frozenset({"json", "jsonl"})
_SAMPLED_DOCUMENTS: Final = 200  # documents, to choose the text fields


@dataclass(frozen=True, slots=True)
class FileClustering:
    """A clustering, and what was read for it."""

    clustering: Clustering
    source: Mapping[str, Any]
    """file, rows_read, rows_clustered, vector, dimension, text fields: ready for the summary."""
    opened: Source
    rows: Rows
    """(n,) row numbers of the documents in the file, ascending."""
    total: int
    """The number of rows in the file."""
    without: Sequence[str] = ()

    def write_back(self, path: Path, progress: Progress = ignore_progress) -> list[str]:
        """Write the file again with the cluster of each row; see `shoal.library.output.write_back`."""
        without = find_columns(self.opened, self.without, "--without")
        return write_back(self.opened, self.clustering, self.rows, self.total, path, progress, without=without)


@dataclass(frozen=True, slots=True)
class _SelectedDocuments:
    """The rows to cluster: aligned ids, points and documents, and why others were left out."""

    ids: list[str]
    points: Points
    documents: Documents
    vector: str
    columns: Sequence[str]
    """The columns of the file."""
    read: int
    """The number of documents with a vector, selected or not."""
    unfolded_bytes: int
    """The size of the attributes of the whole file as they were read."""
    warnings: list[str]
    source: Source
    total: int
    """The number of rows in the file."""
    rows: Rows
    """Their row numbers in the file."""
    whole_ids: bool
    rest: Points | None = None
    """Residuals of rounding to float32, where they matter."""


@dataclass(frozen=True, slots=True)
class FilePlan:
    """The estimated cost of the whole command. `peak_memory_bytes` is that of the whole process."""

    rows: int
    dimension: int
    algorithm: str
    seconds: float
    peak_memory_bytes: int
    disk_bytes: int


def plan_file(
    request: Request, progress: Progress = ignore_progress, *, model: bool = True, write: bool = False
) -> FilePlan:
    """Read and select, and estimate the cost of clustering these rows.

    `model` and `write` say whether the model is saved and the file written again. Raises InvalidField as `cluster_file`
    does.
    """
    started_at = time.process_time()
    selected = _select_documents(request, progress)
    seconds_so_far = time.process_time() - started_at + startup_seconds()
    rows, dimension = selected.points.shape
    text = Volume.of(_read_texts(request, selected, _choose_text_fields(request, selected)) or ())
    cost = estimate_clustering_cost(request.cluster_options, rows, dimension, text)
    reading = min(_READING_TIMES * selected.unfolded_bytes + _READING_BASE, _READING_MOST)
    # Peak memory: documents and texts at the end of reading, or texts, engine and naming later.
    held_bytes = text.held_bytes + max(selected.documents.nbytes + reading, reading / 2 + cost.bytes)
    return FilePlan(
        rows=rows,
        dimension=dimension,
        algorithm=request.cluster_options.algorithm,
        seconds=seconds_so_far + wall_seconds(cost, request.cluster_options.threads),
        peak_memory_bytes=int(held_bytes + selected.points.nbytes) + _START_BYTES,
        disk_bytes=estimate_bytes(
            rows, dimension, request.cluster_options.algorithm, id_bytes=max(map(len, selected.ids)), model=model
        )
        + (sum(size for size, _ in selected.source.stamps.values()) if write else 0),
    )


def cluster_file(request: Request, progress: Progress = ignore_progress) -> FileClustering:
    """Read, select, cluster and name. Raises InvalidField for a file or parameters that cannot be used."""
    selected = _select_documents(request, progress)
    request = _reinterpret_text(request, selected)
    fields = _choose_text_fields(request, selected)
    source_summary = {
        "file": request.label,
        "rows_read": selected.read,
        "vector": selected.vector,
        "dimension": int(selected.points.shape[1]),
        "text": fields,
    }
    in_memory = request.in_memory
    texts = (
        _read_texts(request, selected, fields)
        if in_memory.texts is None
        else [in_memory.texts[row] for row in selected.rows.tolist()]
    )
    ids, points, vector, warnings = (
        selected.ids,
        selected.points,
        selected.vector,
        [*selected.warnings, *_warn_no_text(request, selected, fields)],
    )
    rest, whole_ids, source, rows, total = (
        selected.rest,
        selected.whole_ids,
        selected.source,
        selected.rows,
        selected.total,
    )
    del selected  # free its documents, which may be large
    clustering = cluster_columns(
        points, ids, texts, request.cluster_options, progress, like=in_memory.like, rest=rest, whole_ids=whole_ids
    )
    kept = Kept(Split(points, rest), texts) if request.keep else None
    clustering = replace(
        clustering,
        warnings=[*warnings, *clustering.warnings],
        text_columns=fields,
        kept=kept,
        index=in_memory.index,
        vector_column=vector if in_memory.vectors is None else "",
        id_column=source.info.id_column or "" if in_memory.ids is None else "",
    )
    if request.member_columns:
        clustering = replace(
            clustering, member_columns=read_columns(source, rows, find_columns(source, request.member_columns))
        )
    return FileClustering(clustering, source_summary, source, rows, total, request.without)


def _select_documents(request: Request, progress: Progress) -> _SelectedDocuments:
    """Return the documents that match the filter and have a usable vector. Raises InvalidField where none do."""
    progress("read", 0.0)
    source = _open(request, progress)
    find_columns(source, request.member_columns)  # reject unknown columns before reading
    find_columns(source, request.without, "--without")
    if request.replaces is not None:
        check_replaceable(request.replaces, source, request.option_names)
    return _drop_zero_vectors(request, _read_documents(request, source, progress))


def _open(request: Request, progress: Progress) -> Source:
    """Open the source; a downloaded file stays on disk for as long as its source exists."""
    if (local := as_local_files(request.path)) is not None:
        return _open_local(request, local, {})
    fetched = FetchedFiles(request.path, progress)
    try:
        source = _open_local(request, fetched.path, fetched.names)
    except BaseException:
        fetched.close()
        raise
    weakref.finalize(source, fetched.close)
    return source


def _open_local(request: Request, path: Files, names: Mapping[Path, str]) -> Source:
    in_memory = request.in_memory
    vectors = None if request.vector is None else [request.vector]
    if in_memory.vectors is not None:
        vectors = []
    if in_memory.table is not None:
        return open_table(
            in_memory.table,
            request.label,
            id_column=request.id,
            vector_columns=vectors,
            needs_vectors=in_memory.vectors is None,
            numbered=in_memory.ids is not None,
        )
    return open_source(
        path,
        label=request.label,
        format=request.format,
        id_column=request.id,
        vector_columns=vectors,
        sidecar=request.sidecar,
        needs_vectors=in_memory.vectors is None,
        delimiter=request.delimiter,
        encoding=request.encoding,
        bounds=Bounds.in_memory(Settings.read().import_unfolded_mib),
        options=request.option_names,
        numbered=in_memory.ids is not None,
        names=names,
    )


def _read_documents(request: Request, source: Source, progress: Progress) -> _SelectedDocuments:
    def tick(read: int) -> None:
        progress("read", 0.0 if source.info.rows is None else min(read / max(source.info.rows, 1), 1.0))

    info = source.info
    row_filter = RowFilter(request.where, request.option_names.where, info.columns, info.id_column)
    if info.format not in _SCHEMALESS:  # where every row may have other fields
        row_filter.check_columns()
    # Trimmed while reading to what naming uses, so that long texts need little memory.
    matches = None if request.where == MATCH_ALL else row_filter.match
    table = source.read(Selection(matches, trim_payload, LONGEST_READ, tick))
    row_filter.check_values()
    warnings = list(source.info.warnings)
    vector, points, rest = _get_vectors(request, table)
    if table.missing:
        if request.in_memory.table is not None:
            raise missing_vectors_error(request.label, vector, table.rows, table.missing)
        count = plural(table.missing, "document has", "documents have")
        warnings.append(f"{count} no {vector}; left out.")
    if not table.ids:
        raise row_filter.no_match_error(table.read)
    ids = _get_ids(request, table)
    return _SelectedDocuments(
        ids=ids.texts,
        points=points,
        documents=table.documents,
        vector=vector,
        columns=source.info.columns,
        read=table.read,
        unfolded_bytes=table.unfolded_bytes,
        warnings=warnings,
        source=source,
        total=table.total,
        rows=table.rows,
        whole_ids=ids.whole,
        rest=rest,
    )


def _get_vectors(request: Request, table: FileTable) -> tuple[str, Points, Points | None]:
    """Return the name of the vectors, and their rows. Raises InvalidField where given ones are not one per row."""
    in_memory, total = request.in_memory, table.read + table.missing
    for name, values in (("vector", in_memory.vectors and in_memory.vectors.points), ("text", in_memory.texts)):
        if values is not None:
            check_count(name, len(values), total, request.label)
    if in_memory.vectors is None:
        ((vector, points),) = table.vectors.items()
        return vector, points, table.rests.get(vector)
    points, rest = in_memory.vectors
    if len(table.rows) < total:
        points, rest = points[table.rows], None if rest is None else rest[table.rows]
    return "vector", points, rest


def _get_ids(request: Request, table: FileTable) -> IdValues:
    ids = request.in_memory.ids
    if ids is None:
        return IdValues(table.ids, table.whole_ids)
    check_count("id", len(ids.texts), table.read + table.missing, request.label)
    return IdValues([ids.texts[row] for row in table.rows.tolist()], ids.whole)


def _drop_zero_vectors(request: Request, selected: _SelectedDocuments) -> _SelectedDocuments:
    """Drop documents whose vector has no direction, where directions are compared."""
    usable = selected.points.any(axis=1) if request.cluster_options.normalize else np.ones(len(selected.ids), np.bool_)
    if usable.all():
        return selected
    if request.in_memory.table is not None:
        row = int(selected.rows[np.flatnonzero(~usable)[0]])
        remedy = "Leave such rows out, or compare lengths too: normalize=False."
        place = f"{request.label}: row {row}, column {selected.vector!r}"
        raise InvalidField(place, "is all zero, and such a vector has no direction", remedy=remedy)
    if not usable.any():
        remedy = f"Choose another column of vectors: {request.option_names.vector}."
        raise InvalidField(selected.vector, "is all zero in every document", remedy=remedy)
    rows, count = np.flatnonzero(usable), int(np.count_nonzero(~usable))
    have = plural(count, "document has", "documents have")
    warning = f"{have} an all-zero vector, for which no direction exists; left out."
    return replace(
        selected,
        ids=[selected.ids[row] for row in rows],
        points=selected.points[rows],
        rows=selected.rows[rows],
        rest=None if selected.rest is None else selected.rest[rows],
        documents=selected.documents.take(rows),
        warnings=[*selected.warnings, warning],
    )


def _reinterpret_text(request: Request, selected: _SelectedDocuments) -> Request:
    """Treat `text` as values where it was taken for column names: none of it is a column, and its length is that of the
    file.

    Only in Python, where both are one argument.
    """
    if request.option_names is not PYTHON or len(request.text) != selected.total:
        return request
    if any(path[0] in selected.columns for text in request.text for path in key_paths(text)):
        return request
    return replace(request, text=(), in_memory=replace(request.in_memory, texts=to_texts(request.text, selected.total)))


def _choose_text_fields(request: Request, selected: _SelectedDocuments) -> list[str]:
    """Return the named fields, else those that read most like text."""
    if request.in_memory.texts is not None or not request.labels:
        return []
    if request.text:
        return list(request.text)
    sample = heapq.nsmallest(_SAMPLED_DOCUMENTS, range(len(selected.ids)), key=selected.ids.__getitem__)
    payloads = [own_fields(document) for document in selected.documents.take(np.sort(sample)).read()]
    return choose_text_fields(payloads, without=RESULT_FIELDS)


def _warn_no_text(request: Request, selected: _SelectedDocuments, fields: Sequence[str]) -> list[str]:
    """Return a warning where no column of a file holds prose."""
    others = [name for name in selected.columns if name not in (selected.vector, request.id)]
    if fields or request.in_memory.texts is not None or not request.labels or not others:
        return []
    read = request.option_names.text
    return [f"No column reads like text ({format_names(others)}), so clusters are numbered; {read} reads one anyway."]


def _read_texts(request: Request, selected: _SelectedDocuments, fields: Sequence[str]) -> list[str] | None:
    """Return one text per row; None where no field holds any. Raises InvalidField for a field that no document has."""
    if not fields:
        return None
    missing, texts = set(fields) - set(selected.columns), []
    for document in selected.documents.read(fields):
        values = [find_field(document, field) for field in fields]
        texts.append(document_text([value for _, value in values]))
        missing -= {field for field, (exists, _) in zip(fields, values, strict=True) if exists and field in missing}
    if missing:
        name = min(missing)
        raise InvalidField(
            request.option_names.text,
            "is not a field of the file",
            value=name,
            remedy=suggest_columns(name, selected.columns),
        )
    if request.text and not any(texts):
        remedy = "Name a column of words, or leave it out."
        raise InvalidField(
            request.option_names.text, "holds no text in any row", value=", ".join(request.text), remedy=remedy
        )
    return texts
