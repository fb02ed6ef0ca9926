"""The interface to files of all formats: a `Source` describes its content and reads it in batches or whole."""

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.columns import DocumentBatch, Points, Rows
from shoal.errors import InvalidField, ShoalError
from shoal.files.bounds import Bounds
from shoal.files.columnar.table_reader import TableReader
from shoal.files.csv_text.shards import CsvShards
from shoal.files.documents import Documents
from shoal.files.formats import Format, detect_format, format_from_name
from shoal.files.ids.generated import GeneratedIds
from shoal.files.ids.ids import NO_COLUMN, IdRegister
from shoal.files.json_text.reader import JsonReader
from shoal.files.json_text.shards import JsonShards
from shoal.files.layout import COMMAND, KnownVectors, OptionNames, ReadRequest, VectorColumns
from shoal.files.opening import find_sidecar, open_array_reader, open_reader, sidecar_error
from shoal.files.originals import Originals
from shoal.files.paths.shards import Files, display_name, find_shards, is_multiple
from shoal.files.paths.stamps import stamp_files
from shoal.files.payloads import batch_to_json, rows_to_json
from shoal.files.reader import Chunk, Reader, Shards, name_line_in_errors, name_shard_in_errors, row_place
from shoal.files.reader_errors import convert_column, translate_errors
from shoal.files.shard_rows import ShardRows
from shoal.files.text.plain_text import PlainText
from shoal.files.vector_blocks import VectorBlocks, find_complete_rows

__all__ = ["EVERYTHING", "MAX_DIMENSION", "FileTable", "Selection", "Source", "SourceInfo", "open_source"]

MAX_DIMENSION: Final = 65_536
_ROWS: Final = 8192


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """The content of a file. `vectors` maps names of vectors to dimensions; `rows` is None where unknown before
    reading.

    `warnings` are sentences for the user.
    """

    format: Format
    columns: Sequence[str]
    vectors: Mapping[str, int]
    id_column: str | None
    rows: int | None
    warnings: Sequence[str]
    shards: Shards = ()
    original_columns: Sequence[str] = ()
    """The columns of the file, before columns that belong together are merged."""
    delimiter: str | None = None
    """The delimiter of a CSV file."""
    nameless: Sequence[str] = ()
    """The original columns that have no name in the file."""


@dataclass(frozen=True, slots=True)
class FileTable:
    """The selected documents of a file; `ids`, the rows of each (n, d) float32 block and `documents` are aligned.

    `read` counts the documents with all vectors, selected or not; `missing` those left out because they lack one.
    """

    ids: list[str]
    vectors: dict[str, Points]
    documents: Documents
    read: int
    missing: int
    unfolded_bytes: int
    """The size of the attributes of the whole file as they were read."""
    rows: Rows
    """The row numbers of the documents in the file, ascending."""
    whole_ids: bool = True
    """Whether the ids are integers in the file (integral floats included) or row numbers, rather than text."""
    rests: dict[str, Points] = field(default_factory=dict)
    """(n, d) the residuals of rounding to float32, where they matter."""

    @property
    def total(self) -> int:
        """The number of rows in the file."""
        return self.read + self.missing


@dataclass(frozen=True, slots=True)
class Selection:
    """Which documents of a file to keep.

    `matches` returns a mask for the ids and documents of a chunk; `trim` shortens documents where they take more than
    `trim_from` bytes on average.
    """

    matches: Callable[[Sequence[str], Documents], NDArray[np.bool_]] | None = None
    trim: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    trim_from: int = 0
    tick: Callable[[int], None] | None = None
    """Called after every chunk with the number of rows read."""


EVERYTHING: Final = Selection()


class Source:
    """A file that was opened and inspected. It can be read any number of times; ids are unique over the whole file."""

    def __init__(self, reader: Reader, kind: Format, request: ReadRequest) -> None:
        self._reader, self._label, self.stamps = reader, request.label, request.stamps
        self._none = request.option_names.id.replace("NAME", NO_COLUMN)
        self.info = SourceInfo(
            kind,
            reader.columns,
            reader.dimensions,
            reader.id_column,
            reader.count,
            reader.warnings,
            reader.shards,
            reader.original_columns,
            reader.delimiter,
            reader.nameless,
        )

    def batches(self, rows: int = _ROWS) -> Iterator[DocumentBatch]:
        """Yield the documents for a store, at most `rows` at a time. Raises InvalidField naming row and column."""
        with translate_errors(self._label), self._locate_errors():
            for chunk in self._iter_checked(rows):
                yield DocumentBatch(chunk.ids, self._to_payloads(chunk), chunk.vectors)

    def read(self, selection: Selection = EVERYTHING) -> FileTable:
        """Read the whole file, or a selection of it, without the documents that lack a vector.

        Raises InvalidField naming row and column.
        """
        with translate_errors(self._label), self._locate_errors():
            return self._read_all(selection)

    def originals(self, rows: int = _ROWS, columns: Sequence[str] | None = None, *, as_text: bool = False) -> Originals:
        """Yield all rows with these of the `original_columns` as they stand in the file, at most `rows` at a time.

        None takes all columns, vectors too. With `as_text` the columns of a file without types (CSV) are raw text.
        Raises InvalidField.
        """
        with translate_errors(self._label), name_shard_in_errors(self._label, self.info.shards):
            yield from self._reader.originals(rows, columns, as_text=as_text)

    @contextmanager
    def _locate_errors(self) -> Iterator[None]:
        """Name the file, of several, and the line of a text file in errors."""
        with (
            name_line_in_errors(self._label, self._reader.line_of),
            name_shard_in_errors(self._label, self.info.shards),
        ):
            yield

    def _read_all(self, selection: Selection) -> FileTable:
        ids: list[str] = []
        kept_documents: list[Documents] = []
        blocks = {name: VectorBlocks(self.info.rows, dimension) for name, dimension in self.info.vectors.items()}
        total = complete = expanded_bytes = 0
        row_numbers: list[Rows] = []
        whole_ids = True
        for chunk in self._iter_checked(_ROWS):
            rows = find_complete_rows(chunk, blocks)
            whole_ids = whole_ids and chunk.whole_ids
            total, complete = total + len(chunk.ids), complete + len(rows)
            documents = Documents.from_attributes(
                chunk.attributes, row_place(self._label, chunk.first), byo=self._reader.byo
            )
            expanded_bytes += documents.nbytes
            documents = documents.take(rows)
            if selection.matches is not None:
                chosen = np.flatnonzero(selection.matches([chunk.ids[row] for row in rows], documents))
                rows, documents = rows[chosen], documents.take(chosen)
            if selection.tick is not None:
                selection.tick(total)
            kept_documents.append(
                documents if selection.trim is None else documents.trim(selection.trim, selection.trim_from)
            )
            ids += [chunk.ids[row] for row in rows.tolist()]
            row_numbers.append(rows + chunk.first)
            for name, stack in blocks.items():
                stack.add(chunk.vectors.get(name), rows)
        if not complete:
            raise InvalidField(self._label, "has no document with all vectors", remedy="Name other vector columns.")
        vectors = {name: stack.concatenate() for name, stack in blocks.items()}
        rests = {name: rest for name, stack in blocks.items() if (rest := stack.residual()) is not None}
        pa.default_memory_pool().release_unused()
        documents, missing = Documents.concatenate(kept_documents), total - complete
        return FileTable(
            ids, vectors, documents, complete, missing, expanded_bytes, np.concatenate(row_numbers), whole_ids, rests
        )

    def _to_payloads(self, chunk: Chunk) -> list[bytes]:
        place = row_place(self._label, chunk.first)
        if not isinstance(chunk.attributes, pa.RecordBatch):
            return rows_to_json(chunk.attributes, place, byo=self._reader.byo)
        try:
            return batch_to_json(chunk.attributes, place, byo=self._reader.byo)
        except (ShoalError, MemoryError):
            raise
        except Exception:  # find the column that failed, and name it in the error
            for name in chunk.attributes.schema.names:
                convert_column(chunk.attributes.column(name), _try_json, row_place(self._label, chunk.first, name))
            raise

    def _iter_checked(self, rows: int) -> Iterator[Chunk]:
        remedy = f"Ids are unique: name another column, or number the rows with {self._none}."
        register = IdRegister(self._label, self.info.id_column, remedy)
        for chunk in self._reader.chunks(rows):
            register.add(chunk.ids, chunk.first)
            yield chunk


def open_source(
    path: Files | str,
    *,
    format: str | None = None,
    id_column: str | None = None,
    vector_columns: VectorColumns = None,
    sidecar: Path | str | None = None,
    label: str | None = None,
    known_vectors: KnownVectors | None = None,
    needs_vectors: bool = True,
    text_columns: Sequence[str] | None = None,
    max_dimension: int = MAX_DIMENSION,
    bounds: Bounds | None = None,
    temporary: Path | None = None,
    options: OptionNames = COMMAND,
    numbered: bool = False,
    delimiter: str | None = None,
    makes_ids: bool = False,
    encoding: str | None = None,
    names: Mapping[Path, str] | None = None,
) -> Source:
    """Open a file of documents, or several files as one.

    Parameters
    ----------
    path : path, str or sequence of paths
        A folder, a pattern such as `data/*.parquet`, and several paths are read as one table; `SourceInfo.shards` lists
        the files, and errors name the file and the row in it.
    format : str, optional
        The format; None infers it from the suffix.
    id_column : str, optional
        The column of ids; else a column `document_id`, `id` or `_id`, else rows are numbered. "none" numbers the rows,
        unless there is a column of that name.
    vector_columns : sequence or mapping, optional
        Names of columns, or names of vectors and their columns; else the only column of vectors, or the one called
        embedding or vector.
    sidecar : path, optional
        The table with ids and attributes of a `.npy` file; else a file of the same stem beside it.
    label : str, optional
        Names the file in errors.
    known_vectors : mapping of str to int, optional
        Dimensions by name: columns of lists with one of these names are that vector, unless `vector_columns` says
        otherwise.
    needs_vectors : bool
        Whether a file without vectors is an error.
    text_columns : sequence of str, optional
        Columns whose text stands in for vectors, so that a file without vectors is no error; empty takes any that hold
        text of several words.
    max_dimension : int
        The largest dimension of a vector.
    bounds : Bounds, optional
        Limits on the expanded size; None derives them from the memory of this machine.
    temporary : path, optional
        Folder for decompressed or re-encoded copies, which live as long as the source; None takes the system's.
    options : OptionNames
        How the caller spells the options that remedies mention.
    numbered : bool
        Whether to number the rows, whatever columns there are.
    delimiter : str, optional
        Separates the columns of delimited text; None detects it.
    makes_ids : bool
        Whether rows without ids get globally unique ones instead of numbers.
    encoding : str, optional
        The encoding of text; None for UTF-8, and for UTF-16 or UTF-32 with a byte order mark.
    names : mapping, optional
        The addresses of folders that hold downloaded files.

    Raises
    ------
    InvalidField
        With a remedy, for anything wrong with the file.
    TooLarge
        Where it expands too far.
    """
    path = Path(path) if isinstance(path, str) else path if isinstance(path, Path) or len(path) > 1 else path[0]
    label = label or display_name(path)
    bounds = bounds or Bounds.in_memory()
    request = ReadRequest(
        label=label,
        id_column=id_column,
        vectors=vector_columns,
        known_vectors=known_vectors or {},
        needs_vectors=needs_vectors,
        reads_texts=text_columns is not None,
        text_columns=text_columns or (),
        max_dimension=max_dimension,
        bounds=bounds,
        option_names=options,
        number_rows=numbered,
        delimiter=delimiter,
        format=format,
        encoding=encoding,
    )
    files = (
        [path] if isinstance(path, Path) and not is_multiple(path) else _shard_paths(path, label, format, names or {})
    )
    files = files if sidecar is None else [*files, Path(sidecar)]
    request = replace(
        request, stamps=stamp_files(files), make_ids=GeneratedIds(files) if makes_ids else request.make_ids
    )
    if not isinstance(path, Path) or is_multiple(path):
        return _open_shards(path, format, sidecar, request, temporary, names or {})
    sidecar_path = find_sidecar(path, format, sidecar)
    with translate_errors(label):
        text = PlainText(path, label, format, encoding if sidecar_path is None else None, bounds, temporary)
    if text.is_packed:  # the expanded size is limited by the size of the archive
        request = replace(request, bounds=replace(bounds, most_bytes=bounds.max_expanded_bytes(path.stat().st_size)))
    try:
        kind = detect_format(text.path, label, text.format or format_from_name(path))
        source = _build_source(text.path, kind, sidecar_path, request, temporary)
    except BaseException:
        text.close()
        raise
    weakref.finalize(source, text.close)
    return source


def _shard_paths(path: Files, label: str, format: str | None, names: Mapping[Path, str]) -> list[Path]:
    return [shard.path for shard in find_shards(path, label, format, names)]


def _open_shards(
    path: Files,
    format: str | None,
    sidecar: Path | str | None,
    request: ReadRequest,
    temporary: Path | None,
    names: Mapping[Path, str],
) -> Source:
    """Open all files of a folder or a pattern, which have one format, as one table."""
    if sidecar is not None:
        raise sidecar_error(sidecar)
    shards = find_shards(path, request.label, format, names)
    kind = format_from_name(shards[0].path, format)
    with translate_errors(request.label):
        if kind in ("json", "jsonl"):
            records = JsonShards(shards, request, temporary)
            with name_shard_in_errors(request.label, records.shards):
                size = sum(shard.path.stat().st_size for shard in shards)
                return Source(JsonReader.from_shards(records, size, request), kind, request)
        if kind in ("csv", "tsv"):
            texts = CsvShards(shards, request, temporary)
            with name_shard_in_errors(request.label, texts.shards):
                return Source(TableReader(texts, request), kind, request)
    rows = ShardRows(shards, request.label, request.bounds)
    with translate_errors(request.label), name_shard_in_errors(request.label, rows.shards):
        return Source(TableReader(rows, request), "parquet", request)


def _build_source(
    path: Path, kind: Format, sidecar: Path | None, request: ReadRequest, temporary: Path | None
) -> Source:
    with translate_errors(request.label):
        if kind == "npy":
            return Source(open_array_reader(path, sidecar, request, temporary), kind, request)
        return Source(open_reader(path, kind, request), kind, request)


def _try_json(column: pa.Array) -> None:
    batch_to_json(pa.RecordBatch.from_arrays([column], ["value"]), str, byo=False)
