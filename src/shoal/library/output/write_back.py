"""Writes the caller's file again, row by row, with the cluster of each row."""

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
from shoal.durable import atomic_write_after_cleanup
from shoal.engine.plan import Progress, ignore_progress
from shoal.errors import Conflict, InvalidField
from shoal.files import Source
from shoal.files.columnar.row_writers import RowWriter, open_writer, parse_output_format, to_json_numbers
from shoal.files.csv_text.decimal_mark import detect_decimal_mark
from shoal.files.layout import COMMAND, PYTHON, OptionNames
from shoal.files.originals import Originals, to_batches
from shoal.files.paths.stamps import find_changed_files
from shoal.library.input.document_ids import DocumentIds
from shoal.library.input.member_columns import find_columns
from shoal.library.output.earlier_output import PREFIX, RESULT_COLUMNS, is_earlier_output
from shoal.library.output.write_targets import check_target
from shoal.records.clusters.ids import NOISE_ID, is_cluster_id

__all__ = ["RESULT_COLUMNS", "FileRows", "check_replaceable", "write_back"]

_REQUIRED: Final = RESULT_COLUMNS[:3]
"""A file that has all of these was written by Shoal, if it holds valid cluster ids."""
_RETRY: Final = "Run the command again once nothing writes to the file."
_ROWS: Final = 8192
_FORMULA: Final = tuple("=+-@\t\r")
"""First characters of a cell that spreadsheets interpret as a formula."""


class ClusteredRows(Protocol):
    """The part of a clustering of n documents that is written; see `shoal.Clustering`."""

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


def check_replaceable(path: Path, source: Source, options: OptionNames = COMMAND) -> None:
    """Check that an existing file of clustered rows has no other columns than this source.

    Columns added since, and those of other rows, would be lost. Raises Conflict.
    """
    if not path.exists():
        return
    first = next(iter(source.originals(_ROWS)))
    nameless = {""} if source.info.nameless else set()
    if not is_earlier_output(path, {*_column_names(first), *source.info.original_columns, *nameless}):
        raise Conflict(
            f"{options.write}: {path} exists already, with columns that the rows to be written do not have. Choose "
            f"another name, or {options.overwrite}."
        )


@dataclass(frozen=True, slots=True)
class FileRows:
    """The rows of a clustering: in the `opened` file, of `total` rows, at `rows` (n,)."""

    opened: Source
    rows: Rows
    total: int

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as None: a pickle cannot hold an open file."""
        return _no_file, ()


def _no_file() -> None:
    return None


def write_clustered(
    clustering: ClusteredRows, path: Path, *, without: Sequence[str], overwrite: bool, progress: Progress
) -> Path:
    """Write the file of a clustering again; see `Clustering.write`."""
    file = clustering.file_rows
    if file is None:
        remedy = "Cluster a file or a data frame, or join clustering.to_pandas() to your rows."
        raise InvalidField("clustering", "holds no rows to write back", remedy=remedy)
    left_out = find_columns(file.opened, [without] if isinstance(without, str) else without, "without")
    check_target(path, list(file.opened.stamps), overwrite=overwrite, options=PYTHON)
    if not overwrite:
        check_replaceable(path, file.opened, PYTHON)
    write_back(file.opened, clustering, file.rows, file.total, path, progress, without=left_out)
    return path


def write_back(
    source: Source,
    clustering: ClusteredRows,
    rows: Rows,
    total: int,
    path: Path,
    progress: Progress = ignore_progress,
    *,
    without: Sequence[str] = (),
) -> list[str]:
    """Write every row and column of a file, and the cluster of each row, atomically.

    Parameters
    ----------
    source
        The file, which has `total` rows.
    clustering
        The clustering of the documents in its `rows` (n,), ascending. Other rows get nulls.
    rows
        The row numbers of the clustered documents.
    total
        The number of rows of the file.
    path
        The destination; its suffix selects the format.
    progress
        Called with "write_back" and the fraction done.
    without
        Columns of the file to leave out.

    Returns
    -------
    list of str
        Notes on columns of the file that have the names of results.

    Raises
    ------
    InvalidField
        For a file that was modified after it was clustered.
    OSError
        Where writing fails; nothing is left behind.
    """
    _check_unchanged(source, path)
    kind = parse_output_format(path)
    separated = kind in ("csv", "tsv")

    def originals() -> Originals:
        return source.originals(_ROWS, as_text=separated)

    first = next(iter(originals()))
    names, dropped, notes = _choose_names(first)
    dropped |= frozenset(without)
    results = _ResultColumns(clustering, rows, total, names, guarded=separated)
    try:
        with atomic_write_after_cleanup(path.resolve()) as file:
            with suppress(FileNotFoundError):  # keep the permissions of the file it replaces
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
            if isinstance(first, pa.RecordBatch) or kind not in ("json", "jsonl"):
                schema, batches = to_batches(originals)
                id_type = None if separated or source.info.delimiter is None else clustering.document_ids.type
                kept_fields = [
                    field.with_type(id_type) if id_type is not None and field.name == source.info.id_column else field
                    for field in schema
                    if field.name not in dropped
                ]
                nameless = source.info.nameless if separated else ()
                output_fields = [field.with_name("") if field.name in nameless else field for field in kept_fields]
                whole = pa.schema([*output_fields, *results.schema], metadata=schema.metadata)
                delimiter = source.info.delimiter or ","
                uses_decimal_comma = separated and delimiter != "," and isinstance(first, pa.RecordBatch)
                writer = open_writer(
                    file, path, whole, delimiter, detect_decimal_mark(first) if uses_decimal_comma else "."
                )
                parts = (
                    _append_results(batch, results, first, whole, kept_fields)
                    for batch, first in _enumerate_rows(batches)
                )
                write: Callable[[Any], None] = writer.write
            else:
                writer = open_writer(file, path, results.schema)
                objects = (
                    _merge_results(part, results, first, dropped) for part, first in _enumerate_rows(originals())
                )
                parts, write = objects, writer.write_objects
            with _closing(writer):
                _write_parts(parts, write, total, progress)
                if results.rows_written != total:
                    problem = f"has {results.rows_written:,} rows, and had {total:,} when it was read"
                    raise InvalidField(path.name, problem, remedy=_RETRY)
                _check_unchanged(source, path)
    except OSError as error:  # name the requested file, not the temporary one
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    return notes


def _check_unchanged(source: Source, path: Path) -> None:
    """Raise InvalidField where a file was modified after it was opened: its rows may differ."""
    changed = find_changed_files(source.stamps)
    if changed:
        problem = f"was not written: {changed[0].name} was modified after it was read"
        raise InvalidField(path.name, problem, remedy=_RETRY)


@contextmanager
def _closing(writer: RowWriter) -> Iterator[None]:
    """Close the writer after the block, or abandon it where the block fails."""
    try:
        yield
        writer.close()
    except BaseException:
        writer.abandon()
        raise


class _ResultColumns:
    """The result columns for any range of rows of the file."""

    def __init__(
        self, clustering: ClusteredRows, rows: Rows, total: int, names: Mapping[str, str], *, guarded: bool
    ) -> None:
        self._place = np.full(total, -1, np.int32)
        self._place[rows] = np.arange(len(rows), dtype=np.int32)
        self._clustering = clustering
        labels = [cluster.label for cluster in clustering.clusters]
        self._ids = pa.array([*(cluster.cluster_id for cluster in clustering.clusters), NOISE_ID], pa.string())
        self._labels = pa.array(
            [*(_escape_formula(label) if guarded else label for label in labels), None], pa.string()
        )
        kinds = [pa.string(), pa.string(), pa.float32(), pa.float32(), pa.float32()]
        count = 3 if clustering.coordinates is None else 5
        self._names = [names[name] for name in RESULT_COLUMNS[:count]]
        self.schema: pa.Schema = pa.schema(list(zip(self._names, kinds, strict=False)))
        self.rows_written = 0

    def build_columns(self, first: int, count: int) -> list[pa.Array]:
        """Return the columns for the rows from `first` on, null where a row was not clustered."""
        self.rows_written = first + count
        place = self._place[first : first + count]
        if len(place) < count:  # there are more rows now: reported at the end
            place = np.concatenate([place, np.full(count - len(place), -1, np.int32)])
        unclustered = place < 0
        labels = self._clustering.labels[place]
        indices = pa.array(np.where(labels < 0, len(self._ids) - 1, labels), pa.int32(), mask=unclustered)
        numbers: list[NDArray[np.float32]] = [self._clustering.strengths[place]]
        if self._clustering.coordinates is not None:
            numbers += [np.ascontiguousarray(axis) for axis in self._clustering.coordinates[place, :2].T]
        return [
            self._ids.take(indices),
            self._labels.take(indices),
            *(pa.array(values, mask=unclustered) for values in numbers),
        ]

    def build_objects(self, first: int, count: int) -> list[dict[str, Any]]:
        """As `build_columns`, as JSON objects."""
        columns = [to_json_numbers(column) for column in self.build_columns(first, count)]
        return [dict(zip(self.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _enumerate_rows(parts: Iterator[Any]) -> Iterator[tuple[Any, int]]:
    first = 0
    for part in parts:
        yield part, first
        first += len(part)


def _append_results(
    batch: pa.RecordBatch, results: _ResultColumns, first: int, schema: pa.Schema, fields: Sequence[pa.Field]
) -> pa.RecordBatch:
    columns = [batch.column(field.name).cast(field.type) for field in fields]
    return pa.RecordBatch.from_arrays([*columns, *results.build_columns(first, len(batch))], schema=schema)


def _merge_results(
    rows: Sequence[Mapping[str, Any]], results: _ResultColumns, first: int, dropped: frozenset[str]
) -> list[dict[str, Any]]:
    results_rows = results.build_objects(first, len(rows))
    return [
        {name: value for name, value in row.items() if name not in dropped} | result
        for row, result in zip(rows, results_rows, strict=True)
    ]


def _write_parts(parts: Iterator[Any], write: Callable[[Any], None], total: int, progress: Progress) -> None:
    done = 0
    for part in parts:
        write(part)
        done += len(part)
        progress("write_back", min(done / max(total, 1), 1.0))


def _choose_names(
    first: pa.RecordBatch | Sequence[Mapping[str, Any]],
) -> tuple[dict[str, str], frozenset[str], list[str]]:
    """Choose the names of the result columns; return also the columns they replace, and notes."""
    existing = _column_names(first)
    is_rerun = _has_results(first, existing)
    names, dropped, own = dict[str, str](), set[str](), list[str]()
    for name in RESULT_COLUMNS:
        prefixed = f"{PREFIX}{name}"
        is_callers = name in existing and not is_rerun
        names[name] = prefixed if is_callers or (is_rerun and prefixed in existing) else name
        if names[name] in existing:
            dropped.add(names[name])
        elif name in existing:
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


def _column_names(first: pa.RecordBatch | Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the column names of these rows."""
    if isinstance(first, pa.RecordBatch):
        return list(first.schema.names)
    return list({name: 0 for row in first for name in row})


def _has_results(first: pa.RecordBatch | Sequence[Mapping[str, Any]], existing: Sequence[str]) -> bool:
    """Return whether these rows hold earlier results: the columns, with Shoal's cluster ids in them."""
    names = [name if name in existing else f"{PREFIX}{name}" for name in _REQUIRED]
    prefixed = f"{PREFIX}{_REQUIRED[0]}"
    id = prefixed if prefixed in existing else _REQUIRED[0]
    if not set(names) <= set(existing):
        return False
    values = first.column(id).to_pylist() if isinstance(first, pa.RecordBatch) else [row.get(id) for row in first]
    return all(value is None or (isinstance(value, str) and is_cluster_id(value)) for value in values)


def _escape_formula(label: str) -> str:
    """Escape a label that spreadsheets would interpret as a formula."""
    return f"'{label}" if label.startswith(_FORMULA) else label
