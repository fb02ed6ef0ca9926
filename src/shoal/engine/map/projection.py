"""Projection of the rows on their principal axes (PCA)."""

from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.parallel import map_in_order, spans
from shoal.engine.plan import Progress, ignore_progress

__all__ = ["principal_axes", "project"]

Floats = NDArray[np.float64]
_BLOCK: Final = 4096
_MAX_EXACT: Final = 1024
"""Columns up to which the covariance is decomposed exactly; above, by randomized subspace iteration (Halko, Martinsson
and Tropp 2011)."""
_OVERSAMPLING: Final = 10
_ROUNDS: Final = 6


def project(points: Points, components: int, seed: int, threads: int, progress: Progress) -> NDArray[np.float32]:
    """(n, components) centered coordinates; columns of zeros if there are fewer axes than requested.

    Each axis is oriented so that its largest loading is positive, so that a map does not flip between runs. O(n d^2)
    time up to 1,024 columns, O(n d) above. Reports to `progress` as "layout".
    """
    total, columns = points.shape
    coordinates = np.zeros((total, components), np.float32)
    if total < 2:
        return coordinates
    mean = points.mean(axis=0, dtype=np.float64)
    axes = _find_axes(points, mean, min(components, columns), seed, threads, progress)
    for block in spans(total, _BLOCK):
        coordinates[block, : axes.shape[1]] = (points[block] - mean) @ axes
    progress("layout", 1.0)
    return coordinates


def principal_axes(points: Points, mean: Floats, count: int, seed: int, threads: int) -> tuple[Floats, Floats]:
    """(d, c) orthonormal directions of largest variance, largest first, and the variances (c,) along them; c is
    `count`, or fewer if the rows (n, d) have fewer dimensions. `mean` (d,) is theirs."""
    axes = _find_axes(points, mean, count, seed, threads, ignore_progress)
    variances = np.zeros(axes.shape[1])
    for block in spans(len(points), _BLOCK):
        variances += (((points[block] - mean) @ axes) ** 2).sum(axis=0)
    return axes, variances / max(len(points), 1)


def _find_axes(points: Points, mean: Floats, count: int, seed: int, threads: int, progress: Progress) -> Floats:
    """(d, count) orthonormal directions of largest variance, largest first."""
    columns = points.shape[1]
    if columns <= _MAX_EXACT:
        scatter = _scatter_product(points, mean, None, threads, progress)
        axes = np.linalg.eigh(scatter)[1][:, ::-1][:, :count]
    else:
        guess = np.random.default_rng(seed).standard_normal((columns, count + _OVERSAMPLING))
        for _ in range(_ROUNDS):
            guess, _ = np.linalg.qr(_scatter_product(points, mean, guess, threads, progress))
        small = guess.T @ _scatter_product(points, mean, guess, threads, progress)
        axes = guess @ np.linalg.eigh((small + small.T) / 2)[1][:, ::-1][:, :count]
    largest = axes[np.argmax(np.abs(axes), axis=0), np.arange(axes.shape[1])]
    return np.asarray(axes * np.where(largest < 0, -1.0, 1.0), np.float64)


def _scatter_product(points: Points, mean: Floats, right: Floats | None, threads: int, progress: Progress) -> Floats:
    """The scatter matrix of the rows, or its product with `right`; summed in the order of the blocks."""
    width = points.shape[1] if right is None else right.shape[1]
    total = np.zeros((points.shape[1], width))
    blocks = spans(len(points), _BLOCK)
    work = partial(_block_product, points=points, mean=mean, right=right)
    for block, part in zip(blocks, map_in_order(work, blocks, threads), strict=True):
        total += part
        progress("layout", 0.8 * block.stop / len(points))
    return total


def _block_product(block: slice, points: Points, mean: Floats, right: Floats | None) -> Floats:
    rows = (points[block] - mean).astype(np.float64)
    return np.asarray(rows.T @ (rows if right is None else rows @ right), np.float64)
