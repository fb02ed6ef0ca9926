"""exp and log with the same bits on every processor.

NumPy's differ in the last bits between instruction sets, and a last bit can decide which of two equal communities a row
joins. These use only sums, products, divisions and scaling by powers of two, which IEEE 754 rounds in exactly one way.
The error is below 2 units in the last place.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["exp", "log"]

Floats = NDArray[np.float64]

_LOG2E: Final = 1.4426950408889634
_LN2_HIGH: Final = 6.93147180369123816490e-01
_LN2_LOW: Final = 1.90821492927058770002e-10
"""ln 2 in two parts; the first has trailing zeros, so that integer multiples of it are exact (fdlibm, e_exp.c)."""
_SERIES: Final = [1.0 / float(np.prod(np.arange(1, order + 1, dtype=np.float64))) for order in range(13, -1, -1)]
_ODD: Final = [2.0 / order for order in range(21, 0, -2)]
_LEAST: Final = -745.0
_MOST: Final = 710.0


def exp(values: ArrayLike) -> Floats:
    """e to the power of `values`, of any shape: 2^k e^r with |r| at most half of ln 2, and the Taylor series of e^r."""
    array = np.asarray(values, np.float64)
    bounded = np.clip(array, _LEAST, _MOST)  # beyond are 0 and infinity
    whole = np.rint(bounded * _LOG2E)
    rest = (bounded - whole * _LN2_HIGH) - whole * _LN2_LOW
    power = np.full(rest.shape, _SERIES[0])
    for factor in _SERIES[1:]:
        power *= rest
        power += factor
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        result = np.ldexp(power, np.nan_to_num(whole).astype(np.int64))
    return np.asarray(np.where(array < _LEAST, 0.0, np.where(array > _MOST, np.inf, result)), np.float64)


def log(values: ArrayLike) -> Floats:
    """Natural logarithm of `values`, of any shape; minus infinity of 0 and NaN of negative numbers.

    ln(2^k m) with m in [0.7, 1.42) by the series of 2 artanh((m - 1) / (m + 1)).
    """
    array = np.asarray(values, np.float64)
    inside = (array > 0) & np.isfinite(array)
    part, power = np.frexp(np.where(inside, array, 1.0))
    low = part < 0.7071067811865476
    part, power = np.where(low, part * 2, part), power - low
    ratio = (part - 1) / (part + 1)
    square = ratio * ratio
    result = np.full(ratio.shape, _ODD[0])
    for factor in _ODD[1:]:
        result *= square
        result += factor
    result = power * _LN2_HIGH + (ratio * result + power * _LN2_LOW)
    beyond = np.where(array > 0, np.inf, np.where(array == 0, -np.inf, np.nan))
    return np.asarray(np.where(inside, result, beyond), np.float64)
