"""Documents with JSON payloads and named vectors."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from shoal.columns import DocumentBatch, Matrix
from shoal.records.queries.filters import MATCH_ALL, Filter
from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.storage.protocols.maintenance import Maintenance
from shoal.storage.protocols.records import Json, Query

__all__ = [
    "DocumentReader",
    "DocumentStore",
    "DocumentUpkeep",
    "DocumentWriter",
    "ResultWriter",
    "Results",
    "StoredDocument",
    "Write",
    "WriteCount",
]

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as the store holds it; `vectors` only as far as asked for."""

    document_id: str
    collection: str
    payload: Json
    created_at: datetime
    updated_at: datetime
    vectors: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class WriteCount:
    inserted: int
    replaced: int


@dataclass(frozen=True, slots=True)
class Write:
    """The name of a write, which makes it repeatable.

    A store does a write once under its name. Called again with the same name it changes nothing and returns what it
    returned then, until `forget_writes`.
    """

    id: str
    at: datetime
    """When the write was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Whose results are written into documents."""

    id: str
    """The id of the intent."""
    cluster_id: str
    run_id: str
    sequence: int = 0
    """The number of the run among those of its cluster: of two, the later one's results stay."""
    by_run: bool = False
    """Whether the run itself writes, into its sources, or a caller asked for it."""
    partition: str = ""
    """Of a run with a filter of its own: other partitions keep theirs."""
    target: str
    """The storage key of the collection that is written; "" for all that runs of the cluster wrote into."""


class DocumentReader(Protocol):
    """Documents as they are read. Each call sees one moment."""

    def vector_dimensions(self, scope: Scope) -> Mapping[str, int]: ...

    def get(
        self, scope: Scope, collection: str, ids: Sequence[str], *, vectors: Sequence[str] | Literal["all"] = ()
    ) -> list[StoredDocument | None]:
        """Aligned with `ids`."""

    def find(
        self, scope: Scope, collection: str, query: Query, *, vectors: Sequence[str] | Literal["all"] = ()
    ) -> Listing[StoredDocument]:
        """Default order: id ascending. `total` is only exact when the page asks for it, else 0."""

    def count(self, scope: Scope, collection: str, filter: Filter = MATCH_ALL) -> int: ...

    def distinct(
        self, scope: Scope, collection: str, field: str, filter: Filter, limit: int
    ) -> tuple[list[tuple[Any, int]], int]:
        """(value, count) pairs, most frequent first, then by value; and the number of distinct values. List values
        count once per element."""

    def load_matrix(
        self,
        scope: Scope,
        collections: Sequence[str],
        vector_names: Sequence[str],
        *,
        filter: Filter = MATCH_ALL,
        sample: int | None = None,
        seed: int = 42,
    ) -> Matrix:
        """The hot path: the vectors of all documents that match and have every named vector.

        `sample` takes that many rows uniformly without replacement, seeded. Copies nothing where the rows lie
        in one segment in id order.
        """

    def load_fields(
        self, scope: Scope, collections: Sequence[str], fields: Sequence[str], *, filter: Filter = MATCH_ALL
    ) -> tuple[list[str], list[str], list[list[Any]]]:
        """(ids, collections, one list of values per field), rows in the order of `load_matrix`; None where absent."""

    def load_made(
        self,
        scope: Scope,
        collections: Sequence[str],
        fields: Sequence[str],
        make: Callable[[Sequence[Any]], Made],
        *,
        filter: Filter = MATCH_ALL,
    ) -> tuple[list[str], list[str], list[Made]]:
        """As `load_fields`, with what `make` makes of the values of each document: those of few documents are in memory
        at once, however long they are."""

    def each_fields(
        self,
        scope: Scope,
        collection: str,
        fields: Sequence[str],
        take: Callable[[int, Sequence[Sequence[Any]]], None],
        *,
        filter: Filter = MATCH_ALL,
    ) -> None:
        """The same piece by piece, so that nothing grows with the collection: `take` is called with how many rows there
        are in a piece and one list of values per field; rows by id. All are of one moment."""

    def result_fields(self, scope: Scope, collections: Sequence[str]) -> frozenset[str]:
        """Dotted paths of the fields in which documents of these collections hold results of clusters."""

    def generations(self, scope: Scope, collection_id: str) -> list[str]:
        """The generations of an output collection that were written, without the plain collection itself."""

    def generated_collections(self, scope: Scope) -> list[str]:
        """The ids of the collections that have generations, whether or not anybody knows the collection."""


class DocumentWriter(Protocol):
    """Documents as they are written.

    Each write of several documents becomes visible at once or not at all, also where the process ends in the middle: a
    store with transactions does it in one; a store without stages the documents where no reader looks, then sets one
    mark that makes them count (the flip), then puts them in place. What was staged and never flipped is dropped by the
    store's next call, what was flipped is put in place by it. A call that raised Unavailable may have been done; repeat
    it with its `Write`, which does it once.
    """

    def declare_vector(self, scope: Scope, name: str, dimension: int) -> None:
        """Fix the dimension of a vector name in the namespace. Raises InvalidField if it is fixed otherwise."""

    def write(
        self,
        scope: Scope,
        collection: str,
        batches: Iterable[DocumentBatch],
        *,
        now: datetime,
        on_conflict: Literal["replace", "fail"] = "replace",
        write: Write | None = None,
    ) -> WriteCount:
        """Store all batches, or nothing where one fails (also when the iterator itself raises).

        A document with an id that exists is replaced whole, vectors included; created_at stays. Undeclared vector
        names are declared with the dimension seen. A repetition under the name of `write` may leave batches unread.
        Raises InvalidField for a wrong dimension, AlreadyExists for a taken id with on_conflict="fail".
        """

    def update(
        self,
        scope: Scope,
        collection: str,
        updates: Iterable[tuple[str, Json]],
        *,
        now: datetime,
        merge: bool = True,
        only_changes: bool = False,
        vectors: DocumentBatch | None = None,
        write: Write | None = None,
    ) -> list[str]:
        """Merge each update into its document's payload (objects merge key by key, all else replaces), or replace the
        payload whole. All or nothing; ids that do not exist are skipped. With `only_changes` a document that stays as
        it was keeps its time too. Returns the ids found.

        Vectors stay, except those of the names and documents in `vectors` (whose payloads do not count). Raises
        InvalidField for a wrong dimension."""

    def update_where(
        self,
        scope: Scope,
        collection: str,
        filter: Filter,
        update: Json,
        *,
        now: datetime,
        write: Write | None = None,
    ) -> int:
        """Merge one update into every document that matches. Returns how many."""

    def delete(self, scope: Scope, collection: str, ids: Sequence[str], *, write: Write | None = None) -> list[str]:
        """Returns the ids that were there."""

    def delete_where(self, scope: Scope, collection: str, filter: Filter, *, write: Write | None = None) -> int:
        """Returns how many were there."""

    def drop_collection(self, scope: Scope, collection: str) -> None: ...

    def drop_namespace(self, scope: Scope) -> None: ...

    def forget_writes(self, scope: Scope, before: datetime) -> None:
        """Forget the names of writes that were asked for before a moment: nobody repeats them any more."""


class ResultWriter(Protocol):
    """Results of clusters in documents.

    Instead of names they have guards, document by document: each call may be repeated at any time, and an earlier run
    never writes over a later one.
    """

    def write_results(
        self, scope: Scope, results: Results, updates: Iterable[tuple[str, Json]], *, step: int, now: datetime
    ) -> list[str]:
        """Merge each update into its document; documents that hold the values already stay as they are, ids that do not
        exist are skipped. Returns the ids found.

        `step` grows with each call for the same intent. A document that this intent wrote in this step or a later one
        is left alone, so that a repetition does not undo what people changed since.

        Raises Conflict where a later run of the cluster was written into the target: nothing is written then."""

    def rewrite_results(
        self,
        scope: Scope,
        collection: str,
        cluster_id: str,
        run_id: str,
        updates: Iterable[tuple[str, Json]],
        *,
        now: datetime,
    ) -> int:
        """Merge each update into its document as far as the fields hold what this run wrote there: a field that holds
        another value by now, or that another run wrote, stays. Returns how many documents changed."""

    def clear_results(self, scope: Scope, results: Results, *, after: str, now: datetime) -> str | None:
        """Clear fields that earlier runs of the cluster wrote and this one did not write again, in documents behind the
        position `after` ("" at first), some thousands at once. A field that holds another value by now stays. For
        results of a run in all collections, else in the target. Returns the position to go on behind, None where
        nothing is left; what is cleared stays so, and a repetition from the first position finds the rest. Raises
        Conflict where a later run was written."""

    def clear_all_results(self, scope: Scope, cluster_id: str, *, now: datetime) -> bool:
        """The same for all that a cluster ever wrote. Whether more may be left."""

    def forget_results(self, scope: Scope, cluster_id: str) -> None:
        """Forget what a cluster wrote; the documents keep it."""


class DocumentUpkeep(Protocol):
    """What housekeeping asks of the documents of a namespace."""

    def forget_writes(self, scope: Scope, before: datetime) -> None:
        """See DocumentWriter."""

    def generated_collections(self, scope: Scope) -> list[str]:
        """See DocumentReader."""


class DocumentStore(DocumentReader, DocumentWriter, ResultWriter, Maintenance, Protocol):
    """Documents with JSON payloads and named float32 vectors.

    A collection is named by a storage key: the collection id, or `<collection id>@<generation>` for one generation of
    an output collection. A collection exists as soon as something is written to it. No transaction spans two calls.
    """

    def compact(self, scope: Scope) -> int:
        """Rewrite segments whose holes passed the threshold. Returns the bytes freed; safe while others read."""
