"""Different values of a field, counted: which are equal, in which order they come, and how many fit into memory."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from shoal.errors import InvalidField
from shoal.storage.filters.to_mask import kind_of

__all__ = ["check_values_held", "distinct_key", "tally"]

_MOST_VALUES_BYTES: Final = 256 * 2**20


def check_values_held(field: str, held: int) -> None:
    if held > _MOST_VALUES_BYTES:
        raise InvalidField(
            field,
            f"has different values of more than {_MOST_VALUES_BYTES // 2**20} MiB together",
            remedy="Narrow it down with filters.",
        )


def tally(values: Sequence[Any]) -> Iterator[tuple[Any, int]]:
    """How often each value occurs; a list counts once for each of its different elements."""
    alike = Counter((type(value), value) for value in values if not isinstance(value, (list, dict)))
    for (_, value), count in alike.items():
        yield value, count
    for value in values:
        if isinstance(value, list):
            yield from ((element, 1) for element in {distinct_key(element): element for element in value}.values())
        elif isinstance(value, dict):
            yield value, 1


def distinct_key(value: object) -> tuple[str, Any]:
    """A key under which equal values meet, and by which they are sorted."""
    kind = kind_of(value)
    return (kind, orjson.dumps(value).decode()) if kind == "other" else (kind, value)
