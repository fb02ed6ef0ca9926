"""What callers hand over as vectors, texts and ids: columns of a table by name, or values of their own, one a row."""

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
from shoal.files.layout import close_names
from shoal.library.input.frames import Frame, frame_of, is_pandas, is_polars
from shoal.library.input.inputs import renamed, split_points
from shoal.precision import Split
from shoal.records.queries.fields import key_paths
from shoal.scalars import is_missing
from shoal.tables import is_text

__all__ = [
    "Named",
    "check_columns",
    "check_count",
    "close_columns",
    "columns_named",
    "missing_vectors",
    "named_series",
    "one_column",
    "split_frame",
    "split_vectors",
    "texts_in",
    "vectors_in",
]

_SAMPLE: Final = 1024
_SHOWN: Final = 30
_SERIES: Final = "vector"
"""What a single column of vectors without a name is called."""


@dataclass(frozen=True, slots=True)
class Named:
    """What one argument says: `columns` by name, or `values`, one a row. Both are None where it says nothing."""

    columns: tuple[str, ...] | None = None
    values: Any = None


def split_vectors(vectors: object, vector: str | Sequence[str] | None = None, *, name: str = "vectors") -> Split:
    """The vectors of an array or a table, each row of which has one.

    Parameters
    ----------
    vectors : array, sequence, column or table
        As `shoal.cluster` takes them.
    vector : str or sequence of str, optional
        The column of a table, or the columns that hold a dimension each.
    name : str
        What the argument is called, in errors.

    Returns
    -------
    Split
        (n, d) float32, and what rounding left.

    Raises
    ------
    InvalidField
        Naming the row of a vector that is missing or broken, and for a table whose vectors are not clear.
    """
    frame = one_column(vectors) or frame_of(vectors, name)
    if frame is None:
        if vector is not None:
            raise InvalidField("vector", "names a column, and the data have none", value=vector)
        with renamed("vectors", name):
            return split_points(vectors)
    return split_frame(frame, vector, name)


def split_frame(frame: Frame, vector: str | Sequence[str] | None, name: str) -> Split:
    """The same of the columns of a table."""
    columns = columns_named("vector", vector, frame).columns
    found = vectors_in(frame, columns, taken=())
    if found is not None:
        return found
    source = open_table(frame.table, name, vector_columns=columns)
    table = source.read()
    ((column, points),) = table.vectors.items()
    if table.missing:
        raise missing_vectors(name, column, table.rows, table.missing)
    return Split(points, table.rests.get(column))


def missing_vectors(name: str, column: str, rows: Rows, count: int) -> InvalidField:
    """The error about rows of a table without a vector; `rows` (m,) are those that have one."""
    gaps = np.flatnonzero(rows != np.arange(len(rows)))
    first = int(gaps[0]) if len(gaps) else len(rows)
    many = "1 row has" if count == 1 else f"{count:,} rows have"
    remedy = f'Leave them out: df.dropna(subset=["{column}"]) in pandas, df.drop_nulls("{column}") in polars.'
    return InvalidField(f"{name}: row {first}, column {column!r}", f"has no vector; {many} none", remedy=remedy)


def check_count(name: str, count: int, rows: int, label: str) -> None:
    """Raises InvalidField where values are not one for each of the rows."""
    if count != rows:
        remedy = f"Give one for each of the {rows:,} rows of {label}, in their order."
        raise InvalidField(name, f"has {count:,} values", remedy=remedy)


def one_column(data: object) -> Frame | None:
    """A column of pandas or polars as a table of one column: what it holds is then read as in any table."""
    if is_pandas(data, "Series"):
        series: Any = data
        return frame_of(series.to_frame(_SERIES if series.name is None else series.name))
    if is_polars(data, "Series"):
        column: Any = data
        return frame_of(column.to_frame(column.name or _SERIES))
    return None


def named_series(series: Any, name: str) -> object:
    """A column of pandas or polars under this name."""
    return series.rename(name) if is_pandas(series, "Series") else series.alias(name)


def texts_in(data: object) -> list[object] | None:
    """Texts one by one, some of which may be missing; None for what holds anything else.

    Parameters
    ----------
    data : list, tuple, array of NumPy, Arrow or pandas, column, or object
        Columns of pandas and polars among them.
    """
    if isinstance(data, (pa.Array, pa.ChunkedArray)):
        return data.to_pylist() if is_text(data.type) and data.null_count < len(data) else None
    held: Any = data
    dtype = getattr(data, "dtype", None)
    if dtype is not None and getattr(data, "ndim", 1) != 1:
        return None
    if dtype is None and not isinstance(data, (list, tuple)):
        return None
    if not isinstance(next((one for one in held if not is_missing(one)), None), str):
        return None
    values = [None if is_missing(one) else one for one in held]
    return values if all(one is None or isinstance(one, str) for one in values) else None


def columns_named(name: str, given: object, frame: Frame, *, rows: int | None = None) -> Named:
    """What an argument says about a table.

    Parameters
    ----------
    name : str
        What the argument is called.
    given : None, str, sequence of str, or values
        The name of a column, several of them, or one value a row. A list or tuple of text counts as names, unless none
        of it is one and there is one for each of the `rows`.

    Raises
    ------
    InvalidField
        For a column that is not there, with those that are close, and for one that Arrow has no form for.
    """
    if given is None:
        return Named()
    if isinstance(given, str):
        if name != "id" or given != NO_COLUMN:  # which numbers the rows
            check_columns(name, [given], frame)
        return Named((given,))
    if not isinstance(given, (list, tuple)) or not given or not all(isinstance(one, str) for one in given):
        return Named(values=given)
    known = [one for one in given if _is_there(one, frame)]
    if not known and len(given) == rows:
        return Named(values=given)
    try:
        check_columns(name, given, frame)
    except InvalidField as error:
        raise error if known or rows is None else _neither(name, given, frame, rows) from None
    return Named(tuple(given))


def _neither(name: str, given: Sequence[str], frame: Frame, rows: int) -> InvalidField:
    """The error about a list that is neither names nor values."""
    problem = f"is a list of {len(given):,}, none of which is a column of the data; as values there would be {rows:,}"
    return InvalidField(name, problem, value=given[0], remedy=close_columns(given[0], frame.columns))


def vectors_in(frame: Frame, columns: Sequence[str] | None, taken: Iterable[str]) -> Split | None:
    """The vectors of a table that holds a column for each dimension and no others but those `taken` for something else;
    None where another rule has to find them. Raises InvalidField."""
    if columns is not None and len(columns) == 1:
        return None
    names = list(columns or ())
    kinds = {str(field.name): field.type for field in frame.table.schema}
    if columns is None:
        left = [name for name in kinds if name not in {*taken, *frame.levels, *ID_COLUMNS}]
        if not left or not all(is_number(kinds[name]) for name in left) or _has_groups(frame, left):
            return None
        names = left
    for name in names:
        if not is_number(kinds[name]):
            problem = f"names several columns, and column {name!r} holds {kinds[name]}, not numbers"
            raise InvalidField("vector", problem, remedy="Name one column of vectors, or a column for each dimension.")
    return _stacked(frame, names)


def _stacked(frame: Frame, names: Sequence[str]) -> Split:
    table = frame.table if isinstance(frame.table, pa.Table) else frame.table.to_table(columns=list(names))
    numbers = np.column_stack([table[name].to_numpy() for name in names])
    with renamed("vectors", "data"):
        return split_points(numbers)


def _has_groups(frame: Frame, names: Sequence[str]) -> bool:
    """Whether some of these columns are numbered as the dimensions of a vector, and others are not."""
    head = frame.table.head(_SAMPLE, columns=list(names)) if not isinstance(frame.table, pa.Table) else frame.table
    sample = head.select(list(names)).slice(0, _SAMPLE).combine_chunks().to_batches()
    groups = find_groups(sample[0]) if sample else {}
    return bool(groups) and max(map(len, groups.values())) < len(names)


def check_columns(name: str, asked: Sequence[str], frame: Frame) -> None:
    """Raises InvalidField for a column that is not there or that Arrow has no form for; `name` is the argument."""
    for column in asked:
        if column in frame.unreadable:
            remedy = "Make each a list or an array of numbers." if name == "vector" else "Make each of them text."
            problem = f"is a column that holds {frame.unreadable[column]}, which cannot be read"
            raise InvalidField(name, problem, value=column, remedy=remedy)
        if not _is_there(column, frame):
            remedy = close_columns(column, frame.columns)
            raise InvalidField(name, "is no column of the data", value=column, remedy=remedy)


def close_columns(name: str, columns: Sequence[str]) -> str:
    """The remedy for a column that is not there: those with a similar name, and all."""
    found = close_names(name, columns, 2)
    hint = f"Did you mean {' or '.join(map(repr, found))}? " if found else ""
    more = f" and {len(columns) - _SHOWN:,} more" if len(columns) > _SHOWN else ""
    return f"{hint}The columns are {', '.join(columns[:_SHOWN])}{more}."


def _is_there(column: str, frame: Frame) -> bool:
    """Whether a name is that of a column, of a field in one, or of a group of columns that hold a dimension each."""
    columns = set(frame.columns)
    if any(path[0] in columns for path in key_paths(column)):
        return True
    return any(one.startswith(column) and one.removeprefix(column).lstrip("_.- ").isdigit() for one in columns)
