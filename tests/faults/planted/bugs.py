"""The planted bugs: the modules that each changes, and how. Each is a plausible mistake."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

Change = Callable[[Any], None]


def _reply_before_commit(documents: Any) -> None:
    """A write is answered at once and executed when the next one arrives."""
    real = documents.SqliteDocuments.write
    pending: list[Any] = []

    def write(self: Any, scope: Any, collection: str, batches: Any, **options: Any) -> Any:
        while pending:
            real(*pending[0][0], **pending[0][1])
            pending.pop(0)
        content = list(batches)
        pending.append(((self, scope, collection, content), options))
        return documents.WriteCount(sum(len(batch) for batch in content), 0)

    documents.SqliteDocuments.write = write


_deferred: list[Callable[[], object]] = []


def _defer_artifacts(artifacts: Any) -> None:
    real = artifacts.LocalArtifacts.write

    def write(*arguments: Any, **options: Any) -> dict[str, Any]:
        _deferred.append(lambda: real(*arguments, **options))
        return {}

    artifacts.LocalArtifacts.write = write


def _flip_first(run_states: Any) -> None:
    """The pointer to the visible run is flipped before its artifacts are there."""
    real = run_states.RunStates.publish

    def publish(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        while _deferred:
            _deferred.pop(0)()

    run_states.RunStates.publish = publish


def _every_tenant(metadata: Any) -> None:
    """Records are looked up by kind and id alone."""
    metadata._HERE = "kind = ? AND ? IS NOT NULL AND ? IS NOT NULL"


def _drop_reply(store: Any) -> None:
    """The reply to a keyed request is not saved."""
    store.SqliteTransaction.save_reply = lambda *_arguments, **_options: None


def _no_sync(files: Any) -> None:
    """Nothing waits for the disk."""
    del files
    os.fsync = lambda fd: None  # the name is part of its type


def _no_sync_in_sqlite(sqlite: Any) -> None:
    sqlite._PRAGMAS = tuple(pragma.replace("synchronous=FULL", "synchronous=OFF") for pragma in sqlite._PRAGMAS)


def _no_fence(run_states: Any) -> None:
    """A worker that was taken over continues as if nothing had happened."""
    run_states.RunStates._holds = lambda *_: True


def _no_attempts(artifacts: Any) -> None:
    """The last writer puts the tables of a run in place, whatever its attempt."""
    artifacts._check_latest = lambda _folder, _attempt: None


def _no_intent(intents: Any) -> None:
    """Results are written back without a recorded intent, so a crash loses the progress."""

    def move(_self: Any, _scope: Any, before: Any, position: int, enriched: int) -> Any:
        return before.with_changes(position=position, enriched=enriched)

    intents.EnrichmentIntents.begin = lambda _self, _scope, intent, **_options: intent
    intents.EnrichmentIntents.move = move


def _no_tombstone(removals: Any) -> None:
    """Deleted data is removed without a recorded tombstone."""
    removals.Removals.begin = lambda *_: None


def _abort(run: Any) -> None:
    """Not a bug for the self-test: the run of a cluster called `poison` aborts its process, like a bug in a library."""
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
    "flip_before_artifacts": {"shoal.storage.local.artifacts": _defer_artifacts, "shoal.runs.states": _flip_first},
    "tenant_clause_dropped": {"shoal.storage.sqlite.records": _every_tenant},
    "idempotency_reply_not_saved": {"shoal.storage.sqlite.transaction": _drop_reply},
    "enrichment_without_intent": {"shoal.runs.intents": _no_intent},
    "no_fsync": {"shoal.durable": _no_sync, "shoal.storage.sqlite.database": _no_sync_in_sqlite},
    "removal_without_tombstone": {"shoal.services.removals": _no_tombstone},
    "fencing_ignored": {"shoal.runs.states": _no_fence, "shoal.storage.local.artifacts": _no_attempts},
    "abort_poison": {"shoal.runs.run": _abort},
}
