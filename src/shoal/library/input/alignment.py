"""Columns of pandas beside a data frame: their rows are those with the same index, wherever they stand."""

from typing import Any

import pyarrow as pa

from shoal.errors import InvalidField
from shoal.library.input.frames import is_pandas
from shoal.library.views.exports import index_of

__all__ = ["align"]


def align(name: str, values: Any, index: Any) -> Any:
    """The values in the order of an index.

    Parameters
    ----------
    name : str
        The argument that holds the values, in errors.
    values : object
        A series or data frame of pandas is put in order by its index, unless that is the one pandas makes and the rows
        have other labels; all else is in the order of the rows already.
    index : pandas index, Table or None
        Of the n rows that the values belong to, as it was or as it was loaded; None where these have none.

    Raises
    ------
    InvalidField
        For n values with another index: where they belong is not clear. Another number of them is left to the caller.
    """
    if index is None or not (is_pandas(values, "Series") or is_pandas(values)):
        return values
    if isinstance(index, pa.Table):
        index = index_of(index)
    own = values.index
    if len(own) != len(index) or own.equals(index):
        return values
    known = own.isin(index)
    if own.is_unique and index.is_unique and known.all():
        return values.reindex(index)
    if is_pandas(own, "RangeIndex") and (own.start, own.step) == (0, 1) and not known.any():
        return values
    problem = "has another index than the data"
    raise InvalidField(name, problem, remedy=f"Where the order of its rows is the same, give {name}=….to_numpy().")
