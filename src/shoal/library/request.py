"""What a caller asks to have read from a file or a table, and how it is to be clustered."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from shoal.files.addresses import Places
from shoal.files.layout import COMMAND, Options
from shoal.files.shards import name_of
from shoal.library.clustering import Clustering
from shoal.library.from_columns import How
from shoal.library.input.inputs import GivenIds
from shoal.precision import Split
from shoal.records.queries.filters import MATCH_ALL, Filter

if TYPE_CHECKING:
    import pyarrow.dataset as pads

__all__ = ["Given", "Request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a caller in Python holds in memory; all of it has the same n rows."""

    table: "pa.Table | pads.Dataset | None" = None
    """The rows, in place of a file. Each has to be usable."""
    vectors: Split | None = None
    texts: Sequence[str] | None = None
    ids: GivenIds | None = None
    index: object = None
    """Of the pandas data frame that the rows came in."""
    like: Clustering | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to read from the file, and how to cluster it."""

    path: Places
    format: str | None = None
    delimiter: str | None = None
    """What separates the columns of text; None where it is to be seen."""
    encoding: str | None = None
    """How text is written; None for UTF-8, and for what a mark says."""
    sidecar: Path | None = None
    vector: str | None = None
    """None takes the only column of vectors."""
    text: Sequence[str] = ()
    """None given: the fields that read most like text."""
    id: str | None = None
    where: Filter = MATCH_ALL
    labels: bool = True
    """Whether clusters are named from texts."""
    member_columns: Sequence[str] = ()
    """Columns of the file that the members get as well."""
    without: Sequence[str] = ()
    replaces: Path | None = None
    """A file of clustered rows that the rows may replace if it has their columns."""
    how: How = field(default_factory=How)
    given: Given = field(default_factory=Given)
    options: Options = COMMAND
    """How the caller spells the options that remedies name."""
    keep: bool = False
    """Whether the clustering keeps its vectors and texts, for what is asked of it later."""

    @property
    def label(self) -> str:
        """What errors call the rows."""
        return name_of(self.path) if self.given.table is None else str(self.path)
