"""ONE EXECUTION, top to bottom: read → group → identify → name → publish → enrich.

Each step takes what the one before returned. A crash before the flip in `publish` leaves the earlier results visible,
a crash after it the new ones; a run that is taken up again after the flip goes on with enrichment.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from shoal.engine.plan import Progress, StageCache
from shoal.errors import Cancelled, Conflict, Corrupt, InsufficientStorage, RunFailed, ShoalError, Unavailable
from shoal.failpoints import hit
from shoal.jobs.worker import MAX_ATTEMPTS
from shoal.records.clusters.cluster import Cluster
from shoal.records.collection import Collection
from shoal.records.runs.execution import ACTIVE, Execution
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository
from shoal.runs.config.cluster_config import feature_name
from shoal.runs.encoding import RunEncoding
from shoal.runs.enrichment import Enrichment
from shoal.runs.facets import FacetFeatures
from shoal.runs.generations import Generations, generation_of
from shoal.runs.grouping.assigned_groups import AssignedGroups, Earlier, group_assigned
from shoal.runs.grouping.earlier_map import with_places
from shoal.runs.grouping.group import group
from shoal.runs.grouping.groups import GroupTables, NewGroups
from shoal.runs.identity.identify import Identity, Past, identify, keep_ids
from shoal.runs.identity.lasting import LastingGroups
from shoal.runs.input import RunInput, read_input
from shoal.runs.naming import GroupNaming, NamedRun
from shoal.runs.output import output_batches
from shoal.runs.relabeling import Relabelings
from shoal.runs.results import VERSIONS, cluster_result, run_result
from shoal.runs.stages import Stages
from shoal.runs.states import RunStates
from shoal.storage.protocols.artifacts import ArtifactStore
from shoal.storage.protocols.checkpoints import CheckpointStore
from shoal.storage.protocols.documents import DocumentStore
from shoal.storage.protocols.queue import Job
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["Runner"]

_log = logging.getLogger("shoal.run")


@dataclass(frozen=True, slots=True)
class _Work:
    """The inputs of every step of one run."""

    job: Job
    run: Execution
    cluster: Cluster
    sources: Sequence[Collection]
    outputs: Sequence[tuple[Collection, str | None]]
    """The output collections, each with the feature whose groups it receives, None for all."""

    @property
    def scope(self) -> Scope:
        return self.job.scope

    @property
    def keeps_map(self) -> bool:
        """Whether the map of the earlier run is needed."""
        stability = self.run.request.get("layout_stability", self.cluster.layout_stability)
        return self.run.mode == "assign" or stability in ("align", "transform")


class Runner:
    """Executes claimed runs. All dependencies are passed in, the clock included."""

    def __init__(
        self,
        metadata: RecordStore,
        documents: DocumentStore,
        artifacts: ArtifactStore,
        states: RunStates,
        enrichment: Enrichment,
        relabelings: Relabelings,
        generations: Generations,
        checkpoints: CheckpointStore,
        now: Callable[[], datetime],
        naming: GroupNaming,
        encoding: RunEncoding,
        facets: FacetFeatures,
        *,
        threads: int = 0,
        worth_seconds: float = 1.0,
    ) -> None:
        self._documents, self._artifacts, self._states, self._now = documents, artifacts, states, now
        self._checkpoints, self._worth = checkpoints, worth_seconds
        self.naming = naming
        self._encoding, self._facets = encoding, facets
        self._enrichment, self._relabelings = enrichment, relabelings
        self._generations, self._threads = generations, threads
        self._collections = Repository(
            metadata, "collection", Collection, id_field="collection_id", name_field="collection_name"
        )

    def run(self, job: Job, progress: Progress) -> None:
        """Execute a run to its end.

        An error of the input is recorded as the failure of the run; a run that was cancelled or taken over ends
        silently.

        Raises
        ------
        MemoryError
            Recorded by the worker, which has memory for it.
        Unavailable
            A store did not answer, and another attempt is left.
        """
        try:
            self._run(job, progress)
            return
        except Cancelled:
            _log.info("run.cancelled", extra={"run_id": job.job_id})
        except (InsufficientStorage, Corrupt) as error:
            self._states.fail(job, error.message, "infrastructure")
        except Unavailable as error:
            if job.attempts < MAX_ATTEMPTS:
                raise
            self._states.fail(job, error.message, "infrastructure")
        except ShoalError as error:
            self._states.fail(job, error.message, "validation")
        self.discard(job)

    def discard(self, job: Job) -> None:
        """Remove the unpublished output of a run that ended early.

        Does not touch an active run, here or with another worker, nor published results.
        """
        for id in job.payload.get("outputs", []):
            self._generations.clear(job.scope, id)
        run = self._states.executions.find_one(job.scope, job.job_id)
        if run is None or (run.status not in ACTIVE and not run.published):
            self._artifacts.delete(job.scope, job.job_id)
        if run is None or run.status not in ACTIVE:
            self._checkpoints.delete(job.scope, job.job_id)

    def _run(self, job: Job, progress: Progress) -> None:
        work = self._take(job)
        if not work.run.published:
            progress("load", 0.0)
            notes = self._encode(work, progress)
            source = read_input(self._documents, work.scope, work.cluster, work.run, work.sources)
            versions = self._encoding.find_versions(work.scope, work.sources, self._features(work))
            self._check_comparable(work, versions)
            source = replace(source, warnings=[*notes, *source.warnings], encoders=versions)
            derived = self._facets.add(work.scope, work.run, work.cluster, work.sources, source, progress)
            source, work = derived.source, replace(work, run=work.run.with_changes(llm_usage=derived.usage))
            if work.keeps_map:
                source = with_places(source, self._artifacts, work.scope, work.cluster.current_run_id)
            hit("run.loaded")
            stages = self._stages(work, source)
            groups_found = stages("group", lambda: self._group(work, source, progress, stages))
            identity = self._identify(work, source, groups_found)
            hit("run.identified")
            encoders = self._encoding.open_encoders(work.sources, self._features(work))
            named = NamedRun(work.scope, work.run, work.cluster, work.sources, encoders)
            names = stages("name", lambda: self.naming.name(named, groups_found, source, identity, progress))
            progress("publish", 0.0)
            groups = groups_found.tables(source, identity.ids, names)
            self._publish(work, source, LastingGroups.of(groups, identity), stages.resumed)
        for output, _ in work.outputs:
            self._generations.clear(work.scope, output.collection_id, published=work.run.run_id)
        hit("run.cleared")
        progress("enrich", 0.0)
        enriched = self._enrich(work, progress) if work.cluster.enrich_source else None
        self._relabelings.finish(work.scope, work.run.run_id)
        hit("run.before_complete")
        self._states.complete(job, enriched=enriched)
        hit("run.after_complete")
        self._checkpoints.delete(work.scope, work.run.run_id)

    def _encode(self, work: _Work, progress: Progress) -> list[str]:
        """Encode texts that lack a vector; the clusters of an earlier run stay in the space of a fitted encoder."""
        features = self._features(work)
        return self._encoding.update(work.scope, work.sources, features, progress, fit=work.run.mode != "assign")

    def _features(self, work: _Work) -> list[str]:
        """Return the names of the vectors of a run."""
        if work.cluster.cluster_type != "vector":
            return []
        dimensions = self._documents.vector_dimensions(work.scope)
        return [feature_name(uri, dimensions) for uri in work.cluster.feature_uris or []]

    def _check_comparable(self, work: _Work, versions: Mapping[str, str]) -> None:
        """Raise RunFailed where documents would be assigned to centroids of another encoder or fit."""
        if work.run.mode != "assign":
            return
        earlier = work.run.request["assigned_to"]
        manifest = self._artifacts.manifest(work.scope, earlier) or {}
        before = (manifest.get("meta") or {}).get("encoders") or {}
        for feature, version in versions.items():
            if before.get(feature, version) != version:
                raise RunFailed(
                    f"The vectors {feature!r} were made anew since {earlier}, by {version} instead of "
                    f"{before[feature]}, and cannot be compared with its clusters. Execute the cluster in full."
                )

    def _stages(self, work: _Work, source: RunInput) -> Stages:
        """Return the stages of the run, keyed by the documents, the configuration and the code."""

        def made_from() -> Any:
            config = work.cluster.model_dump(mode="json", include=_CONFIG)
            return [config, work.run.request, VERSIONS, source.digest()]

        return Stages(self._checkpoints, work.scope, work.run.run_id, made_from, worth_seconds=self._worth)

    def _group(self, work: _Work, source: RunInput, progress: Progress, keep: StageCache) -> NewGroups | AssignedGroups:
        if work.run.mode != "assign":
            return group(source, work.cluster, work.run, progress, self._threads, keep)
        earlier = Earlier.of(self._artifacts, work.scope, self._earlier_run(work))
        return group_assigned(source, work.cluster, work.run, earlier, self._threads, progress)

    def _identify(self, work: _Work, source: RunInput, groups: NewGroups | AssignedGroups) -> Identity:
        """Match the clusters with those of the run before.

        Repeated by each attempt: it takes seconds at most, and the run before may be another one by then.
        """
        if isinstance(groups, AssignedGroups):
            return keep_ids(self._earlier_run(work))
        past = Past.before(self._states.executions, self._artifacts, work.scope, work.run)
        return identify(groups.rank(source), past)

    def _earlier_run(self, work: _Work) -> Execution:
        return self._states.executions.get(work.scope, work.run.request["assigned_to"])

    def _take(self, job: Job) -> _Work:
        run, cluster = self._states.processing(job)
        hit("run.claimed")
        sources = [self._source(job.scope, id) for id in cluster.input_collections]
        own = [] if cluster.enrich_source else cluster.outputs()
        outputs = [
            (collection, feature)
            for id, feature in own
            if (collection := self._collections.find_one(job.scope, id)) is not None
        ]
        return _Work(job, run, cluster, sources, outputs)

    def _source(self, scope: Scope, id: str) -> Collection:
        collection = self._collections.find_one(scope, id)
        if collection is None:
            raise RunFailed(f"The source collection {id} was deleted.")
        return collection

    def _publish(self, work: _Work, source: RunInput, lasting: LastingGroups, resumed: Sequence[str]) -> None:
        """Write everything out of sight of readers, then publish it."""
        groups = lasting.groups
        self._states.check_now(work.job)
        self._write_artifacts(work, source, groups)
        for output, feature in work.outputs:
            batches = output_batches(work.run, groups, feature, lasting.labels)
            key = output.key_of(generation_of(work.job))
            self._documents.write(work.scope, key, batches, now=self._now())
            hit("run.output_written")
        hit("run.before_flip")
        self._states.publish(
            work.job,
            run_result(
                work.run, work.sources, source, lasting, resumed, self.naming.warn(work.cluster, work.run, source.texts)
            ),
            cluster_result(work.run, work.sources, source, groups),
            lambda tx, run: self._flip_generations(tx, work, run, lasting),
            labels_from=lasting.labels_from,
            carry_labels=lasting.carry_labels,
        )
        hit("run.after_flip")

    def _write_artifacts(self, work: _Work, source: RunInput, groups: GroupTables) -> None:
        """Write the artifacts. Raises Cancelled if another worker, which holds the run by now, has written them."""
        tables = {"members": groups.members, "centroids": groups.centroids, **groups.tables}
        meta = {
            "cluster_id": work.cluster.cluster_id,
            "metrics": groups.metrics,
            "dimensions": groups.dimensions,
            "features": list(source.parts),
            "encoders": dict(source.encoders),
        }
        try:
            self._artifacts.write(work.scope, work.run.run_id, tables, meta, attempt=work.job.fence)
        except Conflict:
            self._states.check_now(work.job)
            raise

    def _enrich(self, work: _Work, progress: Progress) -> int:
        def after_batch(fraction: float) -> None:
            progress("enrich", fraction)
            self._states.check_now(work.job)

        run = self._states.executions.get(work.scope, work.run.run_id)
        return self._enrichment.enrich(work.scope, work.cluster, run, after_batch)

    def _flip_generations(self, tx: Transaction, work: _Work, run: Execution, lasting: LastingGroups) -> None:
        """Make the written generations visible, and queue updates for labels that were changed since."""
        changed = {id for id, _ in lasting.labels.items() ^ run.label_overrides.items()}
        late = changed & {centroid.cluster_id for centroid in run.centroids or []}
        if late:
            self._relabelings.begin(tx, work.scope, run, late)
        for output, _ in work.outputs:
            self._collections.within(tx).change(
                work.scope,
                output.collection_id,
                lambda newest: newest.with_generation(generation_of(work.job), self._now()),
            )


_CONFIG: Final = {
    "aggregation_method", "algorithm", "algorithm_params", "cluster_type", "clustered_attributes",
    "effective_feature_method", "face_cluster_merge", "feature_uris", "feature_weights", "hierarchical_grouping",
    "hierarchical_vector", "layout_stability", "learned_weights", "llm_labeling", "max_hierarchy_depth",
    "multi_feature_strategy", "normalize_features", "output_features", "output_strategy", "preprocessing_steps",
    "sample_size", "text_fields", "vis_n_components", "weight_learning_config",
}  # fmt: skip
"""The fields of a cluster that determine its results."""
