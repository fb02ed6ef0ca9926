"""Points to cluster."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

Blobs = Callable[..., NDArray[np.float32]]


@pytest.fixture
def blobs() -> Blobs:
    """Makes n rows around `centers` points, every fifth row scattered widely, the rows shuffled."""

    def make(seed: int = 0, n: int = 300, d: int = 6, centers: int = 4, spread: float = 0.3) -> NDArray[np.float32]:
        rng = np.random.default_rng(seed)
        middle = rng.normal(size=(centers, d)) * 3
        rows = middle[np.arange(n) % centers] + rng.normal(size=(n, d)) * spread
        rows[::5] = rng.normal(size=(len(rows[::5]), d)) * 4
        return rng.permutation(rows).astype(np.float32)

    return make
