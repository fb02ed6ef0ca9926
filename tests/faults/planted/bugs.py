"""The planted bugs: for each the modules it changes, and how. Every one is a mistake somebody could make."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

Change = Callable[[Any], None]


def _reply_before_commit(documents: Any) -> None:
    """A write is answered at once and carried out when the next one comes."""
    real = documents.SqliteDocuments.write
    held: list[Any] = []

    def write(self: Any, scope: Any, collection: str, batches: Any, **how: Any) -> Any:
        while held:
            real(*held[0][0], **held[0][1])
            held.pop(0)
        taken = list(batches)
        held.append(((self, scope, collection, taken), how))
        return documents.WriteCount(sum(len(batch) for batch in taken), 0)

    documents.SqliteDocuments.write = write


_held: list[Callable[[], object]] = []


def _artifacts_later(artifacts: Any) -> None:
    real = artifacts.LocalArtifacts.write

    def write(*given: Any, **how: Any) -> dict[str, Any]:
        _held.append(lambda: real(*given, **how))
        return {}

    artifacts.LocalArtifacts.write = write


def _flip_first(run_states: Any) -> None:
    """The pointer to the visible run is flipped before its artifacts are there."""
    real = run_states.RunStates.publish

    def publish(*given: Any, **more: Any) -> None:
        real(*given, **more)
        while _held:
            _held.pop(0)()

    run_states.RunStates.publish = publish


def _every_tenant(metadata: Any) -> None:
    """Records are found by kind and id alone."""
    metadata._HERE = "kind = ? AND ? IS NOT NULL AND ? IS NOT NULL"


def _no_reply_kept(store: Any) -> None:
    """What was answered to a keyed request is not kept."""
    store.SqliteTransaction.save_reply = lambda *_given, **_more: None


def _no_sync(files: Any) -> None:
    """Nothing waits for the disk."""
    del files
    os.fsync = lambda fd: None  # the name is part of its type


def _no_sync_in_sqlite(sqlite: Any) -> None:
    sqlite._PRAGMAS = tuple(one.replace("synchronous=FULL", "synchronous=OFF") for one in sqlite._PRAGMAS)


def _no_fence(run_states: Any) -> None:
    """A worker that was taken over goes on as if nothing had happened."""
    run_states.RunStates._holds = lambda *_: True


def _no_attempts(artifacts: Any) -> None:
    """Whoever comes last puts the tables of a run in place."""
    artifacts._check_latest = lambda _folder, _attempt: None


def _no_intent(intents: Any) -> None:
    """Results are written back without a word of it on record, so that nobody knows how far it is."""

    def move(_self: Any, _scope: Any, before: Any, position: int, enriched: int) -> Any:
        return before.with_changes(position=position, enriched=enriched)

    intents.EnrichmentIntents.begin = lambda _self, _scope, asked, **_how: asked
    intents.EnrichmentIntents.move = move


def _no_tombstone(removals: Any) -> None:
    """What is deleted is cleared away without a word of it on record."""
    removals.Removals.begin = lambda *_: None


def _abort(run: Any) -> None:
    """Not one of the seven: the run of a cluster called `poison` aborts its process, as a bug in a library would."""
    real = run.Runner.run

    def run_or_abort(self: Any, job: Any, progress: Any) -> None:
        states = self._states
        execution = states.executions.get(job.scope, job.job_id)
        if states.clusters.get(job.scope, execution.cluster_id).cluster_name == "poison":
            os.abort()
        real(self, job, progress)

    run.Runner.run = run_or_abort


BUGS: Final[Mapping[str, Mapping[str, Change]]] = {
    "reply_before_commit": {"shoal.storage.sqlite.documents.store": _reply_before_commit},
    "flip_before_artifacts": {"shoal.storage.local.artifacts": _artifacts_later, "shoal.runs.states": _flip_first},
    "tenant_clause_dropped": {"shoal.storage.sqlite.records": _every_tenant},
    "idempotency_reply_not_saved": {"shoal.storage.sqlite.transaction": _no_reply_kept},
    "enrichment_without_intent": {"shoal.runs.intents": _no_intent},
    "no_fsync": {"shoal.durable": _no_sync, "shoal.storage.sqlite.database": _no_sync_in_sqlite},
    "removal_without_tombstone": {"shoal.services.removals": _no_tombstone},
    "fencing_ignored": {"shoal.runs.states": _no_fence, "shoal.storage.local.artifacts": _no_attempts},
    "abort_poison": {"shoal.runs.run": _abort},
}
