"""The classes and functions that saved clusterings and stored stages may contain."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from shoal.columns import VectorColumn
from shoal.engine.algorithms import ALGORITHMS
from shoal.engine.algorithms.fitted_rows import FittedRows, as_they_are
from shoal.engine.algorithms.gaussian_mixture import FittedMixture
from shoal.engine.algorithms.hdbscan import Members, Space
from shoal.engine.algorithms.leiden import CommunityVotes
from shoal.engine.algorithms.metric import Metric
from shoal.engine.algorithms.neighbor_votes import NeighborVotes
from shoal.engine.assignments import assign_nothing
from shoal.engine.clustering import Clustered
from shoal.engine.density.density_tree import Density
from shoal.engine.density.tree_table import CondensedTreeTable
from shoal.engine.known_rows import KnownRows
from shoal.engine.layers.layers import Layer, Layers
from shoal.engine.model import Model
from shoal.engine.neighbors.lists import NeighborLists
from shoal.engine.neighbors.near_duplicates import NearDuplicates
from shoal.engine.neighbors.neighborhood import Neighborhood
from shoal.engine.outcome import Outcome
from shoal.engine.prediction import Assigner, Places, Reach
from shoal.engine.rows.row_keys import Distinct

__all__ = ["MODEL_FUNCTIONS", "MODEL_RECORDS", "OUTCOME_RECORDS"]

OUTCOME_RECORDS: Final[tuple[type[Any], ...]] = (
    Clustered, CondensedTreeTable, Density, Distinct, Layer, Layers, NearDuplicates, NeighborLists, Neighborhood,
    Outcome, VectorColumn,
)  # fmt: skip
MODEL_RECORDS: Final[tuple[type[Any], ...]] = (
    Assigner, CommunityVotes, FittedMixture, FittedRows, KnownRows, Members, Metric, Model, NeighborVotes, Places,
    Reach, Space, *(entry.params for entry in ALGORITHMS.values()),
)  # fmt: skip
MODEL_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    entry.__name__: entry for entry in (as_they_are, assign_nothing)
}
