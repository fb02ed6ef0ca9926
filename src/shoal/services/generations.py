"""The generations of output collections: each attempt of a run writes one of its own, and one at a time is visible."""

from typing import Final

from shoal.records.collection import Collection
from shoal.records.execution import ACTIVE
from shoal.records.scope import Scope
from shoal.services.repository import Repository
from shoal.services.run_states import RunStates
from shoal.storage.base import DocumentStore, Job, MetadataStore

__all__ = ["Generations", "generation_of"]

_BEFORE_ATTEMPT: Final = "-"


def generation_of(job: Job) -> str:
    """The generation that this claim of a run writes. The fence is part of it, so that a worker that was taken over
    can never touch what its successor wrote or published."""
    return f"{job.job_id}{_BEFORE_ATTEMPT}{job.fence}"


class Generations:
    """Removes what nobody sees any more and no run that is under way may still publish."""

    def __init__(self, metadata: MetadataStore, documents: DocumentStore, states: RunStates) -> None:
        self._documents, self._states = documents, states
        self._collections = Repository(
            metadata, "collection", Collection, id_field="collection_id", name_field="collection_name"
        )

    def clear(self, scope: Scope, collection_id: str, *, published: str | None = None) -> None:
        """Remove the generations that are neither visible nor of an active run, everything where the collection is
        gone. `published` is a run whose other attempts count as over."""
        written = self._documents.generations(scope, collection_id)
        # The runs are asked before the collection: one that is over by now has flipped already if it ever will.
        over = [one for one in written if not self._may_publish(scope, one, published)]
        collection = self._collections.find_one(scope, collection_id)
        for generation in over:
            if collection is None or generation != collection.generation:
                self._drop(scope, collection_id, generation)

    def drop_all(self, scope: Scope, collection_id: str) -> None:
        """Remove the documents of a collection in every generation."""
        self._documents.drop_collection(scope, collection_id)
        for generation in self._documents.generations(scope, collection_id):
            self._drop(scope, collection_id, generation)

    def _drop(self, scope: Scope, collection_id: str, generation: str) -> None:
        self._documents.drop_collection(scope, f"{collection_id}@{generation}")

    def _may_publish(self, scope: Scope, generation: str, published: str | None) -> bool:
        run_id = generation.partition(_BEFORE_ATTEMPT)[0]
        run = self._states.executions.find_one(scope, run_id)
        return run is not None and run.status in ACTIVE and run_id != published
