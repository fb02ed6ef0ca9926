"""Streaming accumulators of an aggregation. The state of a group does not grow with its rows, except where the result
itself does, and that is metered."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

import orjson

from shoal.errors import InvalidField

__all__ = ["ACCUMULATORS", "Accumulator", "Meter", "canonical_json"]

_MAX_VALUES: Final = 10_000
_VALUE_BYTES: Final = 100
_EXPANSION: Final = 4
"""The memory of a value as a multiple of its JSON, approximately."""


def canonical_json(value: Any) -> str:
    """Return a text that is the same for equal values."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


class Meter:
    """The memory budget of all groups together, in bytes."""

    def __init__(self, most: int) -> None:
        self._left, self._most = most, most

    def spend(self, size: int) -> None:
        """Reserve `size` bytes. Raises InvalidField where the budget is exceeded."""
        self._left -= size
        if self._left < 0:
            raise InvalidField(
                "aggregations",
                f"groups and values would take more than {self._most // 2**20} MiB",
                remedy="Group by fewer fields, ask for fewer aggregations or values, or narrow it down with filters.",
            )


class Accumulator(Protocol):
    """Accumulates the values of one field in one group; missing values are not passed in."""

    def add(self, value: Any) -> None: ...

    def result(self) -> Any: ...


class _Count:
    __slots__ = ("_count",)

    def __init__(self, meter: Meter) -> None:
        self._count = 0

    def add(self, value: Any) -> None:
        self._count += 1

    def result(self) -> int:
        return self._count


class _Sum:
    """The sum of the numbers: exact for integers, with Neumaier's correction for floats."""

    __slots__ = ("_correction", "_count", "_float", "_has_float", "_whole")

    def __init__(self, meter: Meter) -> None:
        self._whole, self._float, self._correction, self._count = 0, 0.0, 0.0, 0
        self._has_float = False

    def add(self, value: Any) -> None:
        if type(value) is int:
            self._whole += value
        elif type(value) is float:
            self._has_float = True
            total = self._float + value
            larger, smaller = (self._float, value) if abs(self._float) >= abs(value) else (value, self._float)
            self._correction += (larger - total) + smaller
            self._float = total
        else:
            return
        self._count += 1

    def result(self) -> int | float:
        """The sum, as a float where it exceeds 64 bits."""
        if self._has_float:
            return self._float + self._correction + self._whole
        return self._whole if -(2**63) <= self._whole < 2**63 else float(self._whole)


class _Mean(_Sum):
    __slots__ = ()

    def result(self) -> float | None:  # type: ignore[override]  # None without numbers
        return super().result() / self._count if self._count else None


class _SingleValue:
    """Base of accumulators that hold one value, metered by the largest so far."""

    __slots__ = ("_meter", "_size", "_value")

    def __init__(self, meter: Meter) -> None:
        self._meter, self._size = meter, 0
        self._value: Any = None

    def store(self, value: Any) -> None:
        if type(value) in (str, list, dict):
            size = len(value) if type(value) is str else _EXPANSION * len(canonical_json(value))
            if size > self._size:
                self._meter.spend(size - self._size)
                self._size = size
        self._value = value

    def result(self) -> Any:
        return self._value


class _First(_SingleValue):
    __slots__ = ()

    def add(self, value: Any) -> None:
        if self._value is None:
            self.store(value)


class _Last(_SingleValue):
    __slots__ = ()

    def add(self, value: Any) -> None:
        self.store(value)


class _Extreme(_SingleValue):
    """The smallest or largest number; of text where there are no numbers."""

    __slots__ = ()

    def wins(self, value: Any, current: Any) -> bool:
        raise NotImplementedError

    def add(self, value: Any) -> None:
        current = self._value
        if type(value) in (int, float):
            if current is None or isinstance(current, str) or self.wins(value, current):
                self.store(value)
        elif type(value) is str and (current is None or (isinstance(current, str) and self.wins(value, current))):
            self.store(value)


class _Least(_Extreme):
    __slots__ = ()

    def wins(self, value: Any, current: Any) -> bool:
        return bool(value < current)


class _Greatest(_Extreme):
    __slots__ = ()

    def wins(self, value: Any, current: Any) -> bool:
        return bool(value > current)


class _Distinct:
    """The number of distinct values."""

    __slots__ = ("_identities", "_meter")

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._identities: set[str] = set()

    def add(self, value: Any) -> None:
        identity = canonical_json(value)
        if identity not in self._identities:
            self._meter.spend(_VALUE_BYTES + len(identity))
            self._identities.add(identity)

    def result(self) -> int:
        return len(self._identities)


class _List:
    """The first values."""

    __slots__ = ("_meter", "_values")

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._values: list[Any] = []

    def add(self, value: Any) -> None:
        if len(self._values) < _MAX_VALUES:
            self._meter.spend(_VALUE_BYTES + _EXPANSION * len(canonical_json(value)))
            self._values.append(value)

    def result(self) -> list[Any]:
        return self._values


class _Set:
    """The first distinct values."""

    __slots__ = ("_meter", "_values")

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._values: dict[str, Any] = {}

    def add(self, value: Any) -> None:
        identity = canonical_json(value)
        if identity not in self._values and len(self._values) < _MAX_VALUES:
            self._meter.spend(_VALUE_BYTES + (_EXPANSION + 1) * len(identity))
            self._values[identity] = value

    def result(self) -> list[Any]:
        return list(self._values.values())


ACCUMULATORS: Final[Mapping[str, Callable[[Meter], Accumulator]]] = MappingProxyType(
    {
        "count": _Count,
        "count_distinct": _Distinct,
        "sum": _Sum,
        "avg": _Mean,
        "min": _Least,
        "max": _Greatest,
        "first": _First,
        "last": _Last,
        "push": _List,
        "add_to_set": _Set,
    }
)
