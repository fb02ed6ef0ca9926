"""Serialisation of the results of stages as arrays and JSON: lossless, and only for the classes named here."""

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

__all__ = ["decode", "encode"]

_CODEC: Final = RecordCodec(
    [
        *(*OUTCOME_RECORDS, LayerMembers, FoundClusters, FeatureSpace, Name),
        *(VectorGroups, FeatureGroups, ValueGroups, AssignedGroups, GroupTables),
    ]
)


def encode(value: object) -> tuple[Arrays, Any]:
    """Return the arrays by name, and the JSON. Raises TypeError for values of other classes."""
    return _CODEC.encode(value)


def decode(arrays: Mapping[str, NDArray[Any]], tree: Any) -> Any:
    """Restore a value. Raises KeyError, TypeError or ValueError for input that `encode` did not produce."""
    return _CODEC.decode(arrays, tree)
