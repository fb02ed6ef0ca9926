"""The numbers of an aggregation, one value at a time: what is kept of a group does not grow with its rows, except where
the answer itself does, and that is metered."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

import orjson

from shoal.errors import InvalidField

__all__ = ["ACCUMULATORS", "Accumulator", "Meter", "identity_of"]

_MOST_LISTED: Final = 10_000
_VALUE_BYTES: Final = 100
_EXPANSION: Final = 4
"""How many times its JSON a value takes in memory, or a little less."""


def identity_of(value: Any) -> str:
    """The same for equal values."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


class Meter:
    """Counts what all groups together keep, in bytes."""

    def __init__(self, most: int) -> None:
        self._left, self._most = most, most

    def spend(self, size: int) -> None:
        """Raises InvalidField where there is not so much left."""
        self._left -= size
        if self._left < 0:
            raise InvalidField(
                "aggregations",
                f"groups and values would take more than {self._most // 2**20} MiB",
                remedy="Group by fewer fields, ask for fewer aggregations or values, or narrow it down with filters.",
            )


class Accumulator(Protocol):
    """Takes the values of one field in one group, without missing ones."""

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
    """Of the numbers. Integers exactly; floats with Neumaier's correction, so that many small ones are not lost."""

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
        """As a float where it is an integer that no reader of JSON can hold."""
        if self._has_float:
            return self._float + self._correction + self._whole
        return self._whole if -(2**63) <= self._whole < 2**63 else float(self._whole)


class _Mean(_Sum):
    __slots__ = ()

    def result(self) -> float | None:  # type: ignore[override]  # null of no numbers
        return super().result() / self._count if self._count else None


class _Kept:
    """One value of many, metered at its largest."""

    __slots__ = ("_held", "_meter", "_value")

    def __init__(self, meter: Meter) -> None:
        self._meter, self._held = meter, 0
        self._value: Any = None

    def keep(self, value: Any) -> None:
        if type(value) in (str, list, dict):
            size = len(value) if type(value) is str else _EXPANSION * len(identity_of(value))
            if size > self._held:
                self._meter.spend(size - self._held)
                self._held = size
        self._value = value

    def result(self) -> Any:
        return self._value


class _First(_Kept):
    __slots__ = ()

    def add(self, value: Any) -> None:
        if self._value is None:
            self.keep(value)


class _Last(_Kept):
    __slots__ = ()

    def add(self, value: Any) -> None:
        self.keep(value)


class _Extreme(_Kept):
    """The smallest or largest number; where there are none, text."""

    __slots__ = ()

    def wins(self, value: Any, kept: Any) -> bool:
        raise NotImplementedError

    def add(self, value: Any) -> None:
        kept = self._value
        if type(value) in (int, float):
            if kept is None or isinstance(kept, str) or self.wins(value, kept):
                self.keep(value)
        elif type(value) is str and (kept is None or (isinstance(kept, str) and self.wins(value, kept))):
            self.keep(value)


class _Least(_Extreme):
    __slots__ = ()

    def wins(self, value: Any, kept: Any) -> bool:
        return bool(value < kept)


class _Greatest(_Extreme):
    __slots__ = ()

    def wins(self, value: Any, kept: Any) -> bool:
        return bool(value > kept)


class _Distinct:
    """How many different values."""

    __slots__ = ("_meter", "_seen")

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._seen: set[str] = set()

    def add(self, value: Any) -> None:
        identity = identity_of(value)
        if identity not in self._seen:
            self._meter.spend(_VALUE_BYTES + len(identity))
            self._seen.add(identity)

    def result(self) -> int:
        return len(self._seen)


class _Listed:
    """The first values."""

    __slots__ = ("_meter", "_values")

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._values: list[Any] = []

    def add(self, value: Any) -> None:
        if len(self._values) < _MOST_LISTED:
            self._meter.spend(_VALUE_BYTES + _EXPANSION * len(identity_of(value)))
            self._values.append(value)

    def result(self) -> list[Any]:
        return self._values


class _Set:
    """The first different values."""

    __slots__ = ("_meter", "_values")

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._values: dict[str, Any] = {}

    def add(self, value: Any) -> None:
        identity = identity_of(value)
        if identity not in self._values and len(self._values) < _MOST_LISTED:
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
        "push": _Listed,
        "add_to_set": _Set,
    }
)
