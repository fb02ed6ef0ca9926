"""Which column is the id, which are vectors, and which are attributes."""

import difflib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from shoal.errors import InvalidField
from shoal.files.bounds import Bounds
from shoal.files.ids import ID_COLUMNS

__all__ = ["COMMAND", "PYTHON", "USUAL_NAMES", "Asked", "Chosen", "Known", "Options"]
__all__ += ["asked_columns", "choose_id", "choose_vectors", "missing_column"]

Chosen: TypeAlias = Mapping[str, str] | Sequence[str] | None
"""Vector columns as asked for: names, or `{name of the vector: column}`, or None to look for them."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the caller spells the options that a remedy names: `vector` and `id` with NAME for the column."""

    vector: str
    id: str


COMMAND: Final = Options("--vector NAME (over HTTP vector_column=NAME)", "--id NAME (over HTTP id_column=NAME)")
PYTHON: Final = Options('vector="NAME"', 'id="NAME"')

Known: TypeAlias = Mapping[str, int]
"""Vectors that the place where the documents go has already: their dimensions by name. A column of lists that is called
like one of them is that vector, and no attribute, however bad its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the caller asks of a file.

    Parameters
    ----------
    label
        Names the file in errors.
    id_column
        The column of ids; None looks for one.
    vectors
        The columns of vectors; None looks for one.
    known
        Vectors that are there already, by name.
    needed
        Whether a file without vectors is an error.
    most
        The largest dimension of a vector.
    bounds
        How far the file may unfold.
    options
        How the caller spells them.
    numbered
        Whether rows are numbered, whatever columns there are.
    """

    label: str
    id_column: str | None = None
    vectors: Chosen = None
    known: Known = field(default_factory=dict)
    needed: bool = True
    most: int
    bounds: Bounds
    options: Options = COMMAND
    numbered: bool = False


USUAL_NAMES: Final = ("embedding", "embeddings", "vector", "vectors")
_SHOWN: Final = 30


def choose_id(columns: Sequence[str], asked: str | None, label: str) -> str | None:
    """The id column; None where the rows are to be numbered. Raises InvalidField for one that is not there."""
    if asked is None:
        return next((name for name in ID_COLUMNS if name in columns), None)
    if asked not in columns:
        raise missing_column(asked, columns, label)
    return asked


def choose_vectors(
    columns: Sequence[str],
    candidates: Sequence[str],
    asked: Chosen,
    label: str,
    *,
    needed: bool,
    options: Options = COMMAND,
) -> dict[str, str]:
    """Vector names and their columns: those asked for, else the only candidate, else the one with a usual name.

    Raises InvalidField for a column that is not there, for several candidates none of which stands out, and, where
    vectors are needed, for none.
    """
    if asked is not None:
        named = dict(asked) if isinstance(asked, Mapping) else {column: column for column in asked}
        for column in named.values():
            if column not in columns:
                raise missing_column(column, columns, label)
        return named
    chosen = candidates[0] if len(candidates) == 1 else _usual(candidates)
    if chosen is not None:
        return {chosen: chosen}
    if candidates:
        names = ", ".join(candidates)
        remedy = f"Choose: {options.vector.replace('NAME', candidates[0])}."
        raise InvalidField(label, f"has several columns that may be the vectors: {names}", remedy=remedy)
    if needed:
        remedy = f"Name a column of number lists: {options.vector}."
        raise InvalidField(label, f"has no column of vectors; its columns are {_listed(columns)}", remedy=remedy)
    return {}


def asked_columns(vectors: Chosen, names: Sequence[str], *, needed: bool) -> Set[str]:
    """The columns that are meant to hold vectors; without a word about it those with a usual name, where some must."""
    if vectors is None:
        return {name for name in names if needed and name.lower() in USUAL_NAMES}
    return set(vectors.values() if isinstance(vectors, Mapping) else vectors)


def missing_column(asked: str, columns: Iterable[str], label: str) -> InvalidField:
    """The error about a column that is not there, with the columns that are."""
    there = list(columns)
    near = difflib.get_close_matches(asked, there, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return InvalidField(label, f"has no column {asked!r}", remedy=f"Its columns are {_listed(there)}.{hint}")


def _usual(candidates: Sequence[str]) -> str | None:
    return next((name for usual in USUAL_NAMES for name in candidates if name.lower() == usual), None)


def _listed(columns: Sequence[str]) -> str:
    more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    return ", ".join(columns[:_SHOWN]) + more
