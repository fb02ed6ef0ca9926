"""A hash of each row that depends only on its coordinates.

Random choices and tie-breaking among rows use these keys, and so select the same rows in any input order. Rows with
equal keys are equal, except one pair in 2^64.
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine import kernels
from shoal.engine.parallel import map_in_order, spans, thread_count

__all__ = ["Distinct", "Keys", "find_distinct", "mix_bits", "row_keys", "sort_by_key"]

Keys = NDArray[np.uint64]

_BLOCK: Final = 2048
_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)


def row_keys(points: Points, threads: int) -> Keys:
    """(n,) keys of the rows; -0 counts as 0. The same from the compiled core and from the reference."""
    core = kernels.native()
    if core is not None:
        compiled: Keys = core.row_keys(points, thread_count(threads))
        return compiled
    constants = _constants(points.shape[1])
    keys = np.empty(len(points), np.uint64)
    blocks = spans(len(points), _BLOCK)
    for block, own in zip(blocks, map_in_order(partial(_block, points, constants), blocks, threads), strict=True):
        keys[block] = own
    return keys


def sort_by_key(points: Points, threads: int) -> tuple[Rows, Rows, Rows]:
    """Rows in the order of their keys (n,); the first row of each distinct value in that order (m,); and for each
    position in the order its distinct row (n,), ascending."""
    keys = row_keys(points, threads)
    by_key = np.argsort(keys, kind="stable")
    new = np.ones(len(keys), np.bool_)
    new[1:] = keys[by_key[1:]] != keys[by_key[:-1]]
    same = np.flatnonzero(~new)  # equal keys mean equal rows, unless they collide
    for block in spans(len(same), _BLOCK):
        places = same[block]
        new[places] = (points[by_key[places]] != points[by_key[places - 1]]).any(axis=1)
    return by_key, by_key[new], np.cumsum(new) - 1


@dataclass(frozen=True, slots=True)
class Distinct:
    """The distinct rows among n: the first of each in the order of the keys, `rows` (m,), its number of occurrences,
    `copies` (m,), and the distinct row of each row, `back` (n,)."""

    rows: Rows
    copies: Rows
    back: Rows


def find_distinct(points: Points, threads: int) -> Distinct:
    """The distinct rows of `points` (n, d), in the order of their keys, which does not depend on row order."""
    by_key, rows, where = sort_by_key(points, threads)
    back = np.empty(len(by_key), np.int64)
    back[by_key] = where
    return Distinct(rows, np.bincount(where, minlength=len(rows)).astype(np.int64), back)


def mix_bits(values: Keys) -> Keys:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): each bit depends on all bits of the value."""
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))


@cache
def _constants(dimensions: int) -> Keys:
    return mix_bits(np.arange(1, dimensions + 1, dtype=np.uint64) * _STEP) | np.uint64(1)


def _block(points: Points, constants: Keys, block: slice) -> Keys:
    bits = (points[block] + np.float32(0)).view(np.uint32)
    # Numbers of few digits have zeros in their low bits, which a multiplication would preserve.
    spread = (bits ^ (bits >> np.uint32(15))).astype(np.uint64)
    return mix_bits(spread @ constants)
