"""Grouping by attribute values: one group per combination, or a tree with one level per attribute.

A missing or null value is the group `__missing__`; a list is one value, its sorted elements
(contract.md#attribute-groups).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from shoal.columns import Labels

__all__ = [
    "MISSING",
    "Aggregation",
    "AttributeGroup",
    "AttributeOutcome",
    "aggregate",
    "format_value",
    "group_by_attributes",
]

Aggregation = Literal["most_frequent", "first", "last"]
MISSING: Final = "__missing__"
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AttributeGroup:
    """A group and its position in the tree. `path` holds the values as text, `values` the original ones."""

    path: Path
    values: tuple[object, ...]
    size: int
    parent: int | None
    is_leaf: bool

    @property
    def label(self) -> str:
        """The values joined by `_`, as upstream names such groups."""
        return "_".join(self.path)


@dataclass(frozen=True, slots=True)
class AttributeOutcome:
    """`labels` (n,) int32 is the leaf group of each row. `groups` holds the leaves first, by size descending and path,
    then the inner nodes in the same order; a group's number is its position."""

    labels: Labels
    groups: Sequence[AttributeGroup]

    @property
    def leaves(self) -> int:
        return sum(group.is_leaf for group in self.groups)


def group_by_attributes(columns: Sequence[Sequence[object]], hierarchical: bool = False) -> AttributeOutcome:
    """Group n rows by one column of values per attribute, outermost first.

    `hierarchical` adds a node for every shorter prefix of the values; rows are labelled with their leaf in any case.
    """
    rows = [tuple(format_value(value) for value in row) for row in zip(*columns, strict=True)]
    sizes = Counter(rows)
    first = _find_first_rows(rows)
    leaves = sorted(sizes, key=lambda path: (-sizes[path], path))
    inner = _count_prefixes(sizes) if hierarchical else {}
    ordered = [*leaves, *sorted(inner, key=lambda path: (-inner[path], path))]
    number_of = {path: number for number, path in enumerate(ordered)}
    all_sizes: Mapping[Path, int] = {**inner, **sizes}
    groups = [
        AttributeGroup(
            path=path,
            values=_values_of_path(columns, first, path),
            size=all_sizes[path],
            parent=number_of.get(path[:-1]) if hierarchical else None,
            is_leaf=path in sizes,
        )
        for path in ordered
    ]
    labels = np.fromiter((number_of[path] for path in rows), np.int32, len(rows))
    return AttributeOutcome(labels, groups)


def aggregate(values: Sequence[object], method: Aggregation) -> object:
    """Reduce many values to one: the most frequent (ties to the first), the first or the last, ignoring missing values.
    None if all are missing."""
    present = [value for value in values if value is not None]
    if not present:
        return None
    if method == "first":
        return present[0]
    if method == "last":
        return present[-1]
    counts = Counter(format_value(value) for value in present)
    winner = max(counts, key=lambda text: counts[text])  # max keeps the first of equals
    return next(value for value in present if format_value(value) == winner)


def format_value(value: object) -> str:
    """A value as it appears in a path."""
    if value is None:
        return MISSING
    if isinstance(value, (list, tuple)):
        return "+".join(sorted(format_value(item) for item in value)) or MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _count_prefixes(sizes: Mapping[Path, int]) -> dict[Path, int]:
    """The inner nodes of the tree with the number of rows below them."""
    inner: dict[Path, int] = {}
    for path, size in sizes.items():
        for depth in range(1, len(path)):
            inner[path[:depth]] = inner.get(path[:depth], 0) + size
    return inner


def _find_first_rows(rows: Sequence[Path]) -> dict[Path, int]:
    """The first row of each path and of each of its prefixes."""
    whole: dict[Path, int] = {}
    for number, path in enumerate(rows):
        whole.setdefault(path, number)
    first: dict[Path, int] = {}
    for path, number in whole.items():
        for depth in range(1, len(path) + 1):
            first.setdefault(path[:depth], number)
    return first


def _values_of_path(columns: Sequence[Sequence[object]], first: Mapping[Path, int], path: Path) -> tuple[object, ...]:
    """The values of a path, from the first row below it."""
    return tuple(column[first[path]] for column in columns[: len(path)])
