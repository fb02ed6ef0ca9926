"""Converts in-memory tables (pandas, polars, Arrow, mappings, records) to Arrow columns.

None of these libraries is required: their tables are recognized only where they are imported.
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
from shoal.library.input.conversion import to_column
from shoal.scalars import format_cell, is_missing, replace_surrogates, unwrap

if TYPE_CHECKING:
    import pyarrow.dataset as pads

__all__ = ["Frame", "is_pandas", "is_polars", "read_frame"]

_SAMPLE: Final = 100


@dataclass(frozen=True, slots=True)
class Frame:
    """The columns of a table in memory.

    Attributes
    ----------
    table : Table or Dataset
        The columns, in row order.
    index : object or None
        The index of a pandas data frame.
    levels : sequence of str
        The columns that are levels of that index.
    unreadable : mapping of str to str
        Columns that Arrow cannot represent, and the type of their values.
    """

    table: "pa.Table | pads.Dataset"
    index: object = None
    levels: Sequence[str] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The names of the readable columns."""
        return [str(name) for name in self.table.schema.names]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.table.num_rows if isinstance(self.table, pa.Table) else self.table.count_rows())


def read_frame(data: object, name: str = "data") -> Frame | None:
    """Return the columns of a table; None for what has none, such as an array or a single column.

    Parameters
    ----------
    data : object
        A pandas or polars data frame, a polars lazy frame (which is collected), an Arrow table, batch, reader or
        dataset, a Hugging Face dataset, anything else with `__arrow_c_stream__` of several columns (DuckDB, Ibis), a
        mapping of columns by name, or a list of records.
    name : str
        The name of the argument, in errors.

    Raises
    ------
    InvalidField
        For column names on several levels, duplicate names, and columns of different lengths.
    """
    frame = _convert(data, name)
    if frame is None:
        return None
    check_names(frame.columns, name)
    if frame.unreadable and not frame.columns:
        column, kind = next(iter(frame.unreadable.items()))
        remedy = "Use lists, arrays, numbers or text."
        raise InvalidField(name, f"has no column that can be read: {column!r} holds {kind}", remedy=remedy)
    return frame


def is_pandas(data: object, kind: str = "DataFrame") -> bool:
    """Return whether this is a pandas data frame, or another `kind` of pandas object."""
    return _is_a(data, "pandas", kind)


def is_polars(data: object, kind: str = "DataFrame") -> bool:
    """Return whether this is a polars data frame, or another `kind` of polars object."""
    return _is_a(data, "polars", kind)


def _is_a(data: object, library: str, kind: str) -> bool:
    module = sys.modules.get(library)
    return module is not None and isinstance(data, getattr(module, kind, ()))


def _convert(data: Any, name: str) -> Frame | None:
    if is_pandas(data):
        return _from_pandas(data, name)
    if is_polars(data, "LazyFrame"):
        return _from_polars(data.collect())
    if is_polars(data):
        return _from_polars(data)
    if isinstance(data, pa.Table) or _is_a(data, "pyarrow.dataset", "Dataset"):
        return Frame(data)
    if _is_a(data, "datasets", "Dataset"):  # Hugging Face's, with Arrow behind its own interface
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
    """Read a table of another library through Arrow's C stream interface: DuckDB, Ibis, datasets, another Arrow."""
    if isinstance(data, (pa.Array, pa.ChunkedArray)) or not hasattr(data, "__arrow_c_stream__"):
        return None
    if is_pandas(data, "Series") or is_polars(data, "Series"):
        return None
    try:
        return Frame(pa.table(data))
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError):  # a stream of a single column
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
        converted = _convert_series(series)
        if converted is None:
            unreadable[column] = _describe_type(series)
        else:
            columns[column] = converted
    levels: list[str] = []
    for level, values in _find_named_levels(data.index):
        converted = _convert_series(values.to_series()) if level not in names else None
        if converted is not None:
            columns[level] = converted
            levels.append(level)
    return Frame(pa.table(columns), data.index, levels, unreadable)


def _find_named_levels(index: Any) -> list[tuple[str, Any]]:
    """Return the index levels that have a name: they can be used like columns."""
    levels = [index] if index.nlevels == 1 else [index.get_level_values(level) for level in range(index.nlevels)]
    return [(str(level.name), level) for level in levels if level.name is not None]


def _convert_series(series: Any) -> pa.Array | pa.ChunkedArray | None:
    """Convert a series; None where Arrow cannot represent the values."""
    if hasattr(series, "sparse"):
        series = series.sparse.to_dense()
    try:
        return pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _convert_objects(series) if series.dtype == object else None


def _convert_objects(values: Iterable[object]) -> pa.Array | None:
    """Convert objects one by one: vectors of any library, or text among numbers, as spreadsheets hold it."""
    rows = [None if is_missing(value) else unwrap(value) for value in values]
    present = [row for row in rows if row is not None]
    if all(isinstance(row, (str, int, float)) for row in present):
        cells = [None if row is None else replace_surrogates(format_cell(row)) for row in rows]
        return pa.array(cells, pa.large_string())
    try:
        return pa.array([None if row is None else _flatten_row(row) for row in rows])
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None


def _flatten_row(value: object) -> NDArray[Any]:
    """Convert a vector of any numeric type, also as a table of one row."""
    row = np.asarray(value)
    row = row.ravel() if row.ndim == 2 and 1 in row.shape else row
    return row.astype(np.float64) if row.dtype.kind in "fiu" else row


def _describe_type(values: Any) -> str:
    """Describe the type of the first value."""
    value = next((value for value in list(values[:_SAMPLE]) if not is_missing(value)), None)
    return str(getattr(values, "dtype", "object")) if value is None else f"values of type {type(value).__name__}"


# ── polars, columns, records ─────────────────────────────────────────────────────────────────────────────────────────


def _from_polars(data: Any) -> Frame:
    # Python objects would be converted to the bytes of their addresses.
    objects = [name for name, kind in data.schema.items() if kind.is_object()] if data.width else []
    converted: dict[str, pa.Array] = {}
    unreadable: dict[str, str] = {}
    for name in objects:
        column = _convert_objects(data[name].to_list())
        if column is None:
            unreadable[name] = "objects of Python"
        else:
            converted[name] = column
    table = pa.table(data.drop(objects))
    for name, column in converted.items():
        table = table.append_column(name, column)
    return Frame(table, None, (), unreadable)


def _from_columns(columns: Mapping[Any, object], name: str) -> pa.Table:
    converted = {str(key): to_column(f"{name}[{key!r}]", values) for key, values in columns.items()}
    lengths = {key: len(column) for key, column in converted.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{key} {length:,}" for key, length in lengths.items())
        raise InvalidField(name, f"has columns of different lengths: {shown}", remedy="Give one value per row.")
    return pa.table(converted)


def _from_records(records: Sequence[object], name: str) -> pa.Table:
    wrong = next((row for row, record in enumerate(records) if not isinstance(record, Mapping)), None)
    if wrong is not None:
        raise InvalidField(f"{name}[{wrong}]", f"is a {type(records[wrong]).__name__}, not a record as the others are")
    rows = cast("Sequence[Mapping[str, object]]", records)
    keys = dict.fromkeys(str(key) for record in rows for key in record)
    return _from_columns({key: [record.get(key) for record in rows] for key in keys}, name)
