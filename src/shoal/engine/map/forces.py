"""The forces of the map: neighbours attract each other, all vertices repel each other."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.elementary import exp, log
from shoal.engine import kernels
from shoal.engine.map.levels import Level
from shoal.engine.parallel import map_in_order, spans, thread_count
from shoal.engine.plan import Progress
from shoal.engine.rows.row_keys import mix_bits

__all__ = ["FINE", "STEEPNESS", "Schedule", "find_unit", "settle_layout"]

Floats = NDArray[np.float32]

STEEPNESS: Final = 1.6
_FORCES: Final = (STEEPNESS, 2.5, 0.01)
"""Steepness, repulsion and softness, see `native/layout.hpp`."""
_MOMENTUM: Final = 0.8
_BLOCK: Final = 256
"""Vertices that share a sample of repelling vertices, as in `native/layout.hpp`."""
_COMPARISONS: Final = 64
"""Other rows that each row is compared with to estimate the unit of a map."""
_MAX_COMPARED: Final = 20_000
"""Rows that are compared."""
_BISECTIONS: Final = 40
_CHUNK: Final = 64 * _BLOCK
"""Vertices that one thread of the NumPy reference moves at a time."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """`rounds` steps whose length decreases linearly from `rate` to `last`; `sample` others repel a vertex in each."""

    rounds: int
    sample: int
    rate: float
    last: float


FINE: Final = Schedule(150, 64, 0.3, 0.02)
"""Schedule for the rows themselves."""


def settle_layout(
    level: Level, places: Floats, reach: Floats, schedule: Schedule, seed: int, threads: int, progress: Progress
) -> Floats:
    """(m, 2 or 3) places after all rounds, starting from `places`; no vertex moves farther from there than its `reach`
    (m,), which may be infinite. Reports to `progress` as "layout"."""
    core = kernels.native()
    move = _settle_reference if core is None else core.settled
    positions: Floats = move(
        level.weights.indptr.astype(np.int64),
        level.weights.indices.astype(np.int32),
        level.pull(),
        (level.mass / level.mass.mean()).astype(np.float32),
        reach.astype(np.float32),
        np.ascontiguousarray(places.T, dtype=np.float32),
        (*_FORCES, schedule.sample),
        (schedule.rounds, schedule.rate, schedule.last, _MOMENTUM, seed),
        thread_count(threads),
        partial(progress, "layout"),
    )
    return np.ascontiguousarray(positions.T)


def find_unit(level: Level, places: Floats) -> float:
    """The factor for `places` at which attraction and repulsion stretch them equally, as in a settled map (the virial
    theorem; each row is compared with 63 others). Row order must be unrelated to place. 1 if all coincide."""
    steepness, repulsion, softness = _FORCES
    row = np.repeat(np.arange(len(places)), np.diff(level.weights.indptr))
    exact = places.astype(np.float64)
    near = ((exact[row] - exact[level.weights.indices]) ** 2).sum(axis=1)
    pull = level.pull().astype(np.float64)
    sample = exact[:_MAX_COMPARED]
    step = max(len(sample) // _COMPARISONS, 1)
    far = np.concatenate(
        [((sample - np.roll(sample, step * turn, axis=0)) ** 2).sum(axis=1) for turn in range(1, _COMPARISONS)]
    )
    if not far.any():
        return 1.0

    def stretch(unit: float) -> float:
        close, apart = near * unit**2, far * unit**2
        inward = (pull * steepness * close / (1 + steepness * close)).sum()
        outward = (repulsion * apart / ((softness + apart) * (1 + steepness * apart))).mean() * len(places)
        return float(outward - inward)

    # Bisect from all within the softness to all out of range of each other.
    middle = float(log(1 / np.sqrt(far.mean())))
    low, high = middle - float(log(100.0)), middle + float(log(1e4))
    for _ in range(_BISECTIONS):
        half = (low + high) / 2
        low, high = (half, high) if stretch(float(exp(half))) > 0 else (low, half)
    return float(exp((low + high) / 2))


@dataclass(frozen=True, slots=True)
class _ReferenceForces:
    """Reference implementation of the compiled `settled`: sums run in the same order in float32, so bits agree."""

    start: NDArray[np.int64]
    to: NDArray[np.int32]
    pull: Floats
    mass: Floats
    reach: Floats
    home: Floats
    steepness: np.float32
    repulsion: np.float32
    softness: np.float32
    sample: int

    def repel(self, part: slice, places: Floats, turn: int, seed: int) -> Floats:
        """(components, rows) repulsion by the sampled vertices."""
        count = places.shape[1]
        blocks = np.arange(part.start // _BLOCK, -(-part.stop // _BLOCK), dtype=np.uint64)
        turns = np.full(len(blocks), turn, np.uint64) * _GOLDEN
        offsets = mix_bits(np.uint64(seed) + mix_bits(turns + blocks)) % np.uint64(count)
        first = np.repeat(offsets.astype(np.int64), _BLOCK)[: part.stop - part.start]
        here = places[:, part]
        force = np.zeros_like(here)
        for offset in range(self.sample):
            other = (first + offset) % count
            gap = here - places[:, other]
            square = _squares(gap)
            push = self.mass[other] / ((self.softness + square) * (1 + self.steepness * square))
            force += push * gap
        force *= self.repulsion / np.float32(self.sample)
        return force

    def attract(self, part: slice, places: Floats) -> Floats:
        """(components, rows) attraction by the neighbours."""
        start = self.start[part.start : part.stop + 1]
        edges = slice(int(start[0]), int(start[-1]))
        row = np.repeat(np.arange(part.start, part.stop), np.diff(start))
        gap = places[:, self.to[edges]] - places[:, row]
        gap *= self.pull[edges] / (1 + self.steepness * _squares(gap))
        ones = np.zeros(len(row), np.int32), start - start[0]
        unit = np.ones(1, np.float32)  # a sparse product sums in the order of the edges
        sums = [csr_array((along, *ones), shape=(len(start) - 1, 1)) @ unit for along in gap]
        return np.asarray(self.steepness * np.stack(sums), np.float32)

    def move(self, part: slice, places: Floats, speed: Floats) -> Floats:
        """(components, rows) new places, within the reach of each vertex."""
        new = places[:, part] + speed[:, part]
        away = new - self.home[:, part]
        square, reach = _squares(away), self.reach[part]
        beyond = ~(square <= reach * reach)
        shrink = reach[beyond] / np.sqrt(square[beyond])
        new[:, beyond] = self.home[:, part][:, beyond] + shrink * away[:, beyond]
        return new


_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


def _squares(gap: Floats) -> Floats:
    square = np.zeros(gap.shape[1:], np.float32)
    for along in gap:
        square += along * along
    return square


def _settle_reference(
    start: NDArray[np.int64],
    to: NDArray[np.int32],
    pull: Floats,
    mass: Floats,
    reach: Floats,
    places: Floats,
    forces: tuple[float, float, float, int],
    schedule: tuple[int, float, float, float, int],
    threads: int,
    tick: Callable[[float], None],
) -> Floats:
    count = places.shape[1]
    steepness, repulsion, softness = (np.float32(force) for force in forces[:3])
    graph = _ReferenceForces(
        start, to, pull, mass, reach, places, steepness, repulsion, softness, max(min(forces[3], count), 1)
    )
    rounds, seed = schedule[0], schedule[4]
    rate, last, momentum = (np.float32(number) for number in schedule[1:4])
    speed, parts = np.zeros_like(places), spans(count, _CHUNK)

    def step(part: slice, turn: int, length: np.float32, places: Floats) -> Floats:
        force = graph.repel(part, places, turn, seed) + graph.attract(part, places)
        speed[:, part] = momentum * speed[:, part] + length * force
        return graph.move(part, places, speed)

    for turn in range(rounds):
        length = rate + (last - rate) * np.float32(turn / rounds)
        work = partial(step, turn=turn, length=length, places=places)
        places = np.concatenate([*map_in_order(work, parts, threads)], axis=1) if parts else places
        tick(turn / rounds)
    return places
