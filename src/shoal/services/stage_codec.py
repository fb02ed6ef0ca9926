"""What a stage made, as arrays and JSON, and back: to the last bit, and nothing but the classes named here.

A value of JSON stands for itself; everything else is an object with one key, which tells what it is:
`{"array": i}` and `{"ragged": [i, j]}` (rows j of i, one after the other) point into the arrays, `{"record": [class,
{field: value}]}`, `{"table": i}` (an Arrow stream), `{"tuple": [...]}`, `{"map": {...}}`, `{"number": "nan"}`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
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

__all__ = ["decoded", "encoded"]

Arrays = dict[str, NDArray[Any]]
_RECORDS: Final[Mapping[str, type[Any]]] = {
    kind.__name__: kind
    for kind in (
        Clustered, CondensedTreeTable, Density, Distinct, FeatureSpace, Groups, Layer, Layers, NearDuplicates,
        NeighborLists, Neighborhood, Outcome, VectorColumn,
    )
}  # fmt: skip
_PLAIN: Final = (str, int, bool, type(None))


def encoded(value: object) -> tuple[Arrays, Any]:
    """The arrays by name, and the JSON. Raises TypeError for what no stage makes."""
    arrays: Arrays = {}
    return arrays, _encode(value, arrays)


def decoded(arrays: Mapping[str, NDArray[Any]], told: Any) -> Any:
    """The value that was encoded. Raises KeyError, TypeError, ValueError for what was not."""
    if isinstance(told, list):
        return [decoded(arrays, one) for one in told]
    if not isinstance(told, dict):
        return told
    ((kind, content),) = told.items()
    match kind:
        case "array":
            return arrays[content]
        case "ragged":
            flat, ends = arrays[content[0]], arrays[content[1]].tolist()
            return [flat[start:end] for start, end in pairwise([0, *ends])]
        case "record":
            return _RECORDS[content[0]](**{name: decoded(arrays, one) for name, one in content[1].items()})
        case "table":
            return pa.ipc.open_stream(pa.py_buffer(arrays[content])).read_all()
        case "tuple":
            return tuple(decoded(arrays, one) for one in content)
        case "map":
            return {name: decoded(arrays, one) for name, one in content.items()}
        case "number":
            return float(content)
    raise ValueError(f"A checkpoint holds {kind!r}.")


def _encode(value: Any, arrays: Arrays) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if np.isfinite(value) else {"number": str(value)}
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, np.ndarray):
        return {"array": _added(arrays, np.ascontiguousarray(value))}
    if isinstance(value, pa.Table):
        return {"table": _added(arrays, _stream(value))}
    if isinstance(value, Mapping):
        return {"map": {_text(name): _encode(one, arrays) for name, one in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [_encode(one, arrays) for one in value]}
    if isinstance(value, Sequence):
        return _rows(value, arrays) if _alike(value) else [_encode(one, arrays) for one in value]
    return _record(value, arrays)


def _record(value: Any, arrays: Arrays) -> Any:
    name = type(value).__name__
    if not is_dataclass(value) or _RECORDS.get(name) is not type(value):
        raise TypeError(f"A stage made a {name}, which no checkpoint can hold.")
    return {"record": [name, {field.name: _encode(getattr(value, field.name), arrays) for field in fields(value)}]}


def _alike(values: Sequence[Any]) -> bool:
    """Whether these are rows of one kind: thousands of small arrays are kept as two large ones."""
    kinds = {value.dtype if isinstance(value, np.ndarray) and value.ndim == 1 else None for value in values}
    return len(kinds) == 1 and None not in kinds


def _rows(values: Sequence[NDArray[Any]], arrays: Arrays) -> Any:
    ends = np.cumsum([len(value) for value in values], dtype=np.int64)
    return {"ragged": [_added(arrays, np.concatenate(values)), _added(arrays, ends)]}


def _added(arrays: Arrays, array: NDArray[Any]) -> str:
    name = str(len(arrays))
    arrays[name] = array
    return name


def _stream(table: pa.Table) -> NDArray[np.uint8]:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return np.frombuffer(sink.getvalue(), np.uint8)


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"A stage made a mapping with the key {name!r}; keys of a checkpoint are text.")
    return name
