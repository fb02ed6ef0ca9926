"""From a file to named clusters: what `shoal cluster FILE` does, without the printing."""

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
from shoal.files import Documents, FileTable, Source, Wanted, open_source
from shoal.files.bounds import Bounds
from shoal.files.in_memory import open_table
from shoal.files.layout import PYTHON, listed_names
from shoal.files.shards import Files
from shoal.labeling import LONGEST_READ, Volume, choose_text_fields, document_text, trimmed
from shoal.library.clustering import Kept
from shoal.library.from_columns import Clustering, cluster_columns, expected_cost
from shoal.library.input.given import check_count, close_columns, missing_vectors
from shoal.library.input.inputs import GivenIds, texts_of
from shoal.library.input.kept_columns import find_kept, read_kept
from shoal.library.request import Request
from shoal.library.results import expected_bytes
from shoal.library.row_filter import RowFilter
from shoal.library.written.write_back import check_replaced, write_back
from shoal.plural import plural
from shoal.precision import Split
from shoal.records.document import RESULT_FIELDS, own_fields
from shoal.records.queries.fields import find_field, key_paths
from shoal.records.queries.filters import MATCH_ALL
from shoal.remote.remote_files import Fetched, files_here
from shoal.settings import Settings

__all__ = ["FileClustering", "FilePlan", "cluster_file", "plan_file"]

_START_BYTES: Final = 256 * 2**20
_READING_TIMES, _READING_FEW, _READING_MOST = 5, 32 * 2**20, 400 * 2**20
"""Reading takes so many times the attributes, this more, and the last at most; half of it is not given back."""
_LOOSE: Final = frozenset({"json", "jsonl"})
_LOOKED_AT: Final = 200  # documents, to choose the fields that speak


@dataclass(frozen=True, slots=True)
class FileClustering:
    """The clustering, and what was read for it."""

    clustering: Clustering
    source: Mapping[str, Any]
    """file, rows_read, rows_clustered, vector, dimension, text fields: ready for the summary."""
    opened: Source
    rows: Rows
    """(n,) where the documents stand in the file, ascending."""
    total: int
    """Rows of the file."""
    without: Sequence[str] = ()

    def write_back(self, path: Path, progress: Progress = ignore_progress) -> list[str]:
        """Write the file again with the clusters beside its columns; see `shoal.library.written.write_back`."""
        without = find_kept(self.opened, self.without, "--without")
        return write_back(self.opened, self.clustering, self.rows, self.total, path, progress, without=without)


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
    source: Source
    total: int
    """Rows of the file."""
    rows: Rows
    """Where they stand in the file."""
    whole_ids: bool
    rest: Points | None = None
    """What rounding to float32 left of the points, where that matters."""


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What the whole command would cost. `peak_memory_bytes` is of the whole process."""

    rows: int
    dimension: int
    algorithm: str
    seconds: float
    peak_memory_bytes: int
    disk_bytes: int


def plan_file(
    request: Request, progress: Progress = ignore_progress, *, model: bool = True, write: bool = False
) -> FilePlan:
    """Read and choose, and tell what clustering these rows would cost, with the `model` on disk and the file written
    again or not. Raises InvalidField as `cluster_file` does."""
    began = time.process_time()
    chosen = _chosen(request, progress)
    started = time.process_time() - began + startup_seconds()
    rows, dimension = chosen.points.shape
    text = Volume.of(_texts(request, chosen, _text_fields(request, chosen)) or ())
    cost = expected_cost(request.how, rows, dimension, text)
    reading = min(_READING_TIMES * chosen.unfolded_bytes + _READING_FEW, _READING_MOST)
    # Documents and their texts are there together at the end of reading; later the texts, the engine and naming are.
    held = text.held_bytes + max(chosen.documents.nbytes + reading, reading / 2 + cost.bytes)
    return FilePlan(
        rows=rows,
        dimension=dimension,
        algorithm=request.how.algorithm,
        seconds=started + wall_seconds(cost, request.how.threads),
        peak_memory_bytes=int(held + chosen.points.nbytes) + _START_BYTES,
        disk_bytes=expected_bytes(
            rows, dimension, request.how.algorithm, id_bytes=max(map(len, chosen.ids)), model=model
        )
        + (sum(size for size, _ in chosen.source.stamps.values()) if write else 0),
    )


def cluster_file(request: Request, progress: Progress = ignore_progress) -> FileClustering:
    """Read, choose, cluster and name. Raises InvalidField for a file or parameters that cannot be used."""
    chosen = _chosen(request, progress)
    request = _with_texts(request, chosen)
    fields = _text_fields(request, chosen)
    about = {
        "file": request.label,
        "rows_read": chosen.read,
        "vector": chosen.vector,
        "dimension": int(chosen.points.shape[1]),
        "text": fields,
    }
    given = request.given
    texts = (
        _texts(request, chosen, fields) if given.texts is None else [given.texts[row] for row in chosen.rows.tolist()]
    )
    ids, points, vector, warnings = (
        chosen.ids,
        chosen.points,
        chosen.vector,
        [*chosen.warnings, *_without_words(request, chosen, fields)],
    )
    rest, whole_ids, source, rows, total = chosen.rest, chosen.whole_ids, chosen.source, chosen.rows, chosen.total
    del chosen  # its documents are not needed any more, and may be large
    clustering = cluster_columns(
        points, ids, texts, request.how, progress, like=given.like, rest=rest, whole_ids=whole_ids
    )
    kept = Kept(Split(points, rest), texts) if request.keep else None
    clustering = replace(
        clustering,
        warnings=[*warnings, *clustering.warnings],
        text_columns=fields,
        kept=kept,
        index=given.index,
        vector_column=vector if given.vectors is None else "",
        id_column=source.info.id_column or "" if given.ids is None else "",
    )
    if request.member_columns:
        clustering = replace(
            clustering, member_columns=read_kept(source, rows, find_kept(source, request.member_columns))
        )
    return FileClustering(clustering, about, source, rows, total, request.without)


def _chosen(request: Request, progress: Progress) -> _Chosen:
    """The documents that match the filter and have a usable vector. Raises InvalidField where none do."""
    progress("read", 0.0)
    source = _opened(request, progress)
    find_kept(source, request.member_columns)  # refused before anything is read
    find_kept(source, request.without, "--without")
    if request.replaces is not None:
        check_replaced(request.replaces, source, request.options)
    return _usable(request, _read(request, source, progress))


def _opened(request: Request, progress: Progress) -> Source:
    """A file at an address stays on this machine for as long as its source is there."""
    if (here := files_here(request.path)) is not None:
        return _opened_here(request, here, {})
    fetched = Fetched(request.path, progress)
    try:
        source = _opened_here(request, fetched.path, fetched.names)
    except BaseException:
        fetched.close()
        raise
    weakref.finalize(source, fetched.close)
    return source


def _opened_here(request: Request, path: Files, names: Mapping[Path, str]) -> Source:
    given = request.given
    vectors = None if request.vector is None else [request.vector]
    if given.vectors is not None:
        vectors = []
    if given.table is not None:
        return open_table(
            given.table,
            request.label,
            id_column=request.id,
            vector_columns=vectors,
            needs_vectors=given.vectors is None,
            numbered=given.ids is not None,
        )
    return open_source(
        path,
        label=request.label,
        format=request.format,
        id_column=request.id,
        vector_columns=vectors,
        sidecar=request.sidecar,
        needs_vectors=given.vectors is None,
        delimiter=request.delimiter,
        encoding=request.encoding,
        bounds=Bounds.in_memory(Settings.read().import_unfolded_mib),
        options=request.options,
        numbered=given.ids is not None,
        names=names,
    )


def _read(request: Request, source: Source, progress: Progress) -> _Chosen:
    def tick(read: int) -> None:
        progress("read", 0.0 if source.info.rows is None else min(read / max(source.info.rows, 1), 1.0))

    info = source.info
    chooser = RowFilter(request.where, request.options.where, info.columns, info.id_column)
    if info.format not in _LOOSE:  # where any row may have fields of its own
        chooser.check_columns()
    # Cut to what naming looks at while it is read, so that a file of long texts needs little memory.
    matches = None if request.where == MATCH_ALL else chooser.matching
    table = source.read(Wanted(matches, trimmed, LONGEST_READ, tick))
    chooser.check_values()
    warnings = list(source.info.warnings)
    vector, points, rest = _vectors(request, table)
    if table.missing:
        if request.given.table is not None:
            raise missing_vectors(request.label, vector, table.rows, table.missing)
        count = plural(table.missing, "document has", "documents have")
        warnings.append(f"{count} no {vector}; left out.")
    if not table.ids:
        raise chooser.none_matches(table.read)
    ids = _ids(request, table)
    return _Chosen(
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


def _vectors(request: Request, table: FileTable) -> tuple[str, Points, Points | None]:
    """The name of the vectors, and their rows. Raises InvalidField where given ones are not one a row."""
    given, total = request.given, table.read + table.missing
    for name, values in (("vector", given.vectors and given.vectors.points), ("text", given.texts)):
        if values is not None:
            check_count(name, len(values), total, request.label)
    if given.vectors is None:
        ((vector, points),) = table.vectors.items()
        return vector, points, table.rests.get(vector)
    points, rest = given.vectors
    if len(table.rows) < total:
        points, rest = points[table.rows], None if rest is None else rest[table.rows]
    return "vector", points, rest


def _ids(request: Request, table: FileTable) -> GivenIds:
    given = request.given.ids
    if given is None:
        return GivenIds(table.ids, table.whole_ids)
    check_count("id", len(given.texts), table.read + table.missing, request.label)
    return GivenIds([given.texts[row] for row in table.rows.tolist()], given.whole)


def _usable(request: Request, read: _Chosen) -> _Chosen:
    """Without the documents whose vector has no direction, where directions are compared."""
    usable = read.points.any(axis=1) if request.how.normalize else np.ones(len(read.ids), np.bool_)
    if usable.all():
        return read
    if request.given.table is not None:
        row = int(read.rows[np.flatnonzero(~usable)[0]])
        remedy = "Leave such rows out, or compare lengths too: normalize=False."
        place = f"{request.label}: row {row}, column {read.vector!r}"
        raise InvalidField(place, "is all zero, and such a vector has no direction", remedy=remedy)
    if not usable.any():
        remedy = f"Choose another column of vectors: {request.options.vector}."
        raise InvalidField(read.vector, "is all zero in every document", remedy=remedy)
    rows, count = np.flatnonzero(usable), int(np.count_nonzero(~usable))
    have = plural(count, "document has", "documents have")
    warning = f"{have} an all-zero vector, for which no direction exists; left out."
    return replace(
        read,
        ids=[read.ids[row] for row in rows],
        points=read.points[rows],
        rows=read.rows[rows],
        rest=None if read.rest is None else read.rest[rows],
        documents=read.documents.taken(rows),
        warnings=[*read.warnings, warning],
    )


def _with_texts(request: Request, chosen: _Chosen) -> Request:
    """The request whose texts are values, where it seemed to name columns: none of it is one, and there is one for
    each row of the file. Only in Python, where both are one argument."""
    if request.options is not PYTHON or len(request.text) != chosen.total:
        return request
    if any(path[0] in chosen.columns for text in request.text for path in key_paths(text)):
        return request
    return replace(request, text=(), given=replace(request.given, texts=texts_of(request.text, chosen.total)))


def _text_fields(request: Request, chosen: _Chosen) -> list[str]:
    """The fields that were named, else those that read most like text."""
    if request.given.texts is not None or not request.labels:
        return []
    if request.text:
        return list(request.text)
    sample = heapq.nsmallest(_LOOKED_AT, range(len(chosen.ids)), key=chosen.ids.__getitem__)
    payloads = [own_fields(one) for one in chosen.documents.taken(np.sort(sample)).read()]
    return choose_text_fields(payloads, without=RESULT_FIELDS)


def _without_words(request: Request, chosen: _Chosen, fields: Sequence[str]) -> list[str]:
    """What to say where the columns of a file hold no words."""
    others = [name for name in chosen.columns if name not in (chosen.vector, request.id)]
    if fields or request.given.texts is not None or not request.labels or not others:
        return []
    read = request.options.text
    return [f"No column reads like text ({listed_names(others)}), so clusters are numbered; {read} reads one anyway."]


def _texts(request: Request, chosen: _Chosen, fields: Sequence[str]) -> list[str] | None:
    """One text a row; None where no field holds any. Raises InvalidField for a field that no document has."""
    if not fields:
        return None
    missing, texts = set(fields) - set(chosen.columns), []
    for document in chosen.documents.read(fields):
        found = [find_field(document, field) for field in fields]
        texts.append(document_text([value for _, value in found]))
        missing -= {field for field, (there, _) in zip(fields, found, strict=True) if there and field in missing}
    if missing:
        name = min(missing)
        raise InvalidField(
            request.options.text, "is no field of the file", value=name, remedy=close_columns(name, chosen.columns)
        )
    if request.text and not any(texts):
        remedy = "Name a column of words, or leave it out."
        raise InvalidField(
            request.options.text, "holds no text in any row", value=", ".join(request.text), remedy=remedy
        )
    return texts
