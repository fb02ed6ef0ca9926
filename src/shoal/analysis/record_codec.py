"""Serialisation of values of registered classes as arrays and JSON: lossless, and without pickle.

A JSON value stands for itself; everything else is an object with one key, which says what it is:
`{"array": i}` and `{"ragged": [i, j]}` (rows j of i, one after the other) point into the arrays, `{"record": [class,
{field: value}]}`, `{"method": [record, name]}`, `{"function": name}`, `{"table": i}` (an Arrow stream), `{"texts": i}`
(the one column of such), `{"tuple": [...]}`, `{"map": {...}}`, `{"number": "nan"}`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import pairwise
from types import MethodType
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["Arrays", "RecordCodec"]

Arrays = dict[str, NDArray[Any]]
_PLAIN: Final = (str, int, bool, type(None))
_FEW: Final = 64
"""Longer lists of texts are stored as an Arrow column."""


class RecordCodec:
    """Encodes and decodes values made of arrays, JSON, and registered classes and functions.

    Parameters
    ----------
    records
        Data classes; their bound methods can be encoded too.
    functions
        Functions by name.
    """

    def __init__(self, records: Iterable[type[Any]], functions: Mapping[str, Callable[..., Any]] | None = None) -> None:
        self._records = {kind.__name__: kind for kind in records}
        self._functions = functions or {}

    def encode(self, value: object) -> tuple[Arrays, Any]:
        """Return the arrays by name, and the JSON. Raises TypeError for an unregistered class."""
        arrays: Arrays = {}
        return arrays, self._encode(value, arrays)

    def decode(self, arrays: Mapping[str, NDArray[Any]], tree: Any) -> Any:
        """Restore a value. Raises KeyError, TypeError or ValueError for input that `encode` did not produce."""
        if isinstance(tree, list):
            return [self.decode(arrays, item) for item in tree]
        if not isinstance(tree, dict):
            return tree
        ((kind, content),) = tree.items()
        match kind:
            case "record":
                field_values = {name: self.decode(arrays, item) for name, item in content[1].items()}
                return self._records[content[0]](**field_values)
            case "method":
                return self._method(self.decode(arrays, content[0]), content[1])
            case "function":
                return self._functions[content]
            case "tuple":
                return tuple(self.decode(arrays, item) for item in content)
            case "map":
                return {name: self.decode(arrays, item) for name, item in content.items()}
            case "number":
                return float(content)
        return _read_arrays(arrays, kind, content)

    def _method(self, record: Any, name: str) -> Any:
        if self._records.get(type(record).__name__) is not type(record) or name.startswith("_"):
            raise ValueError(f"{name!r} is not a method of a record.")
        return getattr(record, name)

    def _encode(self, value: Any, arrays: Arrays) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, float):
            return value if np.isfinite(value) else {"number": str(value)}
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, np.ndarray):
            return {"array": _add_array(arrays, np.ascontiguousarray(value))}
        if isinstance(value, pa.Table):
            return {"table": _add_array(arrays, _stream(value))}
        if isinstance(value, Mapping):
            return {"map": {_text(name): self._encode(item, arrays) for name, item in value.items()}}
        if isinstance(value, tuple):
            return {"tuple": [self._encode(item, arrays) for item in value]}
        if isinstance(value, Sequence):
            return self._list(value, arrays)
        if isinstance(value, MethodType):
            return {"method": [self._record(value.__self__, arrays), value.__name__]}
        return self._function(value) if callable(value) else self._record(value, arrays)

    def _list(self, values: Sequence[Any], arrays: Arrays) -> Any:
        if _alike(values):
            return _rows(values, arrays)
        if len(values) > _FEW and all(isinstance(value, str) for value in values):
            return {"texts": _add_array(arrays, _stream(pa.table({"text": pa.array(values, pa.large_string())})))}
        return [self._encode(item, arrays) for item in values]

    def _function(self, value: Any) -> Any:
        name = getattr(value, "__name__", "")
        if self._functions.get(name) is not value:
            raise TypeError(f"The function {name} cannot be encoded.")
        return {"function": name}

    def _record(self, value: Any, arrays: Arrays) -> Any:
        name = type(value).__name__
        if not is_dataclass(value) or self._records.get(name) is not type(value):
            raise TypeError(f"A {name} cannot be encoded.")
        own = {field.name: self._encode(getattr(value, field.name), arrays) for field in fields(value) if field.init}
        return {"record": [name, own]}


def _read_arrays(arrays: Mapping[str, NDArray[Any]], kind: str, content: Any) -> Any:
    """Decode a value that is stored in the arrays."""
    if kind == "array":
        return arrays[content]
    if kind == "ragged":
        flat, ends = arrays[content[0]], arrays[content[1]].tolist()
        return [flat[start:end] for start, end in pairwise([0, *ends])]
    if kind in ("table", "texts"):
        table = pa.ipc.open_stream(pa.py_buffer(arrays[content])).read_all()
        return table if kind == "table" else table.column(0).to_pylist()
    raise ValueError(f"{kind!r} is not a kind of value.")


def _alike(values: Sequence[Any]) -> bool:
    """Whether these are one-dimensional arrays of one dtype: thousands of small arrays are stored as two large ones."""
    kinds = {value.dtype if isinstance(value, np.ndarray) and value.ndim == 1 else None for value in values}
    return len(kinds) == 1 and None not in kinds


def _rows(values: Sequence[NDArray[Any]], arrays: Arrays) -> Any:
    ends = np.cumsum([len(value) for value in values], dtype=np.int64)
    return {"ragged": [_add_array(arrays, np.concatenate(values)), _add_array(arrays, ends)]}


def _add_array(arrays: Arrays, array: NDArray[Any]) -> str:
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
        raise TypeError(f"A mapping has the key {name!r}; keys are text.")
    return name
