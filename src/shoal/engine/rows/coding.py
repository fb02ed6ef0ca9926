"""Encodes rows as int8 codes for the compiled scans, and orders them so that near rows are adjacent.

Nothing here can change a result: a poor rotation, unit or order only slows a scan down, because the error of every code
is measured and accounted for.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine import kernels
from shoal.engine.parallel import map_in_order, spans
from shoal.engine.plan import Pulse, ignore_pulse

__all__ = [
    "CERTAINTY",
    "Codes",
    "Frame",
    "encode",
    "fit_frame",
    "order_by_proximity",
    "pair_blocks",
    "pair_near_blocks",
]

Floats = NDArray[np.float32]
Places = NDArray[np.int32]

CERTAINTY: Final = 1.0
"""Fraction of the codes' error bound that scans allow for: all of it, so that no pair is missed, whatever the data, and
every instruction set gives the same result. `benchmarks/bench_margin.py` measures what less would save."""
_SAMPLE: Final = 4096
_MAX_LENGTH_RATIO: Final = 3.0
"""Rows longer than this multiple of the 90 % quantile of lengths count as far."""
_BLOCK: Final = 8192
_ROUNDING: Final = 3e-5
"""Relative float32 rounding error of a rotated row: d eps for d up to 500, in practice a hundredth of it."""
_ROWS_PER_CELL: Final = 400
"""Approximate rows per cell: half a block, so that blocks contain near rows."""
_MAX_CELLS: Final = 1024
_MAX_EXACT_DIMENSIONS: Final = 1024
"""Dimensions up to which the rotation uses the full covariance."""
_LEADING: Final = 256
"""Dimensions of the first stage of wider rows."""


class Codes(Protocol):
    """Rows as int8 codes, in the layout of the compiled scans; documented in `_native.pyi`."""

    def write(self, first: int, coordinates: Floats, slack: float) -> None: ...
    def mean_error(self) -> float: ...
    def reordered(self, order: Places, threads: int) -> "Codes": ...


@dataclass(frozen=True, slots=True)
class Frame:
    """Coordinates with most of the variance in the first `stages[0]`, which preserve the distances of the rows.

    `(points - mean) @ rotation` if the rotation is (d, d). For wide rows it holds the leading directions only, (d,
    `stages[0]`), and the residual of the row is appended unchanged.
    """

    mean: Floats
    rotation: Floats
    stages: list[int]
    unit: float
    reach: float
    """Rows farther from the mean are outside the range of the codes: a few rows far from all others."""

    @property
    def dimensions(self) -> int:
        """Coordinates per row."""
        width, directions = (int(size) for size in self.rotation.shape)
        return directions if directions == width else directions + width

    @property
    def leading(self) -> Floats:
        """(d, `stages[0]`) the directions of the first stage, or all."""
        return np.ascontiguousarray(self.rotation[:, : self.stages[0]])

    def coordinates(self, points: Points) -> Floats:
        """(m, dimensions) coordinates of rows (m, d)."""
        return _coordinates(points - self.mean, self.rotation)


def _coordinates(centred: Points, rotation: Floats) -> Floats:
    rotated: Floats = centred @ rotation
    if rotation.shape[0] == rotation.shape[1]:
        return rotated
    return np.concatenate([rotated, centred - rotated @ rotation.T], axis=1)


def fit_frame(
    points: Points, levels: int, seed: int = 0, *, rows: Rows | None = None, pulse: Pulse = ignore_pulse
) -> Frame:
    """Fit a frame to rows like `points[rows]` (all by default), using a sample of them."""
    count = len(points) if rows is None else len(rows)
    rng = np.random.default_rng([seed, count])
    size = max(_SAMPLE, 4 * min(points.shape[1], _MAX_EXACT_DIMENSIONS))
    chosen = np.arange(count) if count <= size else np.sort(rng.choice(count, size, replace=False))
    sample = points[chosen if rows is None else rows[chosen]]
    mean, reach = _mean_and_reach(sample)
    centred = _clip_lengths(sample - mean, reach)
    pulse()
    if points.shape[1] > _MAX_EXACT_DIMENSIONS:
        rotation, stages = (
            _leading_directions(centred, rng, pulse),
            [_LEADING, -(-(_LEADING + points.shape[1]) // 8) * 8],
        )
    else:
        directions = _principal_directions(centred)
        pulse()
        stages = _choose_stages(points.shape[1])
        rotation = _mix_axes(directions, stages[0] if len(stages) > 1 else 0, rng)
    pulse()
    return Frame(mean, rotation, stages, _choose_unit(_coordinates(centred, rotation), stages, levels, pulse), reach)


def _mean_and_reach(sample: Points) -> tuple[Floats, float]:
    """The mean of the rows without the few far ones, and the maximum distance of the others from it."""
    mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    away = _lengths(sample - mean)
    reach = _MAX_LENGTH_RATIO * float(np.quantile(away, 0.9)) if len(away) else 0.0
    if reach == 0.0 or float(away.max()) <= reach:
        return mean, np.inf
    mean = sample[away <= reach].mean(axis=0, dtype=np.float64).astype(np.float32)
    reach = _MAX_LENGTH_RATIO * float(np.quantile(_lengths(sample - mean), 0.9))
    return mean, reach if reach > 0.0 else np.inf


def _lengths(rows: Points) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return lengths


def _clip_lengths(rows: Points, reach: float) -> Points:
    """Rows longer than `reach` scaled down to it, so that a few long rows do not determine directions and steps."""
    lengths = _lengths(rows)
    if float(lengths.max(initial=0.0)) <= reach:
        return rows
    return rows * (reach / np.maximum(lengths, reach)).astype(np.float32)[:, None]


def _principal_directions(centred: Points) -> Floats:
    """(d, d) principal directions as columns, variances descending."""
    covariance = (centred.T @ centred) / np.float32(max(len(centred), 1))
    directions = np.linalg.eigh(covariance)[1]
    return np.ascontiguousarray(directions[:, ::-1]).astype(np.float32)


def _leading_directions(centred: Points, rng: np.random.Generator, pulse: Pulse) -> Floats:
    """(d, _LEADING) orthonormal, near the leading principal directions and randomly mixed: two rounds of subspace
    iteration (Halko, Martinsson and Tropp 2011), as the covariance of wide rows would take minutes."""
    basis = rng.standard_normal((centred.shape[1], _LEADING)).astype(np.float32)
    for _ in range(2):
        basis = np.linalg.qr(centred.T @ (centred @ basis))[0]
        pulse()
    return _mix_axes(np.ascontiguousarray(basis, dtype=np.float32), _LEADING, rng)


def _choose_stages(dims: int) -> list[int]:
    """Ends of the stages, multiples of 32: a third of the dimensions, half, two thirds, all. Earlier hardly any tile
    can be skipped; a fifth stage costs more than it saves."""
    padded = -(-dims // 8) * 8
    if padded < 96:
        return [padded]
    return sorted({max(round(padded * share / 32), 1) * 32 for share in (1 / 3, 1 / 2, 2 / 3)} | {padded})


def _mix_axes(rotation: Floats, leading: int, rng: np.random.Generator) -> Floats:
    """Rotate randomly within the leading and within the other directions, which evens out the coordinates and allows
    smaller steps."""
    parts = [rotation[:, :leading], rotation[:, leading:]]
    return np.concatenate([part @ _draw_rotation(part.shape[1], rng) for part in parts if part.shape[1]], axis=1)


def _draw_rotation(size: int, rng: np.random.Generator) -> Floats:
    turn: Floats = np.linalg.qr(rng.standard_normal((size, size)))[0].astype(np.float32)
    return turn


def _choose_unit(coordinates: Floats, stages: list[int], levels: int, pulse: Pulse) -> float:
    """The step of the codes with the smallest error on the sample."""
    first = stages[0] if len(stages) > 1 else 0
    weight = np.where(np.arange(coordinates.shape[1]) < first, np.float32(2), np.float32(1))
    scaled = coordinates / weight
    spread = max(float(np.sqrt(np.mean(scaled**2, axis=0).max(initial=0))), 1e-30)
    subset = scaled[:: max(1, len(scaled) // 512)]

    def loss(unit: float) -> float:
        pulse()
        codes = np.clip(np.rint(subset / unit), -levels, levels)
        rest = ((subset - codes * unit) * weight).astype(np.float64)
        return float(np.quantile((rest**2).sum(axis=1), 0.9))

    return min((spread * reach / levels for reach in (2.5, 3, 3.5, 4, 4.5, 5, 6, 8, 12)), key=loss)


def encode(points: Points, frame: Frame, order: Places, threads: int, pulse: Pulse = ignore_pulse) -> Codes:
    """The codes of `points[order]`, (n, d), in the compiled core."""
    core = kernels.native()
    assert core is not None, "callers check for the core"
    codes: Codes = core.Codes(len(order), frame.dimensions, frame.stages, frame.unit)

    def write(block: slice) -> None:
        codes.write(block.start, np.ascontiguousarray(frame.coordinates(points[order[block]])), _ROUNDING)

    for _ in map_in_order(write, spans(len(order), _BLOCK), threads, pulse):
        pass
    return codes


def order_by_proximity(
    points: Points, frame: Frame, threads: int, seed: int = 0, *, rows: Rows | None = None, pulse: Pulse = ignore_pulse
) -> Places:
    """(n,) positions of `rows` (all by default), ordered so that near rows are mostly adjacent: by the cells of a
    coarse k-means."""
    rows = np.arange(len(points)) if rows is None else rows
    cells = max(1, min(_MAX_CELLS, len(rows) // _ROWS_PER_CELL))
    if cells == 1:
        return np.arange(len(rows), dtype=np.int32)
    rng = np.random.default_rng([seed, len(rows)])
    centers = _fit_cells(points, frame.mean, rows, cells, rng, pulse)
    halves = (centers**2).sum(axis=1) / 2

    places = np.append(_chain_centers(centers), len(centers))  # far rows come last, outside the ordinary blocks

    def nearest(block: slice) -> Rows:
        own = points[rows[block]] - frame.mean
        label: Rows = np.argmax(own @ centers.T - halves, axis=1)
        if np.isfinite(frame.reach):
            label[_lengths(own) > frame.reach] = len(centers)
        return places[label]

    by_place = np.concatenate(list(map_in_order(nearest, spans(len(rows), _BLOCK), threads, pulse)))
    return np.argsort(by_place, kind="stable").astype(np.int32)


def _fit_cells(points: Points, mean: Floats, rows: Rows, cells: int, rng: np.random.Generator, pulse: Pulse) -> Floats:
    size = min(len(rows), 24 * cells)
    sample = points[rows[np.sort(rng.choice(len(rows), size, replace=False))]] - mean
    centers = sample[rng.choice(size, cells, replace=False)]
    for _ in range(3):
        pulse()
        label = np.argmax(sample @ centers.T - (centers**2).sum(axis=1) / 2, axis=1)
        by_label = np.argsort(label, kind="stable")
        counts = np.bincount(label, minlength=cells)
        full = np.flatnonzero(counts)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])[full]
        centers[full] = np.add.reduceat(sample[by_label], starts, axis=0) / counts[full, None].astype(np.float32)
    return centers


def _chain_centers(centers: Floats) -> Rows:
    """(k,) positions of the centers on a greedy nearest-neighbour walk."""
    squares = (centers**2).sum(axis=1)
    products = centers @ centers.T
    place = np.empty(len(centers), np.int64)
    left = np.ones(len(centers), bool)
    here = 0
    for step in range(len(centers)):
        place[here], left[here] = step, False
        away = np.where(left, squares - 2 * products[here], np.inf)
        here = int(np.argmin(away))
    return place


def pair_near_blocks(points: Points, frame: Frame, order: Places, block: int, count: int) -> NDArray[np.int32]:
    """(m, 2) pairs of blocks of `points[order]`: each with itself and with at least `count` - 1 others, the nearest by
    their means; nearest pairs first. All pairs if there are no more blocks."""
    blocks = -(-len(order) // block)
    if count >= blocks:
        return pair_blocks(len(order), block)
    means = np.stack([points[order[part]].mean(axis=0) for part in spans(len(order), block)])
    means -= frame.mean
    squares = (means**2).sum(axis=1)
    away = squares[:, None] + squares - 2 * means @ means.T
    np.fill_diagonal(away, -1)
    near = np.argpartition(away, count - 1, axis=1)[:, :count].ravel()
    own = np.repeat(np.arange(blocks), count)
    first, second = np.divmod(np.unique(np.minimum(own, near) * blocks + np.maximum(own, near)), blocks)
    by_distance = np.argsort(away[first, second], kind="stable")
    return np.ascontiguousarray(np.stack([first, second], axis=1)[by_distance].astype(np.int32))


def pair_blocks(count: int, block: int) -> NDArray[np.int32]:
    """(m, 2) all pairs of blocks of `count` rows, the nearest in the order first."""
    blocks = -(-count // block)
    first, second = np.triu_indices(blocks)
    by_gap = np.argsort(second - first, kind="stable")
    return np.ascontiguousarray(np.stack([first[by_gap], second[by_gap]], axis=1).astype(np.int32))
