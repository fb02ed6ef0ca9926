"""Documents with JSON payloads and named vectors."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from shoal.columns import DocumentBatch, Matrix
from shoal.records.queries.filters import MATCH_ALL, Filter
from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.storage.protocols.records import Json, Query
from shoal.storage.protocols.replies import SavedReply

__all__ = ["DocumentStore", "Enrichment", "StoredDocument", "WriteCount"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrichment:
    """An intent to write the results of a run into the documents of a collection, and how far it has come.

    `position` of `total` rows of the run's members are done, `enriched` documents were found and hold their values.
    """

    id: str
    """`<run>:<where the members come from>:<a hash of what is written>`."""
    cluster_id: str
    run_id: str
    run_time: datetime
    """When the run was asked for, by the clock of that moment."""
    sequence: int = 0
    """The number of the run among those of its cluster: of two, the later one's results stay."""
    by_run: bool = False
    """Whether the run itself writes, into its sources, or a caller asked for it."""
    partition: str = ""
    """Of a run with a filter of its own: other partitions keep theirs. Like `by_run`, it is told with each call."""
    target: str
    """The storage key of the collection that is written."""
    total: int
    position: int = 0
    enriched: int = 0

    @property
    def done(self) -> bool:
        return self.position == self.total


class DocumentStore(Protocol):
    """Documents with JSON payloads and named float32 vectors.

    A collection is named by a storage key: the collection id, or `<collection id>@<generation>` for one generation of
    an output collection. A collection exists as soon as something is written to it.
    """

    def declare_vector(self, scope: Scope, name: str, dimension: int) -> None:
        """Fix the dimension of a vector name in the namespace. Raises InvalidField if it is fixed otherwise."""

    def vector_dimensions(self, scope: Scope) -> Mapping[str, int]: ...

    def write(
        self,
        scope: Scope,
        collection: str,
        batches: Iterable[DocumentBatch],
        *,
        now: datetime,
        on_conflict: Literal["replace", "fail"] = "replace",
    ) -> WriteCount:
        """Store all batches, or nothing where one fails (also when the iterator itself raises).

        A document with an id that exists is replaced whole, vectors included; created_at stays. Undeclared vector
        names are declared with the dimension seen. Raises InvalidField for a wrong dimension, AlreadyExists for a
        taken id with on_conflict="fail".
        """

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

    def update(
        self,
        scope: Scope,
        collection: str,
        updates: Iterable[tuple[str, Json]],
        *,
        now: datetime,
        merge: bool = True,
        only_changes: bool = False,
    ) -> list[str]:
        """Merge each update into its document's payload (objects merge key by key, all else replaces), or replace the
        payload whole. Vectors stay. All or nothing; ids that do not exist are skipped. With `only_changes` a document
        that stays as it was keeps its time too. Returns the ids found."""

    def update_where(self, scope: Scope, collection: str, filter: Filter, update: Json, *, now: datetime) -> int:
        """Merge one update into every document that matches. Returns how many."""

    def replace_vectors(self, scope: Scope, collection: str, document_id: str, batch: DocumentBatch) -> None:
        """Give an existing document new vectors for the names in the one-row batch; other names stay."""

    def begin_enrichment(self, scope: Scope, intent: Enrichment, *, again: bool = False, now: datetime) -> Enrichment:
        """Put an intent on record, as far as an earlier call under its id has come; with `again` one that is done
        starts from the first row. Intents of earlier runs of the
        cluster for the same target are forgotten. Raises Conflict where a later run was written there already."""

    def enrich(
        self,
        scope: Scope,
        intent: Enrichment,
        updates: Iterable[tuple[str, Json]],
        *,
        stop: int,
        counted: Set[str],
        now: datetime,
    ) -> Enrichment:
        """Merge each update into its document and, in the same transaction, move the intent on to the position `stop`;
        of the documents found those in `counted` add to `enriched`. Documents that hold the values already stay as they
        are, ids that do not exist are skipped. Returns the intent as it is then.

        Raises StaleVersion where somebody else moved it meanwhile, Conflict where a later run was written."""

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

    def clear_results(self, scope: Scope, intent: Enrichment, *, after: int, now: datetime) -> int | None:
        """Clear fields that earlier runs of the intent's cluster wrote and this one did not write again, in documents
        behind the position `after` (0 at first), some thousands in one transaction. A field that holds another value by
        now stays. For an intent of a run in all collections, else in its target. Returns the position to go on behind,
        None where nothing is left. Raises Conflict where a later run was written."""

    def clear_all_results(self, scope: Scope, cluster_id: str, *, now: datetime) -> bool:
        """The same for all that a cluster ever wrote. Whether more may be left."""

    def result_fields(self, scope: Scope, collections: Sequence[str]) -> frozenset[str]:
        """Dotted paths of the fields in which documents of these collections hold results of clusters."""

    def forget_results(self, scope: Scope, cluster_id: str) -> None:
        """Forget what a cluster wrote; the documents keep it."""

    def enrichments(self, scope: Scope, run_id: str) -> list[Enrichment]:
        """The intents on record for a run."""

    def delete(self, scope: Scope, collection: str, ids: Sequence[str]) -> list[str]:
        """Returns the ids that were there."""

    def delete_where(self, scope: Scope, collection: str, filter: Filter) -> int: ...

    def drop_collection(self, scope: Scope, collection: str) -> None: ...

    def generations(self, scope: Scope, collection_id: str) -> list[str]:
        """The generations of an output collection that were written, without the plain collection itself."""

    def generated_collections(self, scope: Scope) -> list[str]:
        """The ids of the collections that have generations, whether or not anybody knows the collection."""

    def drop_namespace(self, scope: Scope) -> None: ...

    def transaction(self, scope: Scope) -> AbstractContextManager[None]:
        """Everything written to the namespace inside becomes visible at once or, on an exception, not at all. Nested
        calls join. Whoever writes metadata as well does it before or around: metadata is always locked first."""

    def saved_reply(self, scope: Scope, key: str) -> SavedReply | None:
        """As in MetadataStore, beside the documents of the namespace."""

    def save_reply(self, scope: Scope, key: str, saved: SavedReply, *, forget_before: datetime) -> None:
        """As in MetadataStore, beside the documents of the namespace."""

    def compact(self, scope: Scope) -> int:
        """Rewrite segments whose holes passed the threshold. Returns the bytes freed; safe while others read."""

    def checkpoint(self) -> None:
        """Give the room of journals back to the disk as far as nobody reads from them."""

    def journal_bytes(self) -> int:
        """The size of journals beside the data, for operators; 0 for a store without."""

    def close(self) -> None: ...
