"""What a stage made, as arrays and JSON, and back: to the last bit, and nothing but the classes named here."""

from collections.abc import Mapping
from typing import Any, Final

from numpy.typing import NDArray

from shoal.analysis.record_codec import Arrays, RecordCodec
from shoal.engine.model_records import OUTCOME_RECORDS
from shoal.runs.grouping.feature_space import FeatureSpace
from shoal.runs.grouping.groups import Groups

__all__ = ["decoded", "encoded"]

_CODEC: Final = RecordCodec([*OUTCOME_RECORDS, FeatureSpace, Groups])


def encoded(value: object) -> tuple[Arrays, Any]:
    """The arrays by name, and the JSON. Raises TypeError for what no stage makes."""
    return _CODEC.encoded(value)


def decoded(arrays: Mapping[str, NDArray[Any]], told: Any) -> Any:
    """The value that was encoded. Raises KeyError, TypeError, ValueError for what was not."""
    return _CODEC.decoded(arrays, told)
