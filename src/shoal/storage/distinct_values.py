"""Distinct values of a field: equality, order, counting, and the memory limit."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from shoal.errors import InvalidField
from shoal.storage.filters.to_mask import kind_of

__all__ = ["check_values_size", "distinct_key", "tally"]

_MOST_VALUES_BYTES: Final = 256 * 2**20


def check_values_size(field: str, size: int) -> None:
    """Raise InvalidField if the distinct values of a field take too much memory; `size` is in bytes."""
    if size > _MOST_VALUES_BYTES:
        raise InvalidField(
            field,
            f"has distinct values of more than {_MOST_VALUES_BYTES // 2**20} MiB in total",
            remedy="Narrow it down with filters.",
        )


def tally(values: Sequence[Any]) -> Iterator[tuple[Any, int]]:
    """Count the values; a list counts once for each of its distinct elements."""
    scalars = Counter((type(value), value) for value in values if not isinstance(value, (list, dict)))
    for (_, value), count in scalars.items():
        yield value, count
    for value in values:
        if isinstance(value, list):
            yield from ((element, 1) for element in {distinct_key(element): element for element in value}.values())
        elif isinstance(value, dict):
            yield value, 1


def distinct_key(value: object) -> tuple[str, Any]:
    """Return the key that is equal for equal values, and by which values are sorted."""
    kind = kind_of(value)
    return (kind, orjson.dumps(value).decode()) if kind == "other" else (kind, value)
