"""Sets of rows that every method must have an answer for (reliability, A15)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEGENERATE", "Make"]

Points = NDArray[np.float32]
Make = Callable[[], Points]
DEGENERATE: dict[str, Make] = {
    "empty": lambda: np.zeros((0, 3), np.float32),
    "one row": lambda: np.ones((1, 3), np.float32),
    "two rows": lambda: np.array([[1, 0], [0, 1]], np.float32),
    "three rows": lambda: np.eye(3, dtype=np.float32),
    "all equal": lambda: np.ones((40, 3), np.float32),
    "two values": lambda: np.repeat(np.eye(2, dtype=np.float32), 30, axis=0),
    "one dimension": lambda: np.arange(1, 60, dtype=np.float32)[:, None],
    "a constant column": lambda: np.column_stack([np.ones(50), np.arange(1, 51)]).astype(np.float32),
    "subnormal": lambda: (np.full((20, 4), 1e-40) * np.arange(1, 5)).astype(np.float32),
    "blobs and one far away": lambda: np.vstack(
        [np.random.default_rng(0).normal(size=(60, 3)) + np.repeat([[9, 0, 0], [0, 9, 0]], 30, axis=0), [[0, 0, 1e6]]]
    ).astype(np.float32),
}
