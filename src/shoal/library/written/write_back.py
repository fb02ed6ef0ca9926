"""The caller's file again, row for row, with the clusters beside its own columns."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.analysis.named_clusters import NamedCluster
from shoal.columns import Labels, Rows
from shoal.durable import written_alone
from shoal.engine.plan import Progress, ignore_progress
from shoal.errors import Conflict, InvalidField
from shoal.files import Source
from shoal.files.columnar.row_writers import RowWriter, json_numbers, open_writer, written_format
from shoal.files.csv_text.decimal_mark import decimal_mark
from shoal.files.layout import COMMAND, PYTHON, Options
from shoal.files.originals import Originals, as_batches
from shoal.files.stamps import changed_files
from shoal.library.input.document_ids import DocumentIds
from shoal.library.input.kept_columns import find_kept
from shoal.library.written.earlier_files import PREFIX, RESULT_COLUMNS, is_earlier
from shoal.library.written.write_targets import check_target
from shoal.records.cluster_ids import NOISE_ID, is_cluster_id

__all__ = ["RESULT_COLUMNS", "FileRows", "check_replaced", "write_back"]

_SURE: Final = RESULT_COLUMNS[:3]
"""A file that has all of these was written by Shoal, if its cluster ids are such."""
_QUIET: Final = "Run the command again once nothing writes to it."
_ROWS: Final = 8192
_FORMULA: Final = tuple("=+-@\t\r")
"""What a cell begins with that spreadsheets take for a formula."""


class Clustered(Protocol):
    """What is written of a clustering of n documents; see `shoal.Clustering`."""

    @property
    def clusters(self) -> Sequence[NamedCluster]: ...

    @property
    def labels(self) -> Labels: ...

    @property
    def strengths(self) -> NDArray[np.float32]: ...

    @property
    def coordinates(self) -> NDArray[np.float32] | None: ...

    @property
    def document_ids(self) -> DocumentIds: ...

    @property
    def file_rows(self) -> "FileRows | None": ...


def check_replaced(path: Path, source: Source, options: Options = COMMAND) -> None:
    """Whether a file of clustered rows that is there holds the columns of this source alone.

    Columns that were added to it since, and those of other rows, would be lost. Raises Conflict.
    """
    if not path.exists():
        return
    first = next(iter(source.originals(_ROWS)))
    nameless = {""} if source.info.nameless else set()
    if not is_earlier(path, {*_names_in(first), *source.info.original_columns, *nameless}):
        raise Conflict(
            f"{options.write}: {path} is there already, with columns that the rows to be written do not have. Choose "
            f"another name, or {options.overwrite}."
        )


@dataclass(frozen=True, slots=True)
class FileRows:
    """Where the rows of a clustering stand: in the file that was `opened`, of `total` rows, at `rows` (n,)."""

    opened: Source
    rows: Rows
    total: int

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickle holds no open file, but None in its place."""
        return _no_file, ()


def _no_file() -> None:
    return None


def write_clustered(
    clustering: Clustered, path: Path, *, without: Sequence[str], overwrite: bool, progress: Progress
) -> Path:
    """What `Clustering.write` does; see there."""
    file = clustering.file_rows
    if file is None:
        remedy = "Cluster a file or a data frame, or join clustering.to_pandas() to your rows."
        raise InvalidField("clustering", "holds no rows to write back", remedy=remedy)
    left_out = find_kept(file.opened, [without] if isinstance(without, str) else without, "without")
    check_target(path, list(file.opened.stamps), overwrite=overwrite, options=PYTHON)
    if not overwrite:
        check_replaced(path, file.opened, PYTHON)
    write_back(file.opened, clustering, file.rows, file.total, path, progress, without=left_out)
    return path


def write_back(
    source: Source,
    clustering: Clustered,
    rows: Rows,
    total: int,
    path: Path,
    progress: Progress = ignore_progress,
    *,
    without: Sequence[str] = (),
) -> list[str]:
    """Write every row and column of a file, and the cluster of each row, whole or not at all.

    Parameters
    ----------
    source
        The file, which has `total` rows.
    clustering
        Of the documents that stand in its `rows` (n,), ascending. Other rows get nulls.
    path
        Where to; its ending says the format.
    progress
        Hears "write_back".
    without
        Columns of the file that are left out.

    Returns
    -------
    list of str
        Sentences on columns of the file that have the names of results.

    Raises
    ------
    InvalidField
        For a file that is not what it was when it was clustered.
    OSError
        Where the disk does not take it; nothing is left behind.
    """
    _check_unchanged(source, path)
    kind = written_format(path)
    separated = kind in ("csv", "tsv")

    def originals() -> Originals:
        return source.originals(_ROWS, as_text=separated)

    first = next(iter(originals()))
    names, dropped, notes = _names(first)
    dropped |= frozenset(without)
    results = _Results(clustering, rows, total, names, guarded=separated)
    try:
        with written_alone(path.resolve()) as file:
            with suppress(FileNotFoundError):  # the same may read it as the file that it replaces
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
            if isinstance(first, pa.RecordBatch) or kind not in ("json", "jsonl"):
                schema, batches = as_batches(originals)
                id_type = None if separated or source.info.delimiter is None else clustering.document_ids.type
                kept = [
                    field.with_type(id_type) if id_type is not None and field.name == source.info.id_column else field
                    for field in schema
                    if field.name not in dropped
                ]
                nameless = source.info.nameless if separated else ()
                named = [field.with_name("") if field.name in nameless else field for field in kept]
                whole = pa.schema([*named, *results.schema], metadata=schema.metadata)
                delimiter = source.info.delimiter or ","
                as_commas = separated and delimiter != "," and isinstance(first, pa.RecordBatch)
                writer = open_writer(file, path, whole, delimiter, decimal_mark(first) if as_commas else ".")
                pieces = (_beside(batch, results, first, whole, kept) for batch, first in _counted(batches))
                write: Callable[[Any], None] = writer.write
            else:
                writer = open_writer(file, path, results.schema)
                objects = (_merged(part, results, first, dropped) for part, first in _counted(originals()))
                pieces, write = objects, writer.write_objects
            with _ended(writer):
                _write(pieces, write, total, progress)
                if results.seen != total:
                    problem = f"has {results.seen:,} rows, and had {total:,} when it was read"
                    raise InvalidField(path.name, problem, remedy=_QUIET)
                _check_unchanged(source, path)
    except OSError as error:  # told of the file that was asked for, not of the name it has until it is whole
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    return notes


def _check_unchanged(source: Source, path: Path) -> None:
    """Raises InvalidField where a file was written to after it was opened: its rows may be others."""
    changed = changed_files(source.stamps)
    if changed:
        problem = f"was not written: {changed[0].name} is not as it was when it was read"
        raise InvalidField(path.name, problem, remedy=_QUIET)


@contextmanager
def _ended(writer: RowWriter) -> Iterator[None]:
    """Close the writer after the block, or let go of it where the block fails."""
    try:
        yield
        writer.close()
    except BaseException:
        writer.abandon()
        raise


class _Results:
    """The columns of results for any stretch of the file."""

    def __init__(
        self, clustering: Clustered, rows: Rows, total: int, names: Mapping[str, str], *, guarded: bool
    ) -> None:
        self._place = np.full(total, -1, np.int32)
        self._place[rows] = np.arange(len(rows), dtype=np.int32)
        self._clustering = clustering
        labels = [one.label for one in clustering.clusters]
        self._ids = pa.array([*(one.cluster_id for one in clustering.clusters), NOISE_ID], pa.string())
        self._labels = pa.array([*(_guarded(label) if guarded else label for label in labels), None], pa.string())
        kinds = [pa.string(), pa.string(), pa.float32(), pa.float32(), pa.float32()]
        count = 3 if clustering.coordinates is None else 5
        self._names = [names[name] for name in RESULT_COLUMNS[:count]]
        self.schema: pa.Schema = pa.schema(list(zip(self._names, kinds, strict=False)))
        self.seen = 0

    def columns(self, first: int, count: int) -> list[pa.Array]:
        """Of the rows from `first` on, null where a row was not clustered."""
        self.seen = first + count
        place = self._place[first : first + count]
        if len(place) < count:  # there are more rows now: told of at the end
            place = np.concatenate([place, np.full(count - len(place), -1, np.int32)])
        out = place < 0
        labels = self._clustering.labels[place]
        which = pa.array(np.where(labels < 0, len(self._ids) - 1, labels), pa.int32(), mask=out)
        numbers: list[NDArray[np.float32]] = [self._clustering.strengths[place]]
        if self._clustering.coordinates is not None:
            numbers += [np.ascontiguousarray(axis) for axis in self._clustering.coordinates[place, :2].T]
        return [self._ids.take(which), self._labels.take(which), *(pa.array(one, mask=out) for one in numbers)]

    def objects(self, first: int, count: int) -> list[dict[str, Any]]:
        """The same as JSON objects."""
        columns = [json_numbers(column) for column in self.columns(first, count)]
        return [dict(zip(self.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _counted(parts: Iterator[Any]) -> Iterator[tuple[Any, int]]:
    first = 0
    for part in parts:
        yield part, first
        first += len(part)


def _beside(
    batch: pa.RecordBatch, results: _Results, first: int, schema: pa.Schema, kept: Sequence[pa.Field]
) -> pa.RecordBatch:
    own = [batch.column(field.name).cast(field.type) for field in kept]
    return pa.RecordBatch.from_arrays([*own, *results.columns(first, len(batch))], schema=schema)


def _merged(
    rows: Sequence[Mapping[str, Any]], results: _Results, first: int, dropped: frozenset[str]
) -> list[dict[str, Any]]:
    found = results.objects(first, len(rows))
    return [
        {name: value for name, value in row.items() if name not in dropped} | one
        for row, one in zip(rows, found, strict=True)
    ]


def _write(pieces: Iterator[Any], write: Callable[[Any], None], total: int, progress: Progress) -> None:
    done = 0
    for piece in pieces:
        write(piece)
        done += len(piece)
        progress("write_back", min(done / max(total, 1), 1.0))


def _names(first: pa.RecordBatch | Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], frozenset[str], list[str]]:
    """What the columns of results are called beside these rows, which columns they replace, and what to say of it."""
    there = _names_in(first)
    again = _is_clustered(first, there)
    names, dropped, own = dict[str, str](), set[str](), list[str]()
    for name in RESULT_COLUMNS:
        prefixed = f"{PREFIX}{name}"
        theirs = name in there and not again
        names[name] = prefixed if theirs or (again and prefixed in there) else name
        if names[name] in there:
            dropped.add(names[name])
        elif name in there:
            own.append(name)
    notes = []
    if dropped:
        notes.append(f"The file had the columns of an earlier clustering; they were replaced: {', '.join(dropped)}.")
    if own:
        notes.append(
            f"The file has columns of its own called {', '.join(own)}, which stay; Shoal's are called "
            f"{', '.join(names[name] for name in own)}."
        )
    return names, frozenset(dropped), notes


def _names_in(first: pa.RecordBatch | Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns of these rows."""
    if isinstance(first, pa.RecordBatch):
        return list(first.schema.names)
    return list({name: 0 for row in first for name in row})


def _is_clustered(first: pa.RecordBatch | Sequence[Mapping[str, Any]], there: Sequence[str]) -> bool:
    """Whether these rows were written here before: they have the columns, and cluster ids of Shoal in them."""
    ours = [name if name in there else f"{PREFIX}{name}" for name in _SURE]
    prefixed = f"{PREFIX}{_SURE[0]}"
    id = prefixed if prefixed in there else _SURE[0]
    if not set(ours) <= set(there):
        return False
    values = first.column(id).to_pylist() if isinstance(first, pa.RecordBatch) else [row.get(id) for row in first]
    return all(value is None or (isinstance(value, str) and is_cluster_id(value)) for value in values)


def _guarded(label: str) -> str:
    """The label as a cell that no spreadsheet takes for a formula."""
    return f"'{label}" if label.startswith(_FORMULA) else label
