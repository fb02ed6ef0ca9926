"""What models consist of: the classes and functions of which a saved clustering may be made again, and no others."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from shoal.engine.algorithms import ALGORITHMS
from shoal.engine.algorithms.base import assign_nothing
from shoal.engine.algorithms.fitted_rows import FittedRows, as_they_are
from shoal.engine.algorithms.gaussian_mixture import FittedMixture
from shoal.engine.algorithms.hdbscan import Members, Space
from shoal.engine.algorithms.leiden import CommunityVotes
from shoal.engine.algorithms.metric import Metric
from shoal.engine.algorithms.neighbor_votes import NeighborVotes
from shoal.engine.known_rows import KnownRows
from shoal.engine.model import Model
from shoal.engine.prediction import Assigner, Places, Reach

__all__ = ["MODEL_FUNCTIONS", "MODEL_RECORDS"]

MODEL_RECORDS: Final[tuple[type[Any], ...]] = (
    Assigner, CommunityVotes, FittedMixture, FittedRows, KnownRows, Members, Metric, Model, NeighborVotes, Places,
    Reach, Space, *(one.params for one in ALGORITHMS.values()),
)  # fmt: skip
MODEL_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {one.__name__: one for one in (as_they_are, assign_nothing)}
