"""The input of the engine: a plan, validated by the caller, and progress callbacks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

__all__ = ["MAX_SEED", "CentroidMethod", "DistanceMetric", "Plan", "Progress", "Pulse", "StageCache"]
__all__ += ["bypass_cache", "ignore_progress", "ignore_pulse", "make_monotonic", "pulse_at", "scale_progress"]

T = TypeVar("T")

MAX_SEED: Final = 2**32 - 1
"""The largest seed, as in NumPy and scikit-learn."""

CentroidMethod = Literal["mean", "median", "medoid"]
DistanceMetric = Literal["cosine", "euclidean"]
Progress: TypeAlias = Callable[[str, float], None]
"""Called with a stage name and the fraction of that stage that is done; may raise Cancelled."""
Pulse: TypeAlias = Callable[[], None]
"""Called several times a second by work that cannot estimate its progress; may raise Cancelled."""


def ignore_progress(stage: str, fraction: float) -> None:
    """No-op progress callback."""


def scale_progress(progress: Progress, stage: str, start: float, stop: float) -> Progress:
    """Progress callback for a part of a stage: fractions map to `start`..`stop` of that stage."""
    return lambda _, fraction: progress(stage, start + (stop - start) * fraction)


def pulse_at(progress: Progress, stage: str, fraction: float) -> Pulse:
    """Pulse that reports the same fraction of the stage on every call."""
    return partial(progress, stage, fraction)


def ignore_pulse() -> None:
    """No-op pulse."""


def make_monotonic(progress: Progress) -> Progress:
    """Progress callback that never goes backwards within a stage, even where parts of it overlap."""
    reached: dict[str, float] = {}

    def report(stage: str, fraction: float) -> None:
        reached[stage] = max(reached.get(stage, 0.0), min(fraction, 1.0))
        progress(stage, reached[stage])

    return report


class StageCache(Protocol):
    """Returns the result of a stage: from an earlier attempt at the same clustering, or by calling `make`."""

    def __call__(self, stage: str, make: Callable[[], T]) -> T: ...


def bypass_cache(stage: str, make: Callable[[], T]) -> T:
    """A `StageCache` that never caches."""
    return make()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Complete specification of one clustering."""

    algorithm: str
    """A key of `ALGORITHMS`."""
    params: Mapping[str, object] = field(default_factory=dict)
    """Keyword arguments of that algorithm's parameter class."""
    normalize: bool = True
    """Scale rows to unit length first, so that Euclidean order equals cosine order. Zero rows are rejected."""
    centroid_method: CentroidMethod = "mean"
    sample_size: int | None = None
    """Fit on this many rows, drawn uniformly, and assign the others to the resulting clusters."""
    hierarchy_depth: int = 1
    """Levels of granularity, including the clusters themselves."""
    components: Literal[0, 2, 3] = 2
    """Dimensions of the map; 0 for no map."""
    layout_stability: Literal["none", "align", "transform"] = "none"
    """How to reuse a previous map, see `map.stability.revise_map`."""
    keep_model: bool = False
    """Whether the outcome can assign new rows; density and graph methods then keep the fitted rows."""
    seed: int = 42
    """0 to `MAX_SEED`."""
    threads: int = 0
    """0 for all cores."""
