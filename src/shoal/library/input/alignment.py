"""Aligns pandas columns with a data frame by index."""

from typing import Any

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.library.input.frames import is_pandas
from shoal.library.input.pandas_index import restore_index

__all__ = ["align"]


def align(name: str, values: Any, index: Any) -> Any:
    """Return the values in the order of an index.

    Parameters
    ----------
    name : str
        The argument that holds the values, in errors.
    values : object
        A pandas series or data frame is reordered by its index, unless that is the default one and the rows have other
        labels; anything else is in row order already.
    index : pandas index, Table or None
        The index of the n rows that the values belong to, as it was or as it was loaded; None where they have none.

    Raises
    ------
    InvalidField
        For n values with another index: which row each belongs to is ambiguous. Other lengths are left to the caller.
    """
    if index is None or not (is_pandas(values, "Series") or is_pandas(values)):
        return values
    if isinstance(index, pa.Table):
        index = restore_index(index)
    own = values.index
    if len(own) != len(index) or own.equals(index):
        return values
    in_index = own.isin(index)
    if own.is_unique and index.is_unique and in_index.all():
        return values.reindex(index)
    if is_pandas(own, "RangeIndex") and (own.start, own.step) == (0, 1) and not in_index.any():
        return values
    problem = "has a different index than the data"
    raise InvalidField(name, problem, remedy=f"Where the order of its rows is the same, give {name}=….to_numpy().")
