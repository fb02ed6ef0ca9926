"""What an algorithm is: parameters that check themselves and a function that trusts them. Nothing to inherit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Points
from shoal.engine.density.density_tree import Density
from shoal.engine.layers.layers import Layers
from shoal.engine.neighbors.neighborhood import Neighborhood
from shoal.engine.plan import MOST_SEED, Progress
from shoal.errors import InvalidField

__all__ = ["Algorithm", "Assign", "Fit", "Fitter", "Labelled", "check_flag", "check_number", "check_one_of"]
__all__ += ["MOST_CLUSTERS", "MOST_NEIGHBORS", "MOST_STARTS", "MOST_STEPS"]
__all__ += ["assign_nothing", "check_seed", "check_share", "check_whole", "nothing_found"]

Strengths = NDArray[np.float32]
MOST_CLUSTERS: Final = 1_000_000
MOST_STARTS: Final = 1_000
MOST_STEPS: Final = 100_000
MOST_NEIGHBORS: Final = 1_000
"""Bounds of parameters beyond which nobody finds more, and nobody could say what a run will cost."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A cluster for each row: `labels` (n,) int64, in any numbering 0..k-1, -1 for noise; `strengths` (n,) in 0..1, 0
    for noise."""

    labels: NDArray[np.int64]
    strengths: Strengths


Assign = Callable[[Points, int, Progress], Labelled]
"""Finds the cluster of rows that were not fitted: (points, threads, progress)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What an algorithm found. `params` holds the parameters whose value in effect is not the one given."""

    labelled: Labelled
    assign: Assign
    params: Mapping[str, object] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    density: Density | None = None
    neighborhood: Neighborhood | None = None
    """The neighbours of the rows that were fitted, where they were searched anyway."""
    layers: Layers | None = None
    """Several granularities of the rows that were fitted; the chosen one is `labelled`."""
    exact: bool = True
    """False where an approximation stands in for what the algorithm asks for; `warnings` says which."""
    assigns_all: bool = False
    """Whether `assign` puts rows into a cluster however far from it they are."""


ParamsT = TypeVar("ParamsT", contravariant=True)


class Fitter(Protocol[ParamsT]):
    """Finds clusters among rows: `points` is (n, d) float32, n may be 0. Never writes into `points`."""

    def __call__(self, points: Points, params: ParamsT, *, seed: int, threads: int, progress: Progress) -> Fit: ...


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A row of the registry. `params` is a frozen dataclass; what it holds is what `fit` takes."""

    params: type[Any]
    fit: Fitter[Any]


def assign_nothing(points: Points, threads: int, progress: Progress) -> Labelled:
    """All rows are noise: there was nothing to fit."""
    del threads, progress
    return nothing_found(len(points))


def nothing_found(total: int) -> Labelled:
    """All noise."""
    return Labelled(np.full(total, NOISE, np.int64), np.zeros(total, np.float32))


def check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """Raises InvalidField unless `value` is a whole number, at least `least` and at most `most`."""
    if most is not None and isinstance(value, int) and value > most:
        raise InvalidField(name, f"must be at most {most:,}", value=value)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidField(name, f"must be a whole number of at least {least}", value=value)


def check_seed(name: str, value: object) -> None:
    """Raises InvalidField unless `value` is a whole number in 0..2^32 - 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value <= MOST_SEED:
        raise InvalidField(name, f"must be a whole number from 0 to {MOST_SEED}", value=value)


def check_number(name: str, value: object, least: float, *, open_end: bool = False) -> None:
    """Raises InvalidField unless `value` is a finite number, at least `least` or, with `open_end`, above it."""
    rule = f"must be a finite number {'above' if open_end else 'of at least'} {least:g}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise InvalidField(name, rule, value=value)
    if value < least or (open_end and value == least):
        raise InvalidField(name, rule, value=value)


def check_share(name: str, value: object) -> None:
    """Raises InvalidField unless `value` is a number in 0..1."""
    check_number(name, value, 0)
    if isinstance(value, int | float) and value > 1:
        raise InvalidField(name, "must be in 0..1", value=value)


def check_one_of(name: str, value: object, options: Sequence[str]) -> None:
    """Raises InvalidField unless `value` is one of `options`."""
    if value not in options:
        raise InvalidField(name, f"must be {' or '.join(options)}", value=value)


def check_flag(name: str, value: object) -> None:
    """Raises InvalidField unless `value` is true or false."""
    if not isinstance(value, bool):
        raise InvalidField(name, "must be true or false", value=value)
