"""Tables that callers hold in memory, made into Arrow columns: of pandas, polars and Arrow, mappings and records.

None of these libraries is needed: a table of theirs is recognised only where they were imported.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.errors import InvalidField
from shoal.files.columnar.tables import check_names
from shoal.library.input.inputs import column_of
from shoal.scalars import format_cell, is_missing, unwrap

if TYPE_CHECKING:
    import pyarrow.dataset as pads

__all__ = ["Frame", "frame_of", "is_pandas", "is_polars"]

_SAMPLE: Final = 100


@dataclass(frozen=True, slots=True)
class Frame:
    """The columns of a table in memory.

    Attributes
    ----------
    table : Table or Dataset
        The columns, in the order of the caller's rows.
    index : object or None
        The index of a pandas data frame.
    levels : sequence of str
        The columns that are levels of that index.
    unreadable : mapping of str to str
        Columns that Arrow has no form for, and the type of what they hold.
    """

    table: "pa.Table | pads.Dataset"
    index: object = None
    levels: Sequence[str] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The names of the columns that can be read."""
        return [str(name) for name in self.table.schema.names]

    @property
    def rows(self) -> int:
        """How many there are."""
        return int(self.table.num_rows if isinstance(self.table, pa.Table) else self.table.count_rows())


def frame_of(data: object, name: str = "data") -> Frame | None:
    """The columns of a table; None for what has none, such as an array or one column.

    Parameters
    ----------
    data : object
        A pandas or polars data frame, a polars lazy frame (which is collected), an Arrow table, batch, reader or data
        set, a data set of Hugging Face, anything else with `__arrow_c_stream__` of several columns (DuckDB, Ibis), a
        mapping of columns by name, or a list of records.
    name : str
        What the argument is called, in errors.

    Raises
    ------
    InvalidField
        For columns with names on several levels, two columns of one name, and columns of different lengths.
    """
    found = _frame(data, name)
    if found is None:
        return None
    check_names(found.columns, name)
    if found.unreadable and not found.columns:
        column, kind = next(iter(found.unreadable.items()))
        remedy = "Use lists, arrays, numbers or text."
        raise InvalidField(name, f"has no column that can be read: {column!r} holds {kind}", remedy=remedy)
    return found


def is_pandas(data: object, kind: str = "DataFrame") -> bool:
    """Whether this is a data frame of pandas, or another `kind` of its classes."""
    return _is_a(data, "pandas", kind)


def is_polars(data: object, kind: str = "DataFrame") -> bool:
    """Whether this is a data frame of polars, or another `kind` of its classes."""
    return _is_a(data, "polars", kind)


def _is_a(data: object, library: str, kind: str) -> bool:
    module = sys.modules.get(library)
    return module is not None and isinstance(data, getattr(module, kind, ()))


def _frame(data: Any, name: str) -> Frame | None:
    if is_pandas(data):
        return _from_pandas(data, name)
    if is_polars(data, "LazyFrame"):
        return _from_polars(data.collect())
    if is_polars(data):
        return _from_polars(data)
    if isinstance(data, pa.Table) or _is_a(data, "pyarrow.dataset", "Dataset"):
        return Frame(data)
    if _is_a(data, "datasets", "Dataset"):  # of Hugging Face, which speaks Arrow under another name
        return Frame(data.with_format("arrow")[:])
    if isinstance(data, pa.RecordBatch):
        return Frame(pa.Table.from_batches([data]))
    if isinstance(data, pa.RecordBatchReader):
        return Frame(data.read_all())
    if isinstance(data, Mapping):
        return Frame(_from_columns(data, name))
    if isinstance(data, Sequence) and len(data) and isinstance(data[0], Mapping):
        return Frame(_from_records(data, name))
    return _from_stream(data)


def _from_stream(data: Any) -> Frame | None:
    """A table of another library that speaks Arrow's C interface: DuckDB, Ibis, datasets, a foreign Arrow."""
    if isinstance(data, (pa.Array, pa.ChunkedArray)) or not hasattr(data, "__arrow_c_stream__"):
        return None
    if is_pandas(data, "Series") or is_polars(data, "Series"):
        return None
    try:
        return Frame(pa.table(data))
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError):  # a stream of one column, not of a table
        return None


# ── pandas ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _from_pandas(data: Any, name: str) -> Frame:
    if data.columns.nlevels > 1:
        problem = f"has column names on {data.columns.nlevels} levels"
        raise InvalidField(name, problem, remedy='Join them: df.columns = ["_".join(map(str, c)) for c in df.columns].')
    names = [str(column) for column in data.columns]
    check_names(names, name)
    columns: dict[str, pa.Array] = {}
    unreadable: dict[str, str] = {}
    for place, column in enumerate(names):
        series = data.iloc[:, place]
        made = _pandas_column(series)
        if made is None:
            unreadable[column] = _kind_in(series)
        else:
            columns[column] = made
    levels: list[str] = []
    for level, values in _levels(data.index):
        made = _pandas_column(values.to_series()) if level not in names else None
        if made is not None:
            columns[level] = made
            levels.append(level)
    return Frame(pa.table(columns), data.index, levels, unreadable)


def _levels(index: Any) -> list[tuple[str, Any]]:
    """The levels of an index that have a name: they can be named like columns."""
    levels = [index] if index.nlevels == 1 else [index.get_level_values(level) for level in range(index.nlevels)]
    return [(str(level.name), level) for level in levels if level.name is not None]


def _pandas_column(series: Any) -> pa.Array | pa.ChunkedArray | None:
    """None where Arrow has no form for the values."""
    if hasattr(series, "sparse"):
        series = series.sparse.to_dense()
    try:
        return pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _column_of_objects(series) if series.dtype == object else None


def _column_of_objects(values: Iterable[object]) -> pa.Array | None:
    """Objects one by one: vectors of any library, or text among numbers, as spreadsheets hold it."""
    rows = [None if is_missing(value) else unwrap(value) for value in values]
    there = [row for row in rows if row is not None]
    if all(isinstance(row, (str, int, float)) for row in there):
        return pa.array([None if row is None else format_cell(row) for row in rows], pa.large_string())
    try:
        return pa.array([None if row is None else _one_row(row) for row in rows])
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None


def _one_row(value: object) -> NDArray[Any]:
    """A vector of any type of numbers, also as a table of one row."""
    row = np.asarray(value)
    row = row.ravel() if row.ndim == 2 and 1 in row.shape else row
    return row.astype(np.float64) if row.dtype.kind in "fiu" else row


def _kind_in(values: Any) -> str:
    """The type of the first value there is."""
    held = next((value for value in list(values[:_SAMPLE]) if not is_missing(value)), None)
    return str(getattr(values, "dtype", "object")) if held is None else f"values of type {type(held).__name__}"


# ── polars, columns, records ─────────────────────────────────────────────────────────────────────────────────────────


def _from_polars(data: Any) -> Frame:
    # Objects of Python would come as the bytes of their addresses.
    objects = [name for name, kind in data.schema.items() if kind.is_object()] if data.width else []
    made: dict[str, pa.Array] = {}
    unreadable: dict[str, str] = {}
    for name in objects:
        column = _column_of_objects(data[name].to_list())
        if column is None:
            unreadable[name] = "objects of Python"
        else:
            made[name] = column
    table = pa.table(data.drop(objects))
    for name, column in made.items():
        table = table.append_column(name, column)
    return Frame(table, None, (), unreadable)


def _from_columns(columns: Mapping[Any, object], name: str) -> pa.Table:
    made = {str(key): column_of(f"{name}[{key!r}]", values) for key, values in columns.items()}
    lengths = {key: len(column) for key, column in made.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{key} {length:,}" for key, length in lengths.items())
        raise InvalidField(name, f"has columns of different lengths: {shown}", remedy="Give one value a row.")
    return pa.table(made)


def _from_records(records: Sequence[object], name: str) -> pa.Table:
    wrong = next((row for row, record in enumerate(records) if not isinstance(record, Mapping)), None)
    if wrong is not None:
        raise InvalidField(f"{name}[{wrong}]", f"is a {type(records[wrong]).__name__}, not a record as the others are")
    rows = cast("Sequence[Mapping[str, object]]", records)
    keys = dict.fromkeys(str(key) for record in rows for key in record)
    return _from_columns({key: [record.get(key) for record in rows] for key in keys}, name)
