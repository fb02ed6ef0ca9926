"""Chooses which column is the id, which are vectors, and which are attributes."""

import difflib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from shoal.errors import InvalidField
from shoal.files.bounds import Bounds
from shoal.files.ids.ids import ID_COLUMNS, NO_COLUMN, Numbering, number_rows
from shoal.files.paths.stamps import Stamps

__all__ = [
    "CLIENT",
    "COMMAND",
    "HTTP",
    "PYTHON",
    "USUAL_NAMES",
    "KnownVectors",
    "OptionNames",
    "ReadRequest",
    "VectorColumns",
    "choose_id",
    "choose_vectors",
    "find_close_names",
    "format_names",
    "get_requested_columns",
    "missing_column_error",
]

VectorColumns: TypeAlias = Mapping[str, str] | Sequence[str] | None
"""The requested vector columns: names, or `{name of the vector: column}`, or None to detect them."""

KnownVectors: TypeAlias = Mapping[str, int]
"""Vectors that the destination has already: dimensions by name. A column of lists with such a name is that vector
and not an attribute, however malformed its rows."""


@dataclass(frozen=True, slots=True)
class OptionNames:
    """How the caller spells the options that a remedy mentions: `vector`, `id` and `text` with NAME for the column."""

    vector: str
    id: str
    where: str = "where"
    text: str = "text"
    encoder: str = "encoder"
    facet: str = "facet"
    write: str = "path"
    overwrite: str = "give overwrite=True"
    joint: str = " "
    """The separator between repeated options."""
    encoding: str | None = None
    """How the text encoding is set; None where only UTF-8 is read."""

    @property
    def text_column(self) -> str:
        """The option that names a column of text."""
        return self.vector.replace("vector", "text")

    @property
    def not_utf8(self) -> str:
        """The remedy for text that is not UTF-8."""
        if self.encoding is None:
            return "Save it as UTF-8, which Excel calls CSV UTF-8."
        return f"Set its encoding: {self.encoding} for CSV files from Excel; or save it as CSV UTF-8."

    def format_several(self, names: Sequence[str]) -> str:
        """Format the option that requests all of these columns as vectors."""
        if "[" in self.vector:
            return self.vector.replace('"NAME"', ", ".join(f'"{name}"' for name in names))
        return self.joint.join(self.vector.replace("NAME", name) for name in names)


COMMAND: Final = OptionNames(
    "--vector NAME",
    "--id NAME",
    "--where",
    "--text",
    "--encoder",
    "--facet",
    "--write",
    "say --overwrite",
    encoding="--encoding cp1252",
)
PYTHON: Final = OptionNames('vector="NAME"', 'id="NAME"', encoding='encoding="cp1252"')
CLIENT: Final = OptionNames('vector_columns=["NAME"]', 'id_column="NAME"')
HTTP: Final = OptionNames("vector_column=NAME", "id_column=NAME", joint="&")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """What to read from a file, and how.

    Parameters
    ----------
    label
        Names the file in errors.
    id_column
        The column of ids; None detects it.
    vectors
        The columns of vectors; None detects them.
    known_vectors
        Vectors that the destination has already, by name.
    needs_vectors
        Whether a file without vectors is an error.
    reads_texts
        Whether it is none where a column holds text of several words, or `text_columns` are named.
    text_columns
        The columns whose text stands in for vectors; empty takes those that hold any.
    max_dimension
        The largest dimension of a vector.
    bounds
        Limits on the expanded size.
    make_ids
        Returns the ids of rows where no column holds any.
    option_names
        How the caller spells the options.
    number_rows
        Whether to number the rows, whatever columns there are.
    delimiter
        Separates the columns of delimited text; None detects it.
    format
        The format of the file; None infers it from the name.
    encoding
        The encoding of text; None for UTF-8, and for what a byte order mark says.
    stamps
        Size and modification time of the files before they were opened.
    """

    label: str
    id_column: str | None = None
    vectors: VectorColumns = None
    known_vectors: KnownVectors = field(default_factory=dict)
    needs_vectors: bool = True
    reads_texts: bool = False
    text_columns: Sequence[str] = ()
    max_dimension: int
    bounds: Bounds
    make_ids: Numbering = number_rows
    option_names: OptionNames = COMMAND
    number_rows: bool = False
    delimiter: str | None = None
    format: str | None = None
    encoding: str | None = None
    stamps: Stamps = field(default_factory=dict)


USUAL_NAMES: Final = ("embedding", "embeddings", "vector", "vectors")
_SHOWN: Final = 30
_FEW: Final = 4


def choose_id(columns: Sequence[str], request: ReadRequest) -> str | None:
    """Return the id column; None where the rows are to be numbered, or none is requested and none has a usual name.

    Raises InvalidField for one that does not exist.
    """
    name = request.id_column
    if request.number_rows:
        return None
    if name is None:
        return next((column for usual in ID_COLUMNS for column in columns if column.casefold() == usual), None)
    if name in columns:
        return name
    if name == NO_COLUMN:
        return None
    raise missing_column_error(name, columns, request.label)


def choose_vectors(
    columns: Sequence[str],
    candidates: Sequence[str],
    request: ReadRequest,
    vectors: VectorColumns,
    texts: Sequence[str],
) -> dict[str, str]:
    """Return vector names and their columns: those requested, else the only candidate, else the one with a usual name.

    `texts` are the columns that hold text. Raises InvalidField for a column that does not exist, for several candidates
    of which none stands out, and, where vectors are required, for none.
    """
    if vectors is not None:
        requested = dict(vectors) if isinstance(vectors, Mapping) else {column: column for column in vectors}
        for column in requested.values():
            if column not in columns:
                raise missing_column_error(column, columns, request.label)
        return requested
    chosen = candidates[0] if len(candidates) == 1 else _find_usual(candidates)
    if chosen is not None:
        return {chosen: chosen}
    if candidates:
        names = ", ".join(candidates)
        remedy = f"Choose: {request.option_names.format_several(candidates[:1])}"
        remedy += "." if request.needs_vectors else f", or several: {request.option_names.format_several(candidates)}."
        raise InvalidField(request.label, f"has several columns that may be the vectors: {names}", remedy=remedy)
    if request.needs_vectors and not (request.reads_texts and (texts or request.text_columns)):
        raise _no_vectors_error(columns, texts, request)
    return {}


def _no_vectors_error(columns: Sequence[str], texts: Sequence[str], request: ReadRequest) -> InvalidField:
    if texts:
        shown = ", ".join(map(repr, texts[:_FEW])) + (f" and {len(texts) - _FEW} more" if len(texts) > _FEW else "")
        problem = f"holds text but no vectors (text in {shown})"
        remedy = (
            f"Name a column of vectors with {request.option_names.vector}, or encode the texts first, with the encoder "
            "that made the other vectors: shoal.TextEncoder().fit_transform(texts)."
        )
        return InvalidField(request.label, problem, remedy=remedy)
    remedy = f"Name a column of number lists with {request.option_names.vector}"
    remedy += f", or of text with {request.option_names.text_column}." if request.reads_texts else "."
    columns_shown = f"; its columns are {format_names(columns)}"
    problem = f"has no column of vectors{' or of text' if request.reads_texts else ''}{columns_shown}"
    return InvalidField(request.label, problem, remedy=remedy)


def get_requested_columns(vectors: VectorColumns, names: Sequence[str], *, needed: bool) -> Set[str]:
    """Return the columns that are expected to hold vectors; by default those with a usual name, where vectors are
    required."""
    if vectors is None:
        return {name for name in names if needed and name.lower() in USUAL_NAMES}
    return set(vectors.values() if isinstance(vectors, Mapping) else vectors)


def missing_column_error(name: str, columns: Iterable[str], label: str) -> InvalidField:
    """Build the error about a column that does not exist, with those that do."""
    names = list(columns)
    near = find_close_names(name, names)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return InvalidField(label, f"has no column {name!r}", remedy=f"Its columns are {format_names(names)}.{hint}")


def find_close_names(name: str, names: Sequence[str], most: int = 1) -> list[str]:
    """Return similar names, the closest first, ignoring case."""
    folded = {existing.casefold(): existing for existing in reversed(names)}
    return [folded[near] for near in difflib.get_close_matches(name.casefold(), list(folded), most)]


def _find_usual(candidates: Sequence[str]) -> str | None:
    return next((name for usual in USUAL_NAMES for name in candidates if name.lower() == usual), None)


def format_names(columns: Sequence[str]) -> str:
    more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    return ", ".join(columns[:_SHOWN]) + more
