"""Combines several vectors per document into one space."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.parallel import spans
from shoal.engine.rows.geometry import normalize_nonzero_rows
from shoal.errors import InvalidField

__all__ = ["check_weights", "concatenate_features"]

_BLOCK = 8192


def check_weights(weights: Mapping[str, object], features: Sequence[str], field: str) -> dict[str, float]:
    """Weights that sum to 1, in the order of the features; a feature that is not named has weight 0.

    Raises InvalidField (`field`) for an unknown feature, a weight that is negative or not finite, and if all are 0.
    """
    for name, weight in weights.items():
        if name not in features:
            is_nonzero = f"Name {' or '.join(features)}."
            raise InvalidField(f"{field}.{name}", "is no feature of this cluster", value=weight, remedy=is_nonzero)
        number = weight if isinstance(weight, int | float) and not isinstance(weight, bool) else np.nan
        if not 0 <= number < np.inf:
            raise InvalidField(f"{field}.{name}", "must be a finite number of at least 0", value=weight)
    numbers = {name: float(str(weights.get(name, 0.0))) for name in features}
    total = sum(numbers.values())
    if total == 0:
        raise InvalidField(field, "must hold a number above 0", value=dict(weights))
    return {name: number / total for name, number in numbers.items()}


def concatenate_features(blocks: Mapping[str, Points], weights: Mapping[str, float], *, normalize: bool) -> Points:
    """(n, sum of d) float32: the blocks (n, d_i) side by side, each times the root of its weight, without those of
    weight 0.

    With `normalize` each row of a block is scaled to unit length first, so that the squared distance of two rows is the
    weighted mean of those in the blocks. A row that lacks a feature, being all zero there, depends on the others: once
    it is scaled to unit length they weigh more.
    """
    used = [name for name in blocks if weights[name] > 0]
    total = len(next(iter(blocks.values())))
    combined = np.empty((total, sum(blocks[name].shape[1] for name in used)), np.float32)
    column = 0
    for name in used:
        points, factor = blocks[name], np.float32(np.sqrt(weights[name]))
        into = slice(column, column + points.shape[1])
        for part in spans(total, _BLOCK):
            rows: NDArray[np.float32] = (
                normalize_nonzero_rows(np.ascontiguousarray(points[part])) if normalize else points[part]
            )
            combined[part, into] = rows * factor
        column += points.shape[1]
    return combined
