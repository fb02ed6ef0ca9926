"""Parses arguments for vectors, texts and ids: columns of a table by name, or values, one per row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shoal.columns import Rows
from shoal.errors import InvalidField
from shoal.files.columnar.dimension_columns import find_groups
from shoal.files.columnar.vector_forms import is_number
from shoal.files.ids.ids import ID_COLUMNS, NO_COLUMN
from shoal.files.in_memory import open_table
from shoal.files.layout import find_close_names
from shoal.library.input.conversion import rename_field_in_errors, split_points
from shoal.library.input.frames import Frame, is_pandas, is_polars, read_frame
from shoal.precision import Split
from shoal.records.queries.fields import key_paths
from shoal.scalars import is_missing
from shoal.tables import is_text

__all__ = [
    "Argument",
    "check_columns",
    "check_count",
    "find_texts",
    "find_vectors",
    "missing_vectors_error",
    "parse_argument",
    "rename_series",
    "series_to_frame",
    "split_frame",
    "split_vectors",
    "suggest_columns",
]

_SAMPLE: Final = 1024
_MAX_SHOWN: Final = 30
_FEWEST_DIMENSIONS: Final = 8
"""Columns of numbers beside a column of text that count as a vector without being named."""
_DEFAULT_NAME: Final = "vector"
"""The name of a single column of vectors without a name."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A parsed argument: `columns` by name, or `values`, one per row. Both are None where it was not given."""

    columns: tuple[str, ...] | None = None
    values: Any = None


def split_vectors(vectors: object, vector: str | Sequence[str] | None = None, *, name: str = "vectors") -> Split:
    """Return the vectors of an array or a table, each row of which has to have one.

    Parameters
    ----------
    vectors : array, sequence, column or table
        As `shoal.cluster` takes them.
    vector : str or sequence of str, optional
        The column of a table, or the columns that hold a dimension each.
    name : str
        The name of the argument, in errors.

    Returns
    -------
    Split
        (n, d) float32, and the rounding residuals.

    Raises
    ------
    InvalidField
        Naming the row of a vector that is missing or malformed, and for a table whose vectors are ambiguous.
    """
    frame = series_to_frame(vectors) or read_frame(vectors, name)
    if frame is None:
        if vector is not None:
            raise InvalidField("vector", "names a column, and the data have none", value=vector)
        with rename_field_in_errors("vectors", name):
            return split_points(vectors)
    return split_frame(frame, vector, name)


def split_frame(frame: Frame, vector: str | Sequence[str] | None, name: str) -> Split:
    """As `split_vectors`, from the columns of a table."""
    columns = parse_argument("vector", vector, frame).columns
    vectors = find_vectors(frame, columns, used=())
    if vectors is not None:
        return vectors
    source = open_table(frame.table, name, vector_columns=columns)
    table = source.read()
    ((column, points),) = table.vectors.items()
    if table.missing:
        raise missing_vectors_error(name, column, table.rows, table.missing)
    return Split(points, table.rests.get(column))


def missing_vectors_error(name: str, column: str, rows: Rows, count: int) -> InvalidField:
    """Build the error about rows of a table without a vector; `rows` (m,) are those that have one."""
    gaps = np.flatnonzero(rows != np.arange(len(rows)))
    first = int(gaps[0]) if len(gaps) else len(rows)
    many = "1 row has" if count == 1 else f"{count:,} rows have"
    remedy = f'Leave them out: df.dropna(subset=["{column}"]) in pandas, df.drop_nulls("{column}") in polars.'
    return InvalidField(f"{name}: row {first}, column {column!r}", f"has no vector; {many} none", remedy=remedy)


def check_count(name: str, count: int, rows: int, label: str) -> None:
    """Raise InvalidField where the values are not one per row."""
    if count != rows:
        remedy = f"Give one for each of the {rows:,} rows of {label}, in their order."
        raise InvalidField(name, f"has {count:,} values", remedy=remedy)


def series_to_frame(data: object) -> Frame | None:
    """Convert a pandas or polars series to a table of one column, so that it is read like any table."""
    if is_pandas(data, "Series"):
        series: Any = data
        return read_frame(series.to_frame(_DEFAULT_NAME if series.name is None else series.name))
    if is_polars(data, "Series"):
        column: Any = data
        return read_frame(column.to_frame(column.name or _DEFAULT_NAME))
    return None


def rename_series(series: Any, name: str) -> object:
    """Rename a pandas or polars series."""
    return series.rename(name) if is_pandas(series, "Series") else series.alias(name)


def find_texts(data: object) -> list[object] | None:
    """Return texts one by one, some of which may be missing; None for anything else.

    Parameters
    ----------
    data : list, tuple, array of NumPy, Arrow or pandas, column, or object
        Series of pandas and polars included.
    """
    if isinstance(data, (pa.Array, pa.ChunkedArray)):
        return data.to_pylist() if is_text(data.type) and data.null_count < len(data) else None
    sequence: Any = data
    dtype = getattr(data, "dtype", None)
    if dtype is not None and getattr(data, "ndim", 1) != 1:
        return None
    if dtype is None and not isinstance(data, (list, tuple)):
        return None
    if not isinstance(next((value for value in sequence if not is_missing(value)), None), str):
        return None
    values = [None if is_missing(value) else value for value in sequence]
    return values if all(value is None or isinstance(value, str) for value in values) else None


def parse_argument(name: str, argument: object, frame: Frame, *, rows: int | None = None) -> Argument:
    """Parse an argument that refers to a table.

    Parameters
    ----------
    name : str
        The name of the argument.
    argument : None, str, sequence of str, or values
        The name of a column, several names, or one value per row. A list or tuple of text counts as names, unless none
        of it is a column and its length is `rows`.
    frame : Frame
        The table.
    rows : int, optional
        The number of rows of the table.

    Raises
    ------
    InvalidField
        For a column that does not exist, suggesting similar names, and for one that Arrow cannot represent.
    """
    if argument is None:
        return Argument()
    if isinstance(argument, str):
        if name != "id" or argument != NO_COLUMN:  # which numbers the rows
            check_columns(name, [argument], frame)
        return Argument((argument,))
    if (
        not isinstance(argument, (list, tuple))
        or not argument
        or not all(isinstance(column, str) for column in argument)
    ):
        return Argument(values=argument)
    existing = [column for column in argument if _has_column(column, frame)]
    if not existing and len(argument) == rows:
        return Argument(values=argument)
    try:
        check_columns(name, argument, frame)
    except InvalidField as error:
        raise error if existing or rows is None else _neither_error(name, argument, frame, rows) from None
    return Argument(tuple(argument))


def _neither_error(name: str, names: Sequence[str], frame: Frame, rows: int) -> InvalidField:
    """Build the error about a list that is neither names nor values."""
    problem = f"is a list of {len(names):,}, none of which is a column of the data; as values there would be {rows:,}"
    return InvalidField(name, problem, value=names[0], remedy=suggest_columns(names[0], frame.columns))


def find_vectors(
    frame: Frame, columns: Sequence[str] | None, used: Iterable[str], texts: Iterable[str] = ()
) -> Split | None:
    """Return the vectors of a table with one column per dimension and no other columns than the `used` ones.

    A few columns beside `texts` are none: the texts are encoded. None where another rule has to find them. Raises
    InvalidField.
    """
    if columns is not None and len(columns) == 1:
        return None
    names = list(columns or ())
    kinds = {str(field.name): field.type for field in frame.table.schema}
    if columns is None:
        remaining = [name for name in kinds if name not in {*used, *frame.levels, *ID_COLUMNS}]
        if not remaining or not all(is_number(kinds[name]) for name in remaining) or _has_groups(frame, remaining):
            return None
        if len(remaining) < _FEWEST_DIMENSIONS and _holds_text(frame, texts):
            return None
        names = remaining
    for name in names:
        if not is_number(kinds[name]):
            problem = f"names several columns, and column {name!r} holds {kinds[name]}, not numbers"
            raise InvalidField("vector", problem, remedy="Name one column of vectors, or a column for each dimension.")
    return _stack_columns(frame, names)


def _holds_text(frame: Frame, names: Iterable[str]) -> bool:
    return any(is_text(field.type) and field.name in names for field in frame.table.schema)


def _stack_columns(frame: Frame, names: Sequence[str]) -> Split:
    table = frame.table if isinstance(frame.table, pa.Table) else frame.table.to_table(columns=list(names))
    numbers = np.column_stack([table[name].to_numpy() for name in names])
    with rename_field_in_errors("vectors", "data"):
        return split_points(numbers)


def _has_groups(frame: Frame, names: Sequence[str]) -> bool:
    """Return whether only some of these columns are numbered as the dimensions of a vector."""
    head = frame.table.head(_SAMPLE, columns=list(names)) if not isinstance(frame.table, pa.Table) else frame.table
    sample = head.select(list(names)).slice(0, _SAMPLE).combine_chunks().to_batches()
    groups = find_groups(sample[0]) if sample else {}
    return bool(groups) and max(map(len, groups.values())) < len(names)


def check_columns(name: str, columns: Sequence[str], frame: Frame) -> None:
    """Raise InvalidField for a column that does not exist or that Arrow cannot represent; `name` is the argument."""
    for column in columns:
        if column in frame.unreadable:
            remedy = "Make each a list or an array of numbers." if name == "vector" else "Make each of them text."
            problem = f"is a column that holds {frame.unreadable[column]}, which cannot be read"
            raise InvalidField(name, problem, value=column, remedy=remedy)
        if not _has_column(column, frame):
            remedy = suggest_columns(column, frame.columns)
            raise InvalidField(name, "is not a column of the data", value=column, remedy=remedy)


def suggest_columns(name: str, columns: Sequence[str]) -> str:
    """Return the remedy for a column that does not exist: similar names, and all names."""
    similar = find_close_names(name, columns, 2)
    hint = f"Did you mean {' or '.join(map(repr, similar))}? " if similar else ""
    more = f" and {len(columns) - _MAX_SHOWN:,} more" if len(columns) > _MAX_SHOWN else ""
    return f"{hint}The columns are {', '.join(columns[:_MAX_SHOWN])}{more}."


def _has_column(column: str, frame: Frame) -> bool:
    """Return whether a name is a column, a field in one, or the prefix of a group of columns that hold a dimension
    each."""
    columns = set(frame.columns)
    if any(path[0] in columns for path in key_paths(column)):
        return True
    return any(name.startswith(column) and name.removeprefix(column).lstrip("_.- ").isdigit() for name in columns)
