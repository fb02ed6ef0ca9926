"""What goes into the engine. Already checked when it gets here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

__all__ = ["MAX_SEED", "CentroidMethod", "DistanceMetric", "Plan", "Progress", "Pulse", "StageCache"]
__all__ += ["bypass_cache", "ignore_progress", "ignore_pulse", "make_monotonic", "pulse_at", "scale_progress"]

T = TypeVar("T")

MAX_SEED: Final = 2**32 - 1
"""The largest seed, as for NumPy and scikit-learn."""

CentroidMethod = Literal["mean", "median", "medoid"]
DistanceMetric = Literal["cosine", "euclidean"]
Progress: TypeAlias = Callable[[str, float], None]
"""Called with a stage name and the fraction of it that is done; may raise Cancelled."""
Pulse: TypeAlias = Callable[[], None]
"""Called several times a second by what cannot say how far it is; may raise Cancelled."""


def ignore_progress(stage: str, fraction: float) -> None:
    """The progress of somebody who does not want to know."""


def scale_progress(progress: Progress, stage: str, start: float, stop: float) -> Progress:
    """A progress for a part of a stage: whatever it is told counts from `start` to `stop` of that stage."""
    return lambda _, fraction: progress(stage, start + (stop - start) * fraction)


def pulse_at(progress: Progress, stage: str, fraction: float) -> Pulse:
    """A pulse that reports the same fraction of the stage each time."""
    return partial(progress, stage, fraction)


def ignore_pulse() -> None:
    """The pulse of a caller that does not watch."""


def make_monotonic(progress: Progress) -> Progress:
    """A progress that is never told less of a stage than before, however its parts overlap."""
    reached: dict[str, float] = {}

    def tell(stage: str, fraction: float) -> None:
        reached[stage] = max(reached.get(stage, 0.0), min(fraction, 1.0))
        progress(stage, reached[stage])

    return tell


class StageCache(Protocol):
    """Gives what a stage makes: as an earlier attempt at the same clustering left it, or made now."""

    def __call__(self, stage: str, make: Callable[[], T]) -> T: ...


def bypass_cache(stage: str, make: Callable[[], T]) -> T:
    """The `StageCache` of somebody who keeps nothing."""
    return make()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One clustering, told completely."""

    algorithm: str
    """A name in `ALGORITHMS`."""
    params: Mapping[str, object] = field(default_factory=dict)
    """Keyword arguments of that algorithm's Params."""
    normalize: bool = True
    """Scale each row to unit length first, so that Euclidean order is cosine order. Zero rows are refused."""
    centroid_method: CentroidMethod = "mean"
    sample_size: int | None = None
    """Fit on this many rows, chosen uniformly; all others are assigned to the clusters found."""
    hierarchy_depth: int = 1
    """Levels of granularity, the clusters themselves counted."""
    components: Literal[0, 2, 3] = 2
    """Dimensions of the map; 0 for none."""
    layout_stability: Literal["none", "align", "transform"] = "none"
    """What a map made before means for this one, see `map_stability.lay_out_again`."""
    keep_model: bool = False
    """Whether the outcome can place new rows; density and graph methods keep the rows for it."""
    seed: int = 42
    """0 to `MAX_SEED`."""
    threads: int = 0
    """0 takes all cores."""
