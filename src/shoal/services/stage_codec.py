"""What a stage made, as arrays and JSON, and back: to the last bit, and nothing but the classes named here."""

from collections.abc import Mapping
from typing import Any, Final

from numpy.typing import NDArray

from shoal.columns import VectorColumn
from shoal.engine.clustering import Clustered
from shoal.engine.density import Density
from shoal.engine.layers import Layer, Layers
from shoal.engine.near_duplicates import NearDuplicates
from shoal.engine.neighbor_lists import NeighborLists
from shoal.engine.neighborhood import Neighborhood
from shoal.engine.outcome import Outcome
from shoal.engine.row_keys import Distinct
from shoal.engine.tree_table import CondensedTreeTable
from shoal.services.feature_space import FeatureSpace
from shoal.services.groups import Groups
from shoal.services.record_codec import Arrays, RecordCodec

__all__ = ["STAGE_RECORDS", "decoded", "encoded"]

STAGE_RECORDS: Final[tuple[type[Any], ...]] = (
    Clustered, CondensedTreeTable, Density, Distinct, FeatureSpace, Groups, Layer, Layers, NearDuplicates,
    NeighborLists, Neighborhood, Outcome, VectorColumn,
)  # fmt: skip
_CODEC: Final = RecordCodec(STAGE_RECORDS)


def encoded(value: object) -> tuple[Arrays, Any]:
    """The arrays by name, and the JSON. Raises TypeError for what no stage makes."""
    return _CODEC.encoded(value)


def decoded(arrays: Mapping[str, NDArray[Any]], told: Any) -> Any:
    """The value that was encoded. Raises KeyError, TypeError, ValueError for what was not."""
    return _CODEC.decoded(arrays, told)
