"""One interface to all kinds of files: a `Source` tells what is inside and hands it out in batches or whole."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shoal.columns import DocumentBatch, Points, VectorColumn
from shoal.errors import InvalidField
from shoal.files.array_file import ArrayPieces
from shoal.files.formats import Format, format_of
from shoal.files.ids import IdRegister
from shoal.files.json_lines import JsonPieces
from shoal.files.layout import Chosen, Known
from shoal.files.payloads import json_of_batch, json_of_rows, table_of_rows
from shoal.files.pieces import Attributes, Piece, Pieces, row_place
from shoal.files.table_pieces import TablePieces
from shoal.records.document import byo_payload

__all__ = ["MAX_DIMENSION", "FileTable", "Source", "SourceInfo", "open_source"]

MAX_DIMENSION: Final = 65_536
_ROWS: Final = 8192
_SIDECARS: Final = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv", ".arrow", ".feather")


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a file holds. `vectors` maps the names of the chosen vectors to their dimensions; `rows` is None where it
    is not known before reading; `warnings` are sentences for the user."""

    format: Format
    columns: Sequence[str]
    vectors: Mapping[str, int]
    id_column: str | None
    rows: int | None
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True)
class FileTable:
    """A whole file. `ids`, the rows of every (n, d) float32 block and the rows of `payload` are aligned.

    `missing` counts the documents left out because they lack one of the vectors.
    """

    ids: list[str]
    vectors: dict[str, Points]
    payload: pa.Table
    missing: int


class Source:
    """A file that was opened and looked at. It can be read any number of times; ids are unique over the whole."""

    def __init__(self, pieces: Pieces, kind: Format, label: str) -> None:
        self._pieces, self._label = pieces, label
        self.info = SourceInfo(kind, pieces.columns, pieces.dimensions, pieces.id_column, pieces.count, pieces.warnings)

    def batches(self, rows: int = _ROWS) -> Iterator[DocumentBatch]:
        """What a store takes, at most `rows` documents at a time. Raises InvalidField naming row and column."""
        for piece in self._checked(rows):
            place = row_place(self._label, piece.first)
            if isinstance(piece.attributes, pa.RecordBatch):
                payloads = json_of_batch(piece.attributes, place, byo=self._pieces.byo)
            else:
                payloads = json_of_rows(piece.attributes, place, byo=self._pieces.byo)
            yield DocumentBatch(piece.ids, payloads, piece.vectors)

    def read(self) -> FileTable:
        """The whole file, without the documents that lack a vector. Raises InvalidField naming row and column."""
        ids: list[str] = []
        tables: list[Attributes] = []
        blocks = {name: _Stack(self.info.rows, dimension) for name, dimension in self.info.vectors.items()}
        total = 0
        for piece in self._checked(_ROWS):
            total += len(piece.ids)
            kept = _complete(piece, blocks)
            ids += piece.ids if kept is None else [piece.ids[row] for row in kept]
            tables.append(_taken(_shaped(piece.attributes, self._pieces.byo), kept))
            for name, stack in blocks.items():
                stack.add(piece.vectors.get(name), kept)
        if not ids:
            raise InvalidField(self._label, "has no document with all vectors", remedy="Name other vector columns.")
        return FileTable(ids, {name: stack.whole() for name, stack in blocks.items()}, _table(tables), total - len(ids))

    def _checked(self, rows: int) -> Iterator[Piece]:
        register = IdRegister(self._label, self.info.id_column)
        for piece in self._pieces.pieces(rows):
            register.add(piece.ids, piece.first)
            yield piece


def open_source(
    path: Path | str,
    *,
    format: str | None = None,
    id_column: str | None = None,
    vector_columns: Chosen = None,
    sidecar: Path | str | None = None,
    label: str | None = None,
    known_vectors: Known | None = None,
    needs_vectors: bool = True,
    max_dimension: int = MAX_DIMENSION,
) -> Source:
    """Open a file of documents.

    `format` is told by the file's ending unless given. Ids come from `id_column`, else from a column `document_id`,
    `id` or `_id`, else rows are numbered. `vector_columns` names columns, or maps names of vectors to columns; without
    it the only column of vectors is taken, or the one called embedding or vector. A `.npy` file takes ids and
    attributes from `sidecar`, or from a file of the same stem beside it. `label` names the file in errors. Columns of
    lists that are called like one of `known_vectors` are those vectors, where `vector_columns` does not say otherwise.
    Raises InvalidField with a remedy for whatever is wrong with the file.
    """
    path = Path(path)
    label = label or path.name
    kind = format_of(path, label, format)
    if kind == "npy":
        return Source(_array(path, label, id_column, vector_columns, sidecar, max_dimension), kind, label)
    if sidecar is not None:
        raise InvalidField("sidecar", "belongs to a .npy file only", value=str(sidecar))
    known = known_vectors or {}
    pieces = _opened(path, kind, label, id_column, vector_columns, known, needs_vectors, max_dimension)
    return Source(pieces, kind, label)


def _opened(
    path: Path, kind: Format, label: str, id_column: str | None, vectors: Chosen, known: Known, needed: bool, most: int
) -> Pieces:
    if kind == "jsonl":
        return JsonPieces(path, label, id_column, vectors, known, needed=needed, most=most)
    return TablePieces(path, kind, label, id_column, vectors, known, needed=needed, most=most)


def _array(
    path: Path, label: str, id_column: str | None, vectors: Chosen, sidecar: Path | str | None, most: int
) -> ArrayPieces:
    names = list(vectors or [])
    if len(names) > 1:
        raise InvalidField(label, "holds one array, so it has one vector", remedy="Give one name at most.")
    beside = Path(sidecar) if sidecar else next((p for s in _SIDECARS if (p := path.with_suffix(s)).exists()), None)
    pieces = None
    if beside is not None:
        kind = format_of(beside, beside.name)
        if kind == "npy":
            raise InvalidField("sidecar", "must be a table of ids and attributes", value=beside.name)
        pieces = _opened(beside, kind, beside.name, id_column, [], {}, False, most)
    elif id_column is not None:
        raise InvalidField("id_column", "needs a file beside the array", value=id_column, remedy="Give a sidecar.")
    return ArrayPieces(path, label, pieces, names[0] if names else None, most=most)


class _Stack:
    """Blocks on top of each other: in place where the number of rows is known, else joined at the end."""

    def __init__(self, rows: int | None, dimension: int) -> None:
        self._room = None if rows is None else np.empty((rows, dimension), np.float32)
        self._filled = 0
        self._blocks: list[Points] = []

    def add(self, column: VectorColumn | None, kept: Sequence[int] | None) -> None:
        if column is None:
            return
        block = column.values if kept is None else column.values[np.isin(column.rows, kept)]
        if self._room is None:
            self._blocks.append(block)
        else:
            self._room[self._filled : self._filled + len(block)] = block
        self._filled += len(block)

    def whole(self) -> Points:
        return np.concatenate(self._blocks) if self._room is None else self._room[: self._filled]


def _complete(piece: Piece, names: Mapping[str, object]) -> Sequence[int] | None:
    """The rows that have every vector; None where all have."""
    columns = [piece.vectors.get(name) for name in names]
    if all(column is not None and len(column.rows) == len(piece.ids) for column in columns):
        return None
    kept = np.arange(len(piece.ids))
    for column in columns:
        kept = np.intersect1d(kept, [] if column is None else column.rows).astype(np.int64)
    rows: list[int] = kept.tolist()
    return rows


def _shaped(attributes: Attributes, byo: bool) -> Attributes:
    """What a person calls the attributes: of a BYODocument its payload and metadata."""
    if isinstance(attributes, pa.RecordBatch) or not byo:
        return attributes
    return [{name: value for name, value in byo_payload(row).items() if name != "_internal"} for row in attributes]


def _taken(attributes: Attributes, kept: Sequence[int] | None) -> Attributes:
    if kept is None:
        return attributes
    if isinstance(attributes, pa.RecordBatch):
        return attributes.take(pa.array(kept, pa.int64()))
    return [attributes[row] for row in kept]


def _table(parts: Sequence[Attributes]) -> pa.Table:
    batches = [part for part in parts if isinstance(part, pa.RecordBatch)]
    if batches:
        return pa.Table.from_batches(batches)
    rows: list[Mapping[str, Any]] = [row for part in parts if not isinstance(part, pa.RecordBatch) for row in part]
    return table_of_rows(rows)
