"""Validation of vectors from the wire: names are resolved, numbers checked, columns built. Nothing is stored here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from shoal.columns import Points, VectorColumn
from shoal.errors import InvalidField
from shoal.precision import is_rest_significant, split_if_significant
from shoal.records.documents.vectors import Place, double_block

__all__ = ["VectorNames", "build_columns", "check_dimensions", "check_directions", "is_coarse", "rounding_warning"]

_MOST_NAME_BYTES: Final = 255


@dataclass(frozen=True, slots=True)
class VectorNames:
    """The vector names of a namespace. `closed`: they were declared, and documents cannot add others."""

    dimensions: Mapping[str, int]
    closed: bool
    cosine: frozenset[str] = frozenset()
    """Names declared with the cosine metric: an all-zero vector has no direction and is refused there."""

    def resolve(self, key: str, path: str) -> str:
        """Return the vector name of a key, which is a name or a feature URI that ends in one. Raises InvalidField."""
        name = key if key in self.dimensions else key.rpartition("/")[2] if "://" in key else key
        if self.closed and name not in self.dimensions:
            available = ", ".join(sorted(self.dimensions))
            raise InvalidField(path, "is not a vector of this namespace", value=key, remedy=f"Use one of: {available}.")
        if not name or len(name.encode(errors="replace")) > _MOST_NAME_BYTES or not name.isprintable():
            raise InvalidField(path, "is not a valid vector name", value=key)
        return name


def build_columns(
    vectors: Sequence[object], path: Callable[[int], str], names: VectorNames, max_dimension: int
) -> dict[str, VectorColumn]:
    """Build the vector columns of a batch, by name. `vectors[i]` is what document i sent: `{name: [number, ...]}` or
    None.

    `path(i)` is its path in the request, such as `documents[3].vectors`. Raises InvalidField with the exact path, for
    example `documents[3].vectors.text[17]`.
    """
    rows: dict[str, list[int]] = {}
    values: dict[str, list[object]] = {}
    for i, sent in enumerate(vectors):
        if sent is None:
            continue
        if not isinstance(sent, Mapping):
            raise InvalidField(
                path(i), "must be an object of named vectors", value=sent, remedy='Such as {"text": []}.'
            )
        for key, value in sent.items():
            name = key if key in rows else names.resolve(key, f"{path(i)}.{key}")
            name_rows = rows.setdefault(name, [])
            if name_rows and name_rows[-1] == i:
                raise InvalidField(f"{path(i)}.{key}", f"gives the vector {name!r} a second time")
            name_rows.append(i)
            values.setdefault(name, []).append(value)
    columns: dict[str, VectorColumn] = {}
    for name, sent_values in values.items():
        place = _place(path, rows[name], name)
        sent_block = double_block(sent_values, place, dimension=names.dimensions.get(name), most=max_dimension)
        block, rest = split_if_significant(sent_block)
        check_directions(name, block, names, place)
        columns[name] = VectorColumn(np.array(rows[name], np.int64), block, rest)
    return columns


def _place(path: Callable[[int], str], rows: Sequence[int], name: str) -> Place:
    return lambda k: f"{path(rows[k])}.{name}"


def check_directions(name: str, block: Points, names: VectorNames, place: Place) -> None:
    """Raise InvalidField for the first all-zero row of a block whose name was declared with the cosine metric."""
    if name not in names.cosine:
        return
    zero = np.flatnonzero(~block.any(axis=1))
    if len(zero):
        raise InvalidField(
            place(int(zero[0])),
            "is all zeros, and the cosine of a vector without direction is not defined",
            remedy="Leave the vector out, or declare the index with the metric euclidean.",
        )


def is_coarse(column: VectorColumn) -> bool:
    """Whether rounding to float32 lost digits in which these vectors differ; undecidable for a single vector."""
    return column.rest is not None and len(column.rows) > 1 and is_rest_significant(column.values, column.rest)


def rounding_warning(name: str) -> str:
    """Return the warning about vectors that lose precision."""
    return (
        f"The vectors {name} lie so far from the origin that float32, in which they are stored, loses the digits in "
        "which they differ. Subtract a common offset before sending them."
    )


def check_dimensions(dimensions: Mapping[str, int], names: VectorNames, max_dimension: int, path: str) -> None:
    """Raise InvalidField where vectors of these dimensions do not fit the namespace; called before any data is read."""
    for name, dimension in dimensions.items():
        expected = names.dimensions.get(names.resolve(name, f"{path}.{name}"), dimension)
        if dimension != expected:
            raise InvalidField(f"{path}.{name}", f"has {dimension} numbers where the index has {expected}")
        if dimension > max_dimension:
            raise InvalidField(f"{path}.{name}", f"has {dimension} numbers, more than the {max_dimension} allowed")
