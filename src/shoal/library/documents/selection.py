"""Reads the documents to cluster: the rows that match the filter and have a usable vector, or text to encode."""

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine.plan import Progress
from shoal.errors import InvalidField
from shoal.files import Documents, FileTable, Selection, Source, open_source
from shoal.files.bounds import Bounds
from shoal.files.in_memory import open_table
from shoal.files.paths.shards import Files
from shoal.labeling import LONGEST_READ, trim_payload
from shoal.library.input.arguments import check_count, missing_vectors_error
from shoal.library.input.conversion import IdValues
from shoal.library.input.member_columns import find_columns
from shoal.library.output.write_back import check_replaceable
from shoal.library.request import Request
from shoal.library.row_filter import RowFilter
from shoal.quantities import plural
from shoal.records.queries.filters import MATCH_ALL
from shoal.remote.remote_files import FetchedFiles, as_local_files
from shoal.settings import Settings

__all__ = ["SelectedDocuments", "select_documents"]

_SCHEMALESS: Final = frozenset({"json", "jsonl"})


@dataclass(frozen=True, slots=True)
class SelectedDocuments:
    """The rows to cluster: aligned ids, points and documents, and why others were left out."""

    ids: list[str]
    points: Points | None
    """None where the documents have no vectors, and their texts are to be encoded."""
    documents: Documents
    vector: str
    """The column of vectors; empty where there is none."""
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

    def take(self, rows: NDArray[np.int64], warning: str) -> "SelectedDocuments":
        """Return these rows, ascending, with a sentence about the others."""
        return replace(
            self,
            ids=[self.ids[row] for row in rows],
            points=None if self.points is None else self.points[rows],
            rows=self.rows[rows],
            rest=None if self.rest is None else self.rest[rows],
            documents=self.documents.take(rows),
            warnings=[*self.warnings, warning],
        )


def select_documents(request: Request, progress: Progress) -> SelectedDocuments:
    """Return the documents that match the filter, with their vectors where they have any.

    Raises InvalidField where none match, or where the file has neither vectors nor text.
    """
    if request.reads_texts_alone and (request.vector is not None or request.in_memory.vectors is not None):
        names = request.option_names
        name = names.encoder if request.encoder is not None else names.facet
        remedy = "Leave out one of them: texts are encoded, or vectors are read."
        raise InvalidField(name, f"is given beside {names.vector.split('=')[0].split()[0]}", remedy=remedy)
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
    if in_memory.vectors is not None or request.reads_texts_alone:
        vectors = []
    if in_memory.table is not None:
        return open_table(
            in_memory.table,
            request.label,
            id_column=request.id,
            vector_columns=vectors,
            needs_vectors=in_memory.vectors is None,
            text_columns=_text_columns(request),
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
        text_columns=_text_columns(request),
        delimiter=request.delimiter,
        encoding=request.encoding,
        bounds=Bounds.in_memory(Settings.read().import_unfolded_mib),
        options=request.option_names,
        numbered=in_memory.ids is not None,
        names=names,
    )


def _text_columns(request: Request) -> Sequence[str]:
    """Return the columns that may stand in for vectors: values beside the file are a column too."""
    return ["text"] if request.in_memory.texts is not None else request.text


def _read_documents(request: Request, source: Source, progress: Progress) -> SelectedDocuments:
    def tick(read: int) -> None:
        progress("read", 0.0 if source.info.rows is None else min(read / max(source.info.rows, 1), 1.0))

    info = source.info
    row_filter = RowFilter(request.where, request.option_names.where, info.columns, info.id_column)
    if info.format not in _SCHEMALESS:  # where every row may have other fields
        row_filter.check_columns()
    matches = None if request.where == MATCH_ALL else row_filter.match
    # Trimmed while reading to what naming uses, so that long texts need little memory; whole texts are encoded.
    encodes = not info.vectors and request.in_memory.vectors is None
    table = source.read(Selection(matches, None if encodes else trim_payload, LONGEST_READ, tick))
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
    return SelectedDocuments(
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


def _get_vectors(request: Request, table: FileTable) -> tuple[str, Points | None, Points | None]:
    """Return the name of the vectors, and their rows, if there are any. Raises InvalidField where those in memory are
    not one per row."""
    in_memory, total = request.in_memory, table.read + table.missing
    for name, values in (("vector", in_memory.vectors and in_memory.vectors.points), ("text", in_memory.texts)):
        if values is not None:
            check_count(name, len(values), total, request.label)
    if in_memory.vectors is None:
        if not table.vectors:
            return "", None, None
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


def _drop_zero_vectors(request: Request, selected: SelectedDocuments) -> SelectedDocuments:
    """Drop documents whose vector has no direction, where directions are compared."""
    if selected.points is None or not request.cluster_options.normalize:
        return selected
    usable = selected.points.any(axis=1)
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
    have = plural(int(np.count_nonzero(~usable)), "document has", "documents have")
    return selected.take(np.flatnonzero(usable), f"{have} an all-zero vector, for which no direction exists; left out.")
