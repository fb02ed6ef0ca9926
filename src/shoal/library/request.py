"""What to read from a file or a table, and how to cluster it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from shoal.files.layout import COMMAND, OptionNames
from shoal.files.paths.addresses import Places
from shoal.files.paths.shards import display_name
from shoal.library.clustering import Clustering
from shoal.library.facets import Facet
from shoal.library.from_columns import ClusterOptions
from shoal.library.input.conversion import IdValues
from shoal.precision import Split
from shoal.records.queries.filters import MATCH_ALL, Filter

if TYPE_CHECKING:
    import pyarrow.dataset as pads

__all__ = ["InMemoryInput", "Request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InMemoryInput:
    """Values that a Python caller passes in memory; all of them have the same n rows."""

    table: "pa.Table | pads.Dataset | None" = None
    """The rows, in place of a file. Each has to be usable."""
    vectors: Split | None = None
    texts: Sequence[str] | None = None
    ids: IdValues | None = None
    index: object = None
    """The index of the pandas data frame that the rows come from."""
    like: Clustering | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to read, and how to cluster it."""

    path: Places
    format: str | None = None
    delimiter: str | None = None
    """Separates the columns of delimited text; None detects it."""
    encoding: str | None = None
    """The encoding of text; None for UTF-8, and for what a byte order mark says."""
    sidecar: Path | None = None
    vector: str | None = None
    """None takes the only column of vectors."""
    text: Sequence[str] = ()
    """Empty: the fields that read most like text."""
    encoder: object = None
    """What encodes the texts instead of taking vectors: a URI, or an object with `encode`. None encodes only where
    there are no vectors, with the encoder for the language of the texts."""
    facet: Facet | None = None
    """A question about each document, by whose answers the documents are clustered. Vectors are not read then."""
    keep_vectors: bool = False
    """Whether the result has the vectors beside the clustering."""
    id: str | None = None
    where: Filter = MATCH_ALL
    labels: bool = True
    """Whether clusters are named from texts."""
    member_columns: Sequence[str] = ()
    """Columns of the file that are copied to the members."""
    without: Sequence[str] = ()
    replaces: Path | None = None
    """An earlier output file, which may be replaced if it has no other columns than the rows."""
    cluster_options: ClusterOptions = field(default_factory=ClusterOptions)
    in_memory: InMemoryInput = field(default_factory=InMemoryInput)
    option_names: OptionNames = COMMAND
    """How the caller spells the options that remedies mention."""
    keep: bool = False
    """Whether the clustering keeps its vectors and texts for later use."""

    @property
    def reads_texts_alone(self) -> bool:
        """Whether texts are encoded even where there are vectors."""
        return self.encoder is not None or self.facet is not None

    @property
    def label(self) -> str:
        """The name of the rows in errors."""
        return display_name(self.path) if self.in_memory.table is None else str(self.path)
