"""One interface to all kinds of files: a `Source` tells what is inside and hands it out in batches or whole."""

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.columns import DocumentBatch, Points, Rows, VectorColumn
from shoal.errors import InvalidField, ShoalError
from shoal.files.bounds import Bounds
from shoal.files.columnar.table_pieces import TablePieces
from shoal.files.csv_text.plain_text import PlainText
from shoal.files.documents import Documents
from shoal.files.formats import Format, format_by_name, format_of
from shoal.files.ids.ids import NO_COLUMN, IdRegister
from shoal.files.ids.made import MadeIds
from shoal.files.json_text.lines import JsonPieces
from shoal.files.layout import COMMAND, Asked, Chosen, Known, Options
from shoal.files.opening import find_sidecar, no_sidecar, open_array, open_pieces
from shoal.files.originals import Originals
from shoal.files.payloads import json_of_batch, json_of_rows
from shoal.files.pieces import Piece, Pieces, Shards, naming_line, naming_shard, row_place
from shoal.files.reading import converted, speaking_shoal
from shoal.files.shard_rows import ShardRows
from shoal.files.shards import Files, are_several, find_shards, name_of
from shoal.files.stamps import stamps_of
from shoal.files.text_shards import CsvShards, JsonShards

__all__ = ["EVERYTHING", "MAX_DIMENSION", "FileTable", "Source", "SourceInfo", "Wanted", "open_source"]

MAX_DIMENSION: Final = 65_536
_ROWS: Final = 8192


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
    shards: Shards = ()
    original_columns: Sequence[str] = ()
    """As they stand in the file, before columns that belong together are made one."""
    delimiter: str | None = None
    """What separates the columns of a CSV file."""
    nameless: Sequence[str] = ()
    """Of the original columns those that have no name in the file."""


@dataclass(frozen=True, slots=True)
class FileTable:
    """The documents that were kept of a file; `ids`, rows of every (n, d) float32 block and `documents` are aligned.

    `read` counts the documents with all vectors, kept or not; `missing` those left out because they lack one.
    """

    ids: list[str]
    vectors: dict[str, Points]
    documents: Documents
    read: int
    missing: int
    unfolded_bytes: int
    """What the attributes of the whole file came to while they were read."""
    rows: Rows
    """Where the documents stand in the file, ascending."""
    whole_ids: bool = True
    """Whether the ids are whole numbers in the file (floats that are whole too), or of its rows, and no text."""
    rests: dict[str, Points] = field(default_factory=dict)
    """(n, d) what rounding to float32 left of the vectors, where that matters."""

    @property
    def total(self) -> int:
        """Rows of the file."""
        return self.read + self.missing


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to keep of a file. `matches` is given ids and documents of a stretch, and tells which of them to keep;
    `trim` makes long documents shorter, those of over `trim_from` bytes on average."""

    matches: Callable[[Sequence[str], Documents], NDArray[np.bool_]] | None = None
    trim: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    trim_from: int = 0
    tick: Callable[[int], None] | None = None
    """Hears after every stretch how many rows were read."""


EVERYTHING: Final = Wanted()


class Source:
    """A file that was opened and looked at. It can be read any number of times; ids are unique over the whole."""

    def __init__(self, pieces: Pieces, kind: Format, asked: Asked) -> None:
        self._pieces, self._label, self.stamps = pieces, asked.label, asked.stamps
        self._none = asked.options.id.replace("NAME", NO_COLUMN)
        self.info = SourceInfo(
            kind,
            pieces.columns,
            pieces.dimensions,
            pieces.id_column,
            pieces.count,
            pieces.warnings,
            pieces.shards,
            pieces.original_columns,
            pieces.delimiter,
            pieces.nameless,
        )

    def batches(self, rows: int = _ROWS) -> Iterator[DocumentBatch]:
        """What a store takes, at most `rows` documents at a time. Raises InvalidField naming row and column."""
        with speaking_shoal(self._label), self._naming():
            for piece in self._checked(rows):
                yield DocumentBatch(piece.ids, self._payloads(piece), piece.vectors)

    def read(self, wanted: Wanted = EVERYTHING) -> FileTable:
        """The whole file, or what is wanted of it, without the documents that lack a vector. Raises InvalidField naming
        row and column."""
        with speaking_shoal(self._label), self._naming():
            return self._whole(wanted)

    def originals(self, rows: int = _ROWS, columns: Sequence[str] | None = None, *, as_text: bool = False) -> Originals:
        """All rows with these of the `original_columns` as they stand in the file, at most `rows` at a time; None takes
        all, vectors too. With `as_text` the columns of a file without types (CSV) are text as it is written. Raises
        InvalidField."""
        with speaking_shoal(self._label), naming_shard(self._label, self.info.shards):
            yield from self._pieces.originals(rows, columns, as_text=as_text)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Errors name the file of several, and the line of a file of text."""
        with naming_line(self._label, self._pieces.line_of), naming_shard(self._label, self.info.shards):
            yield

    def _whole(self, wanted: Wanted) -> FileTable:
        ids: list[str] = []
        held: list[Documents] = []
        blocks = {name: _Stack(self.info.rows, dimension) for name, dimension in self.info.vectors.items()}
        total = complete = unfolded = 0
        places: list[Rows] = []
        whole_ids = True
        for piece in self._checked(_ROWS):
            rows = _complete(piece, blocks)
            whole_ids = whole_ids and piece.whole_ids
            total, complete = total + len(piece.ids), complete + len(rows)
            documents = Documents.of(piece.attributes, row_place(self._label, piece.first), byo=self._pieces.byo)
            unfolded += documents.nbytes
            documents = documents.taken(rows)
            if wanted.matches is not None:
                chosen = np.flatnonzero(wanted.matches([piece.ids[row] for row in rows], documents))
                rows, documents = rows[chosen], documents.taken(chosen)
            if wanted.tick is not None:
                wanted.tick(total)
            held.append(documents if wanted.trim is None else documents.trimmed(wanted.trim, wanted.trim_from))
            ids += [piece.ids[row] for row in rows.tolist()]
            places.append(rows + piece.first)
            for name, stack in blocks.items():
                stack.add(piece.vectors.get(name), rows)
        if not complete:
            raise InvalidField(self._label, "has no document with all vectors", remedy="Name other vector columns.")
        vectors = {name: stack.whole() for name, stack in blocks.items()}
        rests = {name: rest for name, stack in blocks.items() if (rest := stack.rest()) is not None}
        pa.default_memory_pool().release_unused()
        documents, missing = Documents.joined(held), total - complete
        return FileTable(ids, vectors, documents, complete, missing, unfolded, np.concatenate(places), whole_ids, rests)

    def _payloads(self, piece: Piece) -> list[bytes]:
        place = row_place(self._label, piece.first)
        if not isinstance(piece.attributes, pa.RecordBatch):
            return json_of_rows(piece.attributes, place, byo=self._pieces.byo)
        try:
            return json_of_batch(piece.attributes, place, byo=self._pieces.byo)
        except (ShoalError, MemoryError):
            raise
        except Exception:  # the column at fault is looked for, and named by the seam
            for name in piece.attributes.schema.names:
                converted(piece.attributes.column(name), _as_json, row_place(self._label, piece.first, name))
            raise

    def _checked(self, rows: int) -> Iterator[Piece]:
        remedy = f"Ids are unique: name another column, or number the rows with {self._none}."
        register = IdRegister(self._label, self.info.id_column, remedy)
        for piece in self._pieces.pieces(rows):
            register.add(piece.ids, piece.first)
            yield piece


def open_source(
    path: Files | str,
    *,
    format: str | None = None,
    id_column: str | None = None,
    vector_columns: Chosen = None,
    sidecar: Path | str | None = None,
    label: str | None = None,
    known_vectors: Known | None = None,
    needs_vectors: bool = True,
    max_dimension: int = MAX_DIMENSION,
    bounds: Bounds | None = None,
    temporary: Path | None = None,
    options: Options = COMMAND,
    numbered: bool = False,
    delimiter: str | None = None,
    makes_ids: bool = False,
    encoding: str | None = None,
    names: Mapping[Path, str] | None = None,
) -> Source:
    """Open a file of documents, or several Parquet files as one.

    `format` is told by the file's ending unless given. Ids come from `id_column`, else from a column `document_id`,
    `id` or `_id`, else rows are numbered. `vector_columns` names columns, or maps names of vectors to columns; without
    it the only column of vectors is taken, or the one called embedding or vector. A `.npy` file takes ids and
    attributes from `sidecar`, or from a file of the same stem beside it. `label` names the file in errors. Columns of
    lists that are called like one of `known_vectors` are those vectors, where `vector_columns` does not say otherwise.
    `bounds` say how far the file may unfold; None takes those of this machine's memory.
    A folder, or a pattern such as `data/*.parquet` that is the name of no file, is read as one table of the Parquet
    files in it, and so are several paths; `SourceInfo.shards` says which, and errors name the file and the row in it.
    Text in a gzip archive (`.csv.gz`, or an archive whose `format` is given) is unpacked into a nameless file in the
    folder `temporary`, None for the system's, that lives as long as the source. `options` is how the caller spells the
    options that remedies name. `numbered` numbers the rows, whatever columns there are; so does the `id_column` "none",
    unless there is a column of that name. `delimiter` separates the columns of text; None where it is to be seen.
    With `makes_ids` rows without ids have such as no other file has. Text is UTF-8, UTF-16 or UTF-32 with a mark, or of
    the `encoding`; what is not UTF-8 is read from a copy in `temporary`. `names` says what folders stand for that hold
    what was fetched from elsewhere.
    Raises InvalidField with a remedy for whatever is wrong with the file, TooLarge where it unfolds too far.
    """
    path = Path(path) if isinstance(path, str) else path if isinstance(path, Path) or len(path) > 1 else path[0]
    label = label or name_of(path)
    bounds = bounds or Bounds.in_memory()
    asked = Asked(
        label=label,
        id_column=id_column,
        vectors=vector_columns,
        known=known_vectors or {},
        needed=needs_vectors,
        most=max_dimension,
        bounds=bounds,
        options=options,
        numbered=numbered,
        delimiter=delimiter,
        format=format,
        encoding=encoding,
    )
    held = (
        [path] if isinstance(path, Path) and not are_several(path) else _shard_paths(path, label, format, names or {})
    )
    held = held if sidecar is None else [*held, Path(sidecar)]
    asked = replace(asked, stamps=stamps_of(held), number=MadeIds(held) if makes_ids else asked.number)
    if not isinstance(path, Path) or are_several(path):
        return _together(path, format, sidecar, asked, temporary, names or {})
    beside = find_sidecar(path, format, sidecar)
    with speaking_shoal(label):
        text = PlainText(path, label, format, encoding if beside is None else None, bounds, temporary)
    if text.is_packed:  # what comes out of an archive counts against its size
        asked = replace(asked, bounds=replace(bounds, most_bytes=bounds.unfolded_bytes(path.stat().st_size)))
    try:
        kind = format_of(text.path, label, text.format or format_by_name(path))
        source = _source(text.path, kind, beside, asked, temporary)
    except BaseException:
        text.close()
        raise
    weakref.finalize(source, text.close)
    return source


def _shard_paths(path: Files, label: str, format: str | None, names: Mapping[Path, str]) -> list[Path]:
    return [shard.path for shard in find_shards(path, label, format, names)]


def _together(
    path: Files,
    format: str | None,
    sidecar: Path | str | None,
    asked: Asked,
    temporary: Path | None,
    names: Mapping[Path, str],
) -> Source:
    """All files of a folder or a pattern, which are of one format, as one table."""
    if sidecar is not None:
        raise no_sidecar(sidecar)
    shards = find_shards(path, asked.label, format, names)
    kind = format_by_name(shards[0].path, format)
    with speaking_shoal(asked.label):
        if kind in ("json", "jsonl"):
            records = JsonShards(shards, asked, temporary)
            with naming_shard(asked.label, records.shards):
                size = sum(shard.path.stat().st_size for shard in shards)
                return Source(JsonPieces.of_shards(records, size, asked), kind, asked)
        if kind in ("csv", "tsv"):
            texts = CsvShards(shards, asked, temporary)
            with naming_shard(asked.label, texts.shards):
                return Source(TablePieces(texts, asked), kind, asked)
    rows = ShardRows(shards, asked.label, asked.bounds)
    with speaking_shoal(asked.label), naming_shard(asked.label, rows.shards):
        return Source(TablePieces(rows, asked), "parquet", asked)


def _source(path: Path, kind: Format, beside: Path | None, asked: Asked, temporary: Path | None) -> Source:
    with speaking_shoal(asked.label):
        if kind == "npy":
            return Source(open_array(path, beside, asked, temporary), kind, asked)
        return Source(open_pieces(path, kind, asked), kind, asked)


def _as_json(column: pa.Array) -> None:
    json_of_batch(pa.RecordBatch.from_arrays([column], ["value"]), str, byo=False)


class _Stack:
    """Blocks on top of each other: in place where the number of rows is known, else joined at the end."""

    def __init__(self, rows: int | None, dimension: int) -> None:
        self._room = None if rows is None else np.empty((rows, dimension), np.float32)
        self._filled = 0
        self._blocks: list[Points] = []
        self._rests: list[Points | None] = []
        self._sizes: list[int] = []

    def add(self, column: VectorColumn | None, kept: Rows) -> None:
        if column is None:
            return
        chosen = slice(None) if len(kept) == len(column.rows) else np.isin(column.rows, kept)
        block = column.values[chosen]
        self._rests.append(None if column.rest is None else column.rest[chosen])
        self._sizes.append(len(block))
        if self._room is None:
            self._blocks.append(block)
        else:
            self._room[self._filled : self._filled + len(block)] = block
        self._filled += len(block)

    def whole(self) -> Points:
        return np.concatenate(self._blocks) if self._room is None else self._room[: self._filled]

    def rest(self) -> Points | None:
        """What rounding left of all rows; None where no block lost anything that matters."""
        width = next((rest.shape[1] for rest in self._rests if rest is not None), None)
        if width is None:
            return None
        told = zip(self._rests, self._sizes, strict=True)
        return np.concatenate([np.zeros((size, width), np.float32) if rest is None else rest for rest, size in told])


def _complete(piece: Piece, names: Mapping[str, object]) -> Rows:
    """The rows that have every vector, ascending."""
    kept = np.arange(len(piece.ids))
    for name in names:
        column = piece.vectors.get(name)
        if column is None:
            return np.empty(0, np.int64)
        if len(column.rows) < len(piece.ids):
            kept = np.intersect1d(kept, column.rows, assume_unique=True)
    return kept
