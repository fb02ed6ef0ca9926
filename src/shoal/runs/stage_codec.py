"""What a stage made, as arrays and JSON, and back: to the last bit, and nothing but the classes named here."""

from collections.abc import Mapping
from typing import Any, Final

from numpy.typing import NDArray

from shoal.analysis.found_clusters import FoundClusters
from shoal.analysis.record_codec import Arrays, RecordCodec
from shoal.engine.layers.members import LayerMembers
from shoal.engine.model_records import OUTCOME_RECORDS
from shoal.labeling import Name
from shoal.runs.grouping.assigned_groups import AssignedGroups
from shoal.runs.grouping.attribute_groups import ValueGroups
from shoal.runs.grouping.feature_groups import FeatureGroups
from shoal.runs.grouping.feature_space import FeatureSpace
from shoal.runs.grouping.groups import GroupTables
from shoal.runs.grouping.vector_groups import VectorGroups

__all__ = ["decoded", "encoded"]

_CODEC: Final = RecordCodec(
    [
        *(*OUTCOME_RECORDS, LayerMembers, FoundClusters, FeatureSpace, Name),
        *(VectorGroups, FeatureGroups, ValueGroups, AssignedGroups, GroupTables),
    ]
)


def encoded(value: object) -> tuple[Arrays, Any]:
    """The arrays by name, and the JSON. Raises TypeError for what no stage makes."""
    return _CODEC.encoded(value)


def decoded(arrays: Mapping[str, NDArray[Any]], told: Any) -> Any:
    """The value that was encoded. Raises KeyError, TypeError, ValueError for what was not."""
    return _CODEC.decoded(arrays, told)
