"""Which column is the id, which are vectors, and which are attributes."""

import difflib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from shoal.errors import InvalidField
from shoal.files.bounds import Bounds
from shoal.files.ids.ids import ID_COLUMNS, NO_COLUMN, Numbering, numbered
from shoal.files.stamps import Stamps

__all__ = [
    "CLIENT",
    "COMMAND",
    "HTTP",
    "PYTHON",
    "USUAL_NAMES",
    "Asked",
    "Chosen",
    "Known",
    "Options",
    "asked_columns",
    "choose_id",
    "choose_vectors",
    "close_names",
    "listed_names",
    "missing_column",
]

Chosen: TypeAlias = Mapping[str, str] | Sequence[str] | None
"""Vector columns as asked for: names, or `{name of the vector: column}`, or None to look for them."""

Known: TypeAlias = Mapping[str, int]
"""Vectors that the place where the documents go has already: their dimensions by name. A column of lists that is called
like one of them is that vector, and no attribute, however bad its rows."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the caller spells the options that a remedy names: `vector`, `id` and `text` with NAME for the column."""

    vector: str
    id: str
    where: str = "where"
    text: str = "text"
    write: str = "path"
    overwrite: str = "give overwrite=True"
    joint: str = " "
    """What stands between options that are repeated."""
    encoding: str | None = None
    """How the encoding of text is named; None where only UTF-8 is read."""

    @property
    def not_utf8(self) -> str:
        """The remedy for text that is not UTF-8."""
        if self.encoding is None:
            return "Save it as UTF-8, which Excel calls CSV UTF-8."
        return f"Say how it is written: {self.encoding} for CSV files of Excel; or save it there as CSV UTF-8."

    def several(self, names: Sequence[str]) -> str:
        """All of these columns as vectors."""
        if "[" in self.vector:
            return self.vector.replace('"NAME"', ", ".join(f'"{name}"' for name in names))
        return self.joint.join(self.vector.replace("NAME", name) for name in names)


COMMAND: Final = Options(
    "--vector NAME", "--id NAME", "--where", "--text", "--write", "say --overwrite", encoding="--encoding cp1252"
)
PYTHON: Final = Options('vector="NAME"', 'id="NAME"', encoding='encoding="cp1252"')
CLIENT: Final = Options('vector_columns=["NAME"]', 'id_column="NAME"')
HTTP: Final = Options("vector_column=NAME", "id_column=NAME", joint="&")


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
    number
        Makes the ids of rows where no column holds any.
    options
        How the caller spells them.
    numbered
        Whether rows are numbered, whatever columns there are.
    delimiter
        What separates the columns of text; None where it is to be seen.
    format
        What the file is; None where its name says so.
    encoding
        How text is written; None for UTF-8, and for what a mark says.
    stamps
        The files as they were before they were opened.
    """

    label: str
    id_column: str | None = None
    vectors: Chosen = None
    known: Known = field(default_factory=dict)
    needed: bool = True
    most: int
    bounds: Bounds
    number: Numbering = numbered
    options: Options = COMMAND
    numbered: bool = False
    delimiter: str | None = None
    format: str | None = None
    encoding: str | None = None
    stamps: Stamps = field(default_factory=dict)


USUAL_NAMES: Final = ("embedding", "embeddings", "vector", "vectors")
_SHOWN: Final = 30
_FEW: Final = 4


def choose_id(columns: Sequence[str], asked: Asked) -> str | None:
    """The id column; None where none was asked for and none has a usual name, or none is wanted. Raises InvalidField
    for one that is not there."""
    name = asked.id_column
    if asked.numbered:
        return None
    if name is None:
        return next((one for usual in ID_COLUMNS for one in columns if one.casefold() == usual), None)
    if name in columns:
        return name
    if name == NO_COLUMN:
        return None
    raise missing_column(name, columns, asked.label)


def choose_vectors(
    columns: Sequence[str], candidates: Sequence[str], asked: Asked, vectors: Chosen, texts: Sequence[str]
) -> dict[str, str]:
    """Vector names and their columns: those asked for, else the only candidate, else the one with a usual name.

    `texts` are the columns that hold text. Raises InvalidField for a column that is not there, for several candidates
    none of which stands out, and, where vectors are needed, for none.
    """
    if vectors is not None:
        named = dict(vectors) if isinstance(vectors, Mapping) else {column: column for column in vectors}
        for column in named.values():
            if column not in columns:
                raise missing_column(column, columns, asked.label)
        return named
    chosen = candidates[0] if len(candidates) == 1 else _usual(candidates)
    if chosen is not None:
        return {chosen: chosen}
    if candidates:
        names = ", ".join(candidates)
        remedy = f"Choose: {asked.options.several(candidates[:1])}"
        remedy += "." if asked.needed else f", or several: {asked.options.several(candidates)}."
        raise InvalidField(asked.label, f"has several columns that may be the vectors: {names}", remedy=remedy)
    if asked.needed:
        raise _no_vectors(columns, texts, asked)
    return {}


def _no_vectors(columns: Sequence[str], texts: Sequence[str], asked: Asked) -> InvalidField:
    if texts:
        shown = ", ".join(map(repr, texts[:_FEW])) + (f" and {len(texts) - _FEW} more" if len(texts) > _FEW else "")
        problem = f"holds text but no vectors (text in {shown})"
        remedy = (
            "Shoal makes none yet: add a column of vectors with your embedding model, such as "
            "df['embedding'] = list(SentenceTransformer('all-MiniLM-L6-v2').encode(df[TEXT])); or name one that is "
            f"there with {asked.options.vector}."
        )
        return InvalidField(asked.label, problem, remedy=remedy)
    remedy = f"Name a column of number lists with {asked.options.vector}."
    problem = f"has no column of vectors; its columns are {listed_names(columns)}"
    return InvalidField(asked.label, problem, remedy=remedy)


def asked_columns(vectors: Chosen, names: Sequence[str], *, needed: bool) -> Set[str]:
    """The columns that are meant to hold vectors; without a word about it those with a usual name, where some must."""
    if vectors is None:
        return {name for name in names if needed and name.lower() in USUAL_NAMES}
    return set(vectors.values() if isinstance(vectors, Mapping) else vectors)


def missing_column(asked: str, columns: Iterable[str], label: str) -> InvalidField:
    """The error about a column that is not there, with those that are."""
    there = list(columns)
    near = close_names(asked, there)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return InvalidField(label, f"has no column {asked!r}", remedy=f"Its columns are {listed_names(there)}.{hint}")


def close_names(asked: str, there: Sequence[str], most: int = 1) -> list[str]:
    """Names that may have been meant, the closest first; case does not count."""
    folded = {name.casefold(): name for name in reversed(there)}
    return [folded[near] for near in difflib.get_close_matches(asked.casefold(), list(folded), most)]


def _usual(candidates: Sequence[str]) -> str | None:
    return next((name for usual in USUAL_NAMES for name in candidates if name.lower() == usual), None)


def listed_names(columns: Sequence[str]) -> str:
    more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    return ", ".join(columns[:_SHOWN]) + more
