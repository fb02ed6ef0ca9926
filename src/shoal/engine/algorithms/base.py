"""The interface of an algorithm: a parameter class that validates itself, and a fit function that relies on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import numpy as np

from shoal.columns import Points
from shoal.engine.assignments import Assign, Assignments
from shoal.engine.density.density_tree import Density
from shoal.engine.layers.layers import Layers
from shoal.engine.neighbors.neighborhood import Neighborhood
from shoal.engine.plan import MAX_SEED, Progress
from shoal.errors import InvalidField

__all__ = ["Algorithm", "Fit", "Fitter", "check_bool", "check_choice", "check_number"]
__all__ += ["MAX_CLUSTERS", "MAX_NEIGHBORS", "MAX_STARTS", "MAX_STEPS"]
__all__ += ["check_fraction", "check_integer", "check_seed"]

MAX_CLUSTERS: Final = 1_000_000
MAX_STARTS: Final = 1_000
MAX_STEPS: Final = 100_000
MAX_NEIGHBORS: Final = 1_000
"""Upper bounds of parameters: larger values bring nothing, and the cost of a run could not be estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The result of an algorithm. `params` holds the parameters whose effective value differs from the given one."""

    assignments: Assignments
    assign: Assign
    params: Mapping[str, object] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    density: Density | None = None
    neighborhood: Neighborhood | None = None
    """The neighbours of the fitted rows, if the algorithm computed them."""
    layers: Layers | None = None
    """Several granularities of the fitted rows; the chosen one is `assignments`."""
    exact: bool = True
    """False if an approximation was used; `warnings` says which."""
    assigns_all: bool = False
    """Whether `assign` puts a row into a cluster at any distance."""


ParamsT = TypeVar("ParamsT", contravariant=True)


class Fitter(Protocol[ParamsT]):
    """Finds clusters among the rows of `points`, (n, d) float32, n may be 0. Never writes into `points`."""

    def __call__(self, points: Points, params: ParamsT, *, seed: int, threads: int, progress: Progress) -> Fit: ...


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A registry entry. `params` is a frozen dataclass, which `fit` takes."""

    params: type[Any]
    fit: Fitter[Any]


def check_integer(name: str, value: object, least: int, most: int | None = None) -> None:
    """Raises InvalidField unless `value` is an integer in `least`..`most`."""
    if most is not None and isinstance(value, int) and value > most:
        raise InvalidField(name, f"must be at most {most:,}", value=value)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidField(name, f"must be a whole number of at least {least}", value=value)


def check_seed(name: str, value: object) -> None:
    """Raises InvalidField unless `value` is an integer in 0..2^32 - 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value <= MAX_SEED:
        raise InvalidField(name, f"must be a whole number from 0 to {MAX_SEED}", value=value)


def check_number(name: str, value: object, least: float, *, open_end: bool = False) -> None:
    """Raises InvalidField unless `value` is a finite number, at least `least` or, with `open_end`, above it."""
    rule = f"must be a finite number {'above' if open_end else 'of at least'} {least:g}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise InvalidField(name, rule, value=value)
    if value < least or (open_end and value == least):
        raise InvalidField(name, rule, value=value)


def check_fraction(name: str, value: object) -> None:
    """Raises InvalidField unless `value` is a number in 0..1."""
    check_number(name, value, 0)
    if isinstance(value, int | float) and value > 1:
        raise InvalidField(name, "must be in 0..1", value=value)


def check_choice(name: str, value: object, options: Sequence[str]) -> None:
    """Raises InvalidField unless `value` is one of `options`."""
    if value not in options:
        raise InvalidField(name, f"must be {' or '.join(options)}", value=value)


def check_bool(name: str, value: object) -> None:
    """Raises InvalidField unless `value` is true or false."""
    if not isinstance(value, bool):
        raise InvalidField(name, "must be true or false", value=value)
