"""Documents with JSON payloads and named vectors."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from shoal.columns import DocumentBatch, Matrix, VectorColumn
from shoal.records.queries.filters import MATCH_ALL, Filter
from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.storage.protocols.maintenance import Maintenance
from shoal.storage.protocols.records import Json, Query

__all__ = [
    "DerivedVectors",
    "DocumentReader",
    "DocumentStore",
    "DocumentUpkeep",
    "DocumentWriter",
    "ResultWriter",
    "Results",
    "StoredDocument",
    "Write",
    "WriteCount",
    "WriteWithdrawn",
]

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as stored; `vectors` holds only the requested ones."""

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
class DerivedVectors:
    """Vectors of one name, computed from what documents of a collection held.

    `updates` are (id, change of the payload) of distinct documents; `column.rows` are positions in it, and a document
    without a vector there loses the one it has. `read` holds, aligned, the value of `field` at the time; None where it
    had none, and then no vector of the name either.
    """

    name: str
    field: str
    read: Sequence[Any]
    updates: Sequence[tuple[str, Json]]
    column: VectorColumn


@dataclass(frozen=True, slots=True)
class Write:
    """The name of a write, which makes it idempotent.

    A store carries out a write once under its name. A repetition with the same name changes nothing and returns the
    same answer, until `forget_writes`. One that was withdrawn before raises WriteWithdrawn.
    """

    id: str
    at: datetime
    """The time of the request."""


class WriteWithdrawn(Exception):
    """A named write was withdrawn before it was carried out, and stored nothing.

    Not a ShoalError: the code that names a write handles it, since callers of the API do not know the name.
    """

    def __init__(self, write_id: str) -> None:
        super().__init__(f"The write {write_id} was withdrawn before it was carried out.")
        self.write_id = write_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The cluster and the run whose results are written into documents."""

    id: str
    """The id of the intent."""
    cluster_id: str
    run_id: str
    sequence: int = 0
    """The number of the run among those of its cluster: results of a later run are never overwritten."""
    by_run: bool = False
    """Whether the run itself writes into its sources; otherwise a caller requested the write."""
    partition: str = ""
    """The partition of a run with its own filter: other partitions keep their results."""
    target: str
    """The storage key of the collection that is written to; "" for all collections that runs of the cluster wrote
    to."""


class DocumentReader(Protocol):
    """Reads of documents. Each call sees one snapshot."""

    def vector_dimensions(self, scope: Scope) -> Mapping[str, int]: ...

    def get(
        self, scope: Scope, collection: str, ids: Sequence[str], *, vectors: Sequence[str] | Literal["all"] = ()
    ) -> list[StoredDocument | None]:
        """Return the documents, aligned with `ids`; None for an id that does not exist."""

    def find(
        self, scope: Scope, collection: str, query: Query, *, vectors: Sequence[str] | Literal["all"] = ()
    ) -> Listing[StoredDocument]:
        """Return a page of the documents that match, by id ascending unless the query sorts otherwise.

        `total` is exact if the page requests it, else 0.
        """

    def count(self, scope: Scope, collection: str, filter: Filter = MATCH_ALL) -> int: ...

    def distinct(
        self, scope: Scope, collection: str, field: str, filter: Filter, limit: int
    ) -> tuple[list[tuple[Any, int]], int]:
        """Return (value, count) pairs, most frequent first, then by value, and the number of distinct values.

        A list counts once for each of its distinct elements.
        """

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
        """Load the vectors of all documents that match and have every named vector: the hot path.

        `sample` draws that many rows uniformly without replacement, with `seed`. Nothing is copied if the rows lie in
        one segment in the order of ids.
        """

    def load_ids_with_vector(self, scope: Scope, collection: str, name: str) -> list[str]:
        """Return the ids of the documents that have a vector of this name, in any order."""

    def load_fields(
        self, scope: Scope, collections: Sequence[str], fields: Sequence[str], *, filter: Filter = MATCH_ALL
    ) -> tuple[list[str], list[str], list[list[Any]]]:
        """Return ids, collections and one list of values for each field, in the order of `load_matrix`.

        Absent values are None.
        """

    def load_made(
        self,
        scope: Scope,
        collections: Sequence[str],
        fields: Sequence[str],
        make: Callable[[Sequence[Any]], Made],
        *,
        filter: Filter = MATCH_ALL,
    ) -> tuple[list[str], list[str], list[Made]]:
        """Load fields as `load_fields` does, but apply `make` to the values of each document.

        Only the values of a few documents are in memory at once, however long they are.
        """

    def each_fields(
        self,
        scope: Scope,
        collection: str,
        fields: Sequence[str],
        take: Callable[[int, Sequence[Sequence[Any]]], None],
        *,
        filter: Filter = MATCH_ALL,
    ) -> None:
        """Iterate over fields in batches, in constant memory.

        `take` is called for each batch with the number of rows and one list of values for each field; rows are in the
        order of ids. All batches are of one snapshot.
        """

    def result_fields(self, scope: Scope, collections: Sequence[str]) -> frozenset[str]:
        """Return the dotted paths of the fields in which documents of these collections hold results of clusters."""

    def generations(self, scope: Scope, collection_id: str) -> list[str]:
        """Return the generations of an output collection that were written, without the plain collection itself."""

    def list_generated_collections(self, scope: Scope) -> list[str]:
        """Return the ids of the collections that have generations, with or without a record of the collection."""


class DocumentWriter(Protocol):
    """Writes of documents.

    A write of several documents is atomic, even if the process is killed in the middle. A store with transactions uses
    one. A store without them stages the documents out of sight of readers, commits them with a single marker (the
    flip), then moves them into place. The store's next call drops what was staged but not flipped, and completes what
    was. A call that raised Unavailable may have succeeded; repeat it with its `Write`, which takes effect once.
    """

    def declare_vector(self, scope: Scope, name: str, dimension: int) -> None:
        """Fix the dimension of a vector name in the namespace. Raises InvalidField if it already has another one."""

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
        """Store all batches, or nothing if one fails (or the iterator raises).

        A document whose id exists is replaced whole, vectors included; created_at stays. Undeclared vector names are
        declared with the dimension of their first vectors. A repetition under the name of `write` may leave batches
        unread. Raises InvalidField for a wrong dimension, AlreadyExists for a taken id with on_conflict="fail".
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
        """Merge each update into the payload of its document (objects recursively), or replace the payload.

        Atomic; ids that do not exist are skipped. With `only_changes`, a document whose payload does not change keeps
        its update time. Vectors stay, except those of the names and documents in `vectors`, whose payloads are ignored.
        Returns the ids that exist. Raises InvalidField for a wrong dimension.
        """

    def store_derived(
        self, scope: Scope, collection: str, batches: Iterable[DerivedVectors], *, now: datetime
    ) -> list[str]:
        """Store vectors, and merge their updates, where the documents still hold what the vectors were computed from.

        Atomic over all batches; a document that changed in `field`, or got a vector meanwhile, stays as it is. Returns
        the ids that were changed. Raises InvalidField for a wrong dimension.
        """

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
        """Merge one update into every document that matches. Returns their number."""

    def delete(self, scope: Scope, collection: str, ids: Sequence[str], *, write: Write | None = None) -> list[str]:
        """Delete documents. Returns the ids that existed."""

    def delete_where(self, scope: Scope, collection: str, filter: Filter, *, write: Write | None = None) -> int:
        """Delete every document that matches. Returns their number."""

    def drop_collection(self, scope: Scope, collection: str) -> None: ...

    def drop_namespace(self, scope: Scope) -> None: ...

    def withdraw_write(self, scope: Scope, write: Write) -> bool:
        """Prevent a named write, unless it was carried out. Returns whether it is prevented.

        Waits for a call with this name that is under way. After True, such calls raise WriteWithdrawn and store
        nothing, until the name is forgotten; its age counts from `write.at`. May be repeated.
        """

    def forget_writes(self, scope: Scope, before: datetime) -> None:
        """Forget the names of writes that were requested before a time and will not be repeated any more."""


class ResultWriter(Protocol):
    """Writes of results of clusters into documents.

    These writes have no names; each document is guarded: every call may be repeated at any time, and an earlier run
    never overwrites a later one.
    """

    def write_results(
        self, scope: Scope, results: Results, updates: Iterable[tuple[str, Json]], *, step: int, now: datetime
    ) -> list[str]:
        """Merge each update into its document. Returns the ids that exist.

        Documents that already hold the values do not change; ids that do not exist are skipped. `step` grows with each
        call for the same intent. A document that this intent wrote in this step or a later one is left alone, so that a
        repetition does not undo edits made since.

        Raises Conflict, without writing anything, if a later run of the cluster was written into the target.
        """

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
        """Merge each update into those fields of its document that still hold what this run wrote.

        A field that was edited since, or that another run wrote, stays. Returns the number of documents that changed.
        """

    def clear_results(self, scope: Scope, results: Results, *, after: str, now: datetime) -> str | None:
        """Clear fields that earlier runs of the cluster wrote and this one did not write again.

        Works through some thousands of documents after the position `after` ("" at first), in all collections for the
        results of a run, else in the target. A field that was edited since stays. Returns the position to continue
        from, None if nothing is left; a repetition from the first position finds the rest. Raises Conflict if a later
        run was written.
        """

    def clear_all_results(self, scope: Scope, cluster_id: str, *, now: datetime) -> bool:
        """Clear everything that a cluster ever wrote, some thousands of documents at once.

        Returns whether more may be left.
        """

    def forget_results(self, scope: Scope, cluster_id: str) -> None:
        """Forget which fields a cluster wrote; the documents keep them."""


class DocumentUpkeep(Protocol):
    """The part of a document store that housekeeping uses."""

    def forget_writes(self, scope: Scope, before: datetime) -> None:
        """See DocumentWriter."""

    def list_generated_collections(self, scope: Scope) -> list[str]:
        """See DocumentReader."""


class DocumentStore(DocumentReader, DocumentWriter, ResultWriter, Maintenance, Protocol):
    """Documents with JSON payloads and named float32 vectors.

    A collection is named by a storage key: the collection id, or `<collection id>@<generation>` for a generation of an
    output collection. A collection exists once something is written to it. No transaction spans two calls.
    """

    def compact(self, scope: Scope) -> int:
        """Rewrite segments with too many deleted rows. Returns the bytes freed; readers are not affected."""
