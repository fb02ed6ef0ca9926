"""Vectors as people send them, lists of numbers, turned into the float32 blocks Shoal computes with.

The one place where numbers are judged: JSON bodies, JSON lines and the text cells of CSV files all end here.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.errors import InvalidField
from shoal.precision import to_float32

__all__ = ["Place", "check_finite", "double_block", "float_block"]

Place: TypeAlias = Callable[[int], str]
"""Where the i-th vector stands, as the caller wrote it: `documents[3].vectors.text`."""

_NUMBERS: Final[frozenset[type]] = frozenset({int, float})
_FORM: Final = "Send a list of numbers, such as [0.1, 0.2]."


def float_block(values: Sequence[object], place: Place, *, dimension: int | None, most: int) -> Points:
    """`double_block` as float32."""
    return to_float32(double_block(values, place, dimension=dimension, most=most))


def double_block(values: Sequence[object], place: Place, *, dimension: int | None, most: int) -> NDArray[np.float64]:
    """(n, d) of n lists of numbers; d is `dimension` or, where that is None, the length of the first.

    The whole block is converted at once; only where that fails each value is looked at for the culprit. Raises
    InvalidField naming the vector, the element and the remedy: for anything but a flat list of numbers, a length that
    differs, is 0 or above `most`, and for numbers that are not finite as float32.
    """
    if not values:
        return np.empty((0, dimension or 0))
    block = _at_once(values)
    if block is None or not _fits(block, dimension, most):
        _blame(values, place, dimension, most)
    assert block is not None
    return block


def check_finite(block: Points, place: Place) -> None:
    """Raises InvalidField naming the first element of the (n, d) block that is NaN or infinite."""
    # A sum is finite only if every part is; it overflows seldom, and then the slow test decides.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(block.sum(dtype=np.float64)):
            return
    bad = np.argwhere(~np.isfinite(block))
    if len(bad):
        row, column = (int(index) for index in bad[0])
        raise _not_finite(f"{place(row)}[{column}]", float(block[row, column]))


def _at_once(values: Sequence[object]) -> NDArray[np.float64] | None:
    if set(map(type, values)) != {list}:
        return None
    lists = cast("Sequence[list[Any]]", values)
    lengths = set(map(len, lists))
    if len(lengths) != 1 or not set(map(type, chain.from_iterable(lists))) <= _NUMBERS:
        return None
    width = lengths.pop()
    try:
        flat = np.fromiter(chain.from_iterable(lists), np.float64, len(lists) * width)
    except OverflowError:
        return None
    return flat.reshape(len(lists), width)


def _fits(block: NDArray[np.float64], dimension: int | None, most: int) -> bool:
    width = block.shape[1]
    return 0 < width <= most and dimension in (None, width) and bool(np.isfinite(to_float32(block)).all())


def _blame(values: Sequence[object], place: Place, dimension: int | None, most: int) -> None:
    """Raise for the first vector at fault. The caller knows that there is one."""
    first = place(0)
    for i, value in enumerate(values):
        length = _check_list(value, place(i), most)
        if dimension is None:
            dimension = length
        if length != dimension:
            agreed = f"{first} has {dimension}" if i and first != place(i) else f"the index has {dimension}"
            raise InvalidField(
                place(i), f"has {length} numbers where {agreed}", remedy="All vectors of a name have the same length."
            )
    raise AssertionError("a block was refused without a reason")  # would be a bug in _fits


def _check_list(value: object, path: str, most: int) -> int:
    if isinstance(value, dict):
        raise InvalidField(path, "sparse vectors are not supported", remedy=_FORM)
    if not isinstance(value, list):
        raise InvalidField(path, "must be a list of numbers", value=value, remedy=_FORM)
    if not value:
        raise InvalidField(path, "is empty", remedy=_FORM)
    if len(value) > most:
        raise InvalidField(path, f"has {len(value)} numbers, more than the {most} that are allowed")
    for position, number in enumerate(value):
        _check_number(number, f"{path}[{position}]")
    return len(value)


def _check_number(number: object, path: str) -> None:
    if isinstance(number, list):
        raise InvalidField(path, "multi-vectors are not supported", value=number, remedy=_FORM)
    if type(number) not in _NUMBERS:
        raise InvalidField(path, "must be a number", value=number, remedy=_FORM)
    try:
        wide = float(cast("int | float", number))
    except OverflowError:
        raise _not_finite(path, number) from None
    with np.errstate(over="ignore"):
        if not np.isfinite(np.float32(wide)):
            raise _not_finite(path, number)


def _not_finite(path: str, value: object) -> InvalidField:
    return InvalidField(
        path, "is not a finite float32 number", value=value, remedy="Numbers must lie within ±3.4e38; leave out NaN."
    )
