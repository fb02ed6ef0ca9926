"""The generations of output collections: each attempt of a run writes its own, and one at a time is visible.

A replaced generation stays for a while, so that clients that are paging through it can finish.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from shoal.records.collection import Collection
from shoal.records.runs.execution import ACTIVE
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository
from shoal.runs.intents import EnrichmentIntents
from shoal.runs.states import RunStates
from shoal.storage.protocols.documents import DocumentStore
from shoal.storage.protocols.queue import Job
from shoal.storage.protocols.transactions import RecordStore

__all__ = ["Generations", "generation_of", "is_of_run"]

_BEFORE_ATTEMPT: Final = "-"


def generation_of(job: Job) -> str:
    """Return the generation of this claim of a run.

    It contains the fencing token, so that a worker that lost its lease cannot touch what its successor wrote.
    """
    return f"{job.job_id}{_BEFORE_ATTEMPT}{job.fence}"


def is_of_run(generation: str | None, run_id: str) -> bool:
    """Whether a generation was written by an attempt of this run."""
    return generation is not None and generation.startswith(f"{run_id}{_BEFORE_ATTEMPT}")


class Generations:
    """Removes generations that are neither visible nor may still be published by an active run."""

    def __init__(
        self,
        metadata: RecordStore,
        documents: DocumentStore,
        states: RunStates,
        now: Callable[[], datetime],
        grace: timedelta,
    ) -> None:
        self._documents, self._states, self._now, self._grace = documents, states, now, grace
        self._intents = EnrichmentIntents(metadata, now)
        self._collections = Repository(
            metadata, "collection", Collection, id_field="collection_id", name_field="collection_name"
        )

    def clear(self, scope: Scope, collection_id: str, *, published: str | None = None) -> int:
        """Remove the generations that are neither visible, nor were until recently, nor belong to an active run.

        If the collection is gone, all are removed. `published` is a run whose other attempts count as over. Returns the
        number of generations removed.
        """
        written = self._documents.generations(scope, collection_id)
        # Read the runs before the collection: a run that is over by now has published already if it ever will.
        over = [generation for generation in written if not self._may_publish(scope, generation, published)]
        collection = self._collections.find_one(scope, collection_id)
        dropped = [
            generation for generation in over if collection is None or not self._readable(collection, generation)
        ]
        # The record first: clients that page through a removed generation must get an error, not an empty page.
        if collection is not None and not collection.superseded.keys() <= set(written) - set(dropped):
            self._forget(scope, collection_id)
        for generation in dropped:
            self._drop(scope, collection_id, generation)
        return len(dropped)

    def _readable(self, collection: Collection, generation: str) -> bool:
        left = collection.superseded.get(generation)
        return generation == collection.generation or (left is not None and self._now() < left + self._grace)

    def _forget(self, scope: Scope, collection_id: str) -> None:
        def prune(newest: Collection) -> Collection:
            readable = {
                generation: left
                for generation, left in newest.superseded.items()
                if self._now() < left + self._grace and generation
            }
            return newest.with_changes(superseded=readable)

        self._collections.change(scope, collection_id, prune)

    def _drop(self, scope: Scope, collection_id: str, generation: str) -> None:
        key = f"{collection_id}@{generation}"
        self._documents.drop_collection(scope, key)
        self._intents.forget_target(scope, key)

    def _may_publish(self, scope: Scope, generation: str, published: str | None) -> bool:
        run_id = generation.partition(_BEFORE_ATTEMPT)[0]
        run = self._states.executions.find_one(scope, run_id)
        return run is not None and run.status in ACTIVE and run_id != published
