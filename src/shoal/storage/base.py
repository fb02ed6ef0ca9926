"""What every store promises. Small protocols, each promise in words; one contract suite runs over all of them.

All methods are synchronous and safe to call from any thread and from several processes. Every call carries a Scope:
nothing outside it can be read, changed or counted. A write is on disk before its method returns.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.columns import DocumentBatch, Matrix
from shoal.records.filters import MATCH_ALL, Filter
from shoal.records.paging import Listing, Page, Sort
from shoal.records.scope import Scope

__all__ = [
    "ArtifactStore",
    "CheckpointStore",
    "DocumentStore",
    "Enrichment",
    "Job",
    "Json",
    "Kept",
    "Kind",
    "MetadataStore",
    "Query",
    "Reply",
    "SavedReply",
    "Stored",
    "StoredDocument",
    "Totals",
    "WriteCount",
    "batched",
]

Json = dict[str, Any]
"""A decoded JSON object."""

Totals = Mapping[str, tuple[int, Sequence[float]]]
"""A count and sums for each value of a field."""

Kind = Literal[
    "organization",
    "key",
    "namespace",
    "bucket",
    "object",
    "collection",
    "cluster",
    "execution",
    "task",
    "audit",
    "removal",
    "relabeling",
    "clock",
]

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Query:
    """What a list asks for. `search` is a case-insensitive substring over `search_fields`; a page of documents that
    would take more than `most_bytes` as JSON is refused with InvalidField."""

    filter: Filter = MATCH_ALL
    sort: Sequence[Sort] = ()
    page: Page = field(default_factory=Page)
    search: str | None = None
    search_fields: Sequence[str] = ()
    most_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it was sent."""

    status: int
    media_type: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class SavedReply:
    """The reply to a request with an idempotency key. `request` is a hash that tells this request from others."""

    request: str
    reply: Reply
    saved_at: datetime


# ── metadata ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as the store holds it. `version` starts at 1 and grows by 1 with each write."""

    id: str
    name: str | None
    version: int
    body: Json


@dataclass(frozen=True, slots=True)
class Job:
    """A place in the queue. `fence` grows with each claim: a write that carries an older fence is refused."""

    job_id: str
    scope: Scope
    queue: str
    payload: Json
    state: Literal["queued", "running", "done"]
    fence: int
    attempts: int
    worker: str | None
    lease_until: datetime | None
    cancel_requested: bool
    stage: str
    fraction: float
    damaged: bool = False
    """Whether the payload could not be read; it is empty then."""


class MetadataStore(Protocol):
    """Records of all kinds, and the queue of jobs."""

    def transaction(self) -> AbstractContextManager[None]:
        """Everything written inside becomes visible at once or, on an exception, not at all. Nested calls join."""

    def insert(self, scope: Scope, kind: Kind, id: str, body: Json, *, name: str | None = None) -> Stored:
        """Raises AlreadyExists where the id, or the name among records of this kind and scope, is taken."""

    def get(self, scope: Scope, kind: Kind, id: str) -> Stored | None: ...

    def get_by_name(self, scope: Scope, kind: Kind, name: str) -> Stored | None: ...

    def names(self, scope: Scope, kind: Kind, most: int) -> list[str]:
        """The names of records of a kind in exactly this scope, the first in alphabetical order."""

    def find(self, scope: Scope, kind: Kind, query: Query) -> Listing[Stored]:
        """Filtered, searched, sorted (default: the last one stored first), paged."""

    def replace(
        self, scope: Scope, kind: Kind, id: str, body: Json, *, name: str | None = None, expect_version: int
    ) -> Stored:
        """Raises StaleVersion where the stored version differs, NotFound where it is gone, AlreadyExists for the
        name."""

    def delete(self, scope: Scope, kind: Kind, id: str) -> bool:
        """Whether there was something to delete."""

    def prune(self, scope: Scope, kind: Kind, before: datetime, *, now: datetime, keep: int, most: int) -> int:
        """Delete records that were created before a moment, and all but the newest `keep`: the first ones stored first,
        at most `most` for either reason. Returns how many.

        A record that was stored after one that is to be kept stays, whatever its time says: a clock was set back then.
        Times after `now` say nothing."""

    def totals(self, scope: Scope, kind: Kind, filter: Filter, *, by: str, sums: Sequence[str]) -> Totals:
        """For each value of the top-level text field `by`: how many records match, and the sums of the top-level
        numeric fields `sums` over them (absent and null count as 0). No record leaves the store."""

    def delete_scope(self, scope: Scope) -> int:
        """Delete every record and job whose namespace is the scope's. Returns how many records."""

    # The queue: atomic moves only; policy (leases, retries, who may claim) lives in `jobs/`.

    def enqueue(
        self, scope: Scope, job_id: str, queue: str, payload: Json, now: datetime, *, subject: str | None = None
    ) -> None:
        """Put a job at the end of its organisation's queue. Of the jobs of one `subject` at most one runs at a time.
        Raises AlreadyExists for a job id that was ever used, Conflict while another job holds the subject: one that is
        open and was neither cancelled nor let go."""

    def claim(
        self, queue: str, worker: str, now: datetime, lease_until: datetime, most_of_one: int | None = None
    ) -> Job | None:
        """Take a job that is queued, or running with a lease that ended; its fence and attempts grow by 1. Whose turn
        it is: the organisation with the fewest running jobs, then the one served longest ago, and its oldest job; none
        with `most_of_one` running jobs already.
        Atomic: two workers never get the same job, nor two jobs of one subject."""

    def heartbeat(
        self, job_id: str, fence: int, now: datetime, lease_until: datetime, stage: str, fraction: float
    ) -> Job | None:
        """Extend the lease and note the progress. None where the fence is stale or the job is done: stop at once."""

    def finish(self, job_id: str, fence: int) -> bool:
        """Move to done. False where the fence is stale."""

    def let_go(self, scope: Scope, job_id: str) -> None:
        """The outcome is recorded: another job of the same subject may be queued. It runs once this one is done."""

    def requeue(self, job_id: str, fence: int, *, crashed: bool = True) -> bool:
        """Hand a running job back to the queue; the attempt does not count where nothing crashed. False where the
        fence is stale."""

    def release_worker(self, worker: str) -> int:
        """Return the running jobs of a worker known to be dead to the queue; the attempt does not count. Returns how
        many."""

    def request_cancel(self, scope: Scope, job_id: str) -> Job | None:
        """A queued job becomes done; a running one is asked to stop. Returns the job afterwards, None if unknown."""

    def get_job(self, scope: Scope, job_id: str) -> Job | None: ...

    def remove_job(self, scope: Scope, job_id: str) -> bool:
        """Forget a job; its worker stops at the next heartbeat. Whether there was something to remove."""

    def running_jobs(self, queue: str) -> Sequence[Job]:
        """The jobs that are being carried out, or were when their worker died."""

    def running_workers(self) -> Sequence[str]:
        """The distinct workers that hold a running job."""

    def queued(self, scope: Scope, queue: str) -> int:
        """How many jobs of the organisation wait, in all its namespaces."""

    def revision(self) -> int:
        """A number that is another one after anybody else, in this process or another, wrote. Cheap to ask."""

    def waiting(self, queue: str) -> tuple[int, datetime | None]:
        """How many jobs of a queue wait, of all organisations, and since when the oldest does."""

    def count(self, *name: str, amount: float = 0.0) -> None:
        """Add one to a counter, and `amount` to its sum. Joins the transaction that is open. For operators' figures:
        names must be few and tell of nobody."""

    def counters(self) -> Mapping[tuple[str, ...], tuple[int, float]]:
        """Every counter with its sum."""

    def checkpoint(self) -> None:
        """Give the room of journals back to the disk as far as nobody reads from them."""

    def saved_reply(self, scope: Scope, key: str) -> SavedReply | None:
        """What was saved under an idempotency key of exactly this scope, however old."""

    def save_reply(self, scope: Scope, key: str, saved: SavedReply, *, forget_before: datetime) -> None:
        """Save in place of an earlier reply to the key; some replies saved before `forget_before` make room."""

    def close(self) -> None: ...


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────────


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

    def close(self) -> None: ...


# ── artifacts ────────────────────────────────────────────────────────────────────────────────────────────────────────


class ArtifactStore(Protocol):
    """Whole files of a run: Parquet tables and a manifest with their SHA-256, rows and sizes.

    A run's folder appears whole (manifest last) and never changes afterwards.
    """

    def write(
        self,
        scope: Scope,
        run_id: str,
        tables: Mapping[str, pa.Table],
        meta: Json,
        *,
        while_holding: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Json:
        """Write every table and then the manifest, which is returned. Writing a run again replaces it whole. The
        moment at which the tables become those of the run lies inside `while_holding`, which raises where that may not
        be any more."""

    def manifest(self, scope: Scope, run_id: str) -> Json | None: ...

    def read(self, scope: Scope, run_id: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Raises NotFound where the run has no such table, Corrupt where bytes do not match."""

    def path(self, scope: Scope, run_id: str, name: str) -> Path:
        """A local file with the table, for downloads. Raises NotFound."""

    def delete(self, scope: Scope, run_id: str) -> None: ...

    def delete_scope(self, scope: Scope) -> None: ...

    def runs(self) -> list[tuple[Scope, str]]:
        """All runs that have artifacts, in every scope: for those who clean up."""


# ── checkpoints ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Kept(NamedTuple):
    """A finished stage: its arrays, and the rest as JSON."""

    arrays: Mapping[str, NDArray[Any]]
    about: Json


class CheckpointStore(Protocol):
    """Finished stages of runs that are under way. Losing one costs time, never an answer."""

    def write(
        self, scope: Scope, run_id: str, stage: str, made_from: str, arrays: Mapping[str, NDArray[Any]], about: Json
    ) -> None:
        """Keep a stage; `made_from` is the hash of everything that it depends on."""

    def read(self, scope: Scope, run_id: str, stage: str, made_from: str) -> Kept | None:
        """None where there is none, it was made from something else, or it is damaged."""

    def delete(self, scope: Scope, run_id: str, stage: str | None = None) -> None:
        """Forget a stage of a run, or all of them; nothing happens where there is none."""

    def delete_scope(self, scope: Scope) -> None:
        """Forget those of all runs of a namespace."""

    def stages(self, scope: Scope, run_id: str) -> frozenset[str]:
        """The stages of a run that were kept."""

    def runs(self) -> list[tuple[Scope, str]]:
        """All runs that have checkpoints, in every scope: for those who clean up."""


def batched(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Slices of at most `size` ids, because SQL statements take a bounded number of parameters."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
