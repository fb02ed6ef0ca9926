"""Draws the rows that a model is fitted on."""

import numpy as np

from shoal.columns import Rows

__all__ = ["sample_rows"]


def sample_rows(total: int, size: int | None, seed: int) -> Rows | None:
    """(size,) ascending rows, every subset equally likely and determined by the seed; None for all rows."""
    if size is None or size >= total:
        return None
    return np.sort(np.random.default_rng(seed).choice(total, size, replace=False)).astype(np.int64)
