"""Propagation of edited labels into documents that hold the earlier ones: enriched sources and output collections.

The pending work is recorded in the transaction that changes the labels. Documents are updated in idempotent batches, so
that interrupted work can be repeated, which housekeeping does. In a source document only values that the run wrote are
replaced: a label that was edited there stays.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.errors import Corrupt, InvalidField, NotFound, ShoalError
from shoal.records import collection as records
from shoal.records.clusters.cluster import Cluster
from shoal.records.clusters.ids import id_in_partition
from shoal.records.ids import check_label
from shoal.records.runs.execution import ACTIVE, Execution
from shoal.records.runs.relabeling import Relabeling
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository
from shoal.runs.config.cluster_config import DEFAULT_MAPPINGS, of_feature
from shoal.runs.enrichment import set_field
from shoal.runs.generations import is_of_run
from shoal.runs.grouping.groups import with_link_labels
from shoal.runs.intents import EnrichmentIntents
from shoal.runs.layers import hierarchies, wholes_of, with_new_labels
from shoal.runs.output import member_ids
from shoal.runs.states import RunStates
from shoal.storage.protocols.artifacts import ArtifactStore
from shoal.storage.protocols.documents import DocumentStore
from shoal.storage.protocols.transactions import RecordStore, Transaction
from shoal.tables import decode_dictionaries

__all__ = ["LabelProgress", "Relabelings", "Relabelled"]

_BATCH: Final = 5_000
_MAX_LABEL: Final = 200
_FOLLOW_AT_ONCE: Final = 20_000
"""Documents that are updated before the call that changed the labels returns: about a second's worth."""
_log = logging.getLogger("shoal.relabeling")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Relabelled:
    """A run whose labels were changed, the number of documents updated so far, and warnings."""

    run: Execution
    documents: int
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class LabelProgress:
    """The number of documents that were updated.

    `gone` says that some may keep the earlier labels and cannot be found any more, because the results of the run were
    removed or are damaged.
    """

    documents: int = 0
    gone: bool = False

    def __or__(self, other: "LabelProgress") -> "LabelProgress":
        return LabelProgress(self.documents + other.documents, self.gone or other.gone)


class Relabelings:
    """Edits labels and propagates them into documents. `now` returns UTC."""

    def __init__(
        self,
        metadata: RecordStore,
        documents: DocumentStore,
        artifacts: ArtifactStore,
        states: RunStates,
        now: Callable[[], datetime],
    ) -> None:
        self._store, self._documents, self._artifacts = metadata, documents, artifacts
        self._states, self._now = states, now
        self._intents = EnrichmentIntents(metadata, now)
        self._records = Repository(metadata, "relabeling", Relabeling, id_field="run_id")
        self._collections = Repository(
            metadata, "collection", records.Collection, id_field="collection_id", name_field="collection_name"
        )

    def relabel(self, scope: Scope, cluster: Cluster, run: Execution, labels: Mapping[str, str]) -> Relabelled:
        """Set custom labels of clusters of the run, in any layer; an empty text removes one.

        Groups of several layers with the same members share one label. Documents that hold the earlier labels are
        updated, at once if they are few. Raises InvalidField.
        """
        wholes = self._check(scope, run, labels)

        def set_labels(run: Execution) -> Execution:
            return run.with_changes(label_overrides=with_new_labels(run.label_overrides, labels, wholes))

        named = {*labels, *(id for whole in wholes if not labels.keys().isdisjoint(whole) for id in whole)}
        own = {centroid.cluster_id for centroid in run.centroids or []} & named

        def relabel(tx: Transaction) -> tuple[Execution, Sequence[str], Cluster]:
            changed = self._states.executions.within(tx).change(scope, run.run_id, set_labels, "run.change")
            waiting = self.begin(tx, scope, changed, own).cluster_ids if own else []
            clusters = self._states.clusters.within(tx)
            newest = clusters.get(scope, cluster.cluster_id)
            if own and newest.current_run_id == run.run_id:
                clusters.change(scope, newest.cluster_id, lambda cluster: _relabel_links(cluster, changed))
            return changed, waiting, newest

        changed, waiting, newest = self._store.transact(relabel)
        other = newest.current_run_id not in (None, run.run_id)
        note = f"Run {run.run_id} is not the visible one; {newest.current_run_id} keeps its labels."
        return self._follow(scope, newest, changed, waiting, [note] if other else [])

    def _follow(
        self, scope: Scope, cluster: Cluster, run: Execution, waiting: Sequence[str], notes: list[str]
    ) -> Relabelled:
        """Update the documents, now if they are few. All pending labels of the run count, also of earlier calls."""
        size = self.size(scope, cluster, run, waiting)
        later = f"{size:,} documents hold these labels; they are updated within some minutes."
        if size > _FOLLOW_AT_ONCE and not self._is_gone(scope, run):
            return Relabelled(run, 0, [*notes, later])
        try:
            done = self.finish(scope, run.run_id) if waiting else LabelProgress()
        except (ShoalError, OSError) as error:  # the labels are stored, and housekeeping tries again
            _log.warning("relabeling.postponed", extra={"run_id": run.run_id, "cause": str(error)})
            return Relabelled(run, 0, [*notes, later])
        return Relabelled(run, done.documents, [*notes, _gone(run)] if done.gone else notes)

    def _check(self, scope: Scope, run: Execution, labels: Mapping[str, str]) -> list[list[str]]:
        """Check the labels; return the groups of different layers that have the same members. Raises InvalidField."""
        ids = {centroid.cluster_id for centroid in run.centroids or []}
        wholes = list[list[str]]()
        try:
            tables = hierarchies(self._artifacts, scope, run)
        except (NotFound, Corrupt):
            if not labels.keys() <= ids:
                raise
            tables = []
        for table in tables:
            ids |= set(table["cluster_id"].to_pylist())
            wholes += wholes_of(table)
        for id, label in labels.items():
            if id not in ids:
                near = get_close_matches(id, ids, n=1)
                remedy = f"Did you mean {near[0]!r}?" if near else "GET …/groups lists them."
                raise InvalidField(f"labels.{id}", "is not a cluster of this run", value=id, remedy=remedy)
            if len(label) > _MAX_LABEL:
                raise InvalidField(f"labels.{id}", f"must have at most {_MAX_LABEL} characters", value=label)
            if label:
                check_label(f"labels.{id}", label)
        for whole in wholes:
            _check_one_label([id for id in whole if id in labels], labels)
        return wholes

    def begin(self, tx: Transaction, scope: Scope, run: Execution, ids: Collection[str]) -> Relabeling:
        """Record that labels of these clusters changed, in the transaction that changes them."""
        records = self._records.within(tx)
        existing = records.find_one(scope, run.run_id)
        if existing is None:
            new = Relabeling(run_id=run.run_id, created_at=self._now(), cluster_ids=sorted(ids))
            return records.add(scope, new)
        both = {"cluster_ids": sorted({*existing.cluster_ids, *ids}), "changes": existing.changes + 1}
        return records.change(scope, run.run_id, lambda record: record.with_changes(**both))

    def size(self, scope: Scope, cluster: Cluster, run: Execution, ids: Collection[str]) -> int:
        """Estimate from the records how many documents hold labels of these clusters."""
        members = sum(centroid.num_members for centroid in run.centroids or [] if centroid.cluster_id in ids)
        return members * (len(self._targets(scope, run)) + len(self._outputs(scope, cluster, run)))

    def finish(self, scope: Scope, run_id: str) -> LabelProgress:
        """Write the pending labels of a run. The record of an active run stays until it is over, since the run may be
        writing documents at this moment."""
        record, done = self._records.find_one(scope, run_id), LabelProgress()
        while record is not None:
            run = self._states.executions.find_one(scope, run_id)
            cluster = None if run is None else self._states.clusters.find_one(scope, run.cluster_id)
            if run is not None and cluster is not None:
                done |= self.write(scope, cluster, run, record.cluster_ids)
            record = self._left(scope, record, run)
        return done

    def _left(self, scope: Scope, record: Relabeling, run: Execution | None) -> Relabeling | None:
        """Return what is still pending after the labels of `run` were written.

        Another process may have changed labels meanwhile, written them and removed the record: what it wrote may have
        been overwritten with the earlier labels.
        """

        def settle(tx: Transaction) -> Relabeling | None:
            records = self._records.within(tx)
            newest = self._states.executions.within(tx).find_one(scope, record.run_id)
            if run is None or newest is None:
                records.remove(scope, record.run_id)
                return None
            left, same = records.find_one(scope, record.run_id), newest.labels == run.labels
            if same and left in (record, None):
                if left is not None and run.status not in ACTIVE:
                    records.remove(scope, record.run_id)
                return None
            if left is None or not set(record.cluster_ids) <= set(left.cluster_ids):
                return self.begin(tx, scope, newest, record.cluster_ids)
            return left

        return self._store.transact(settle)

    def finish_all(self, scope: Scope) -> int:
        """Write the pending labels of all runs.

        Returns the number of documents changed; errors of one run are logged.
        """
        changed = 0
        for record in self._records.all(scope):
            try:
                changed += self.finish(scope, record.run_id).documents
            except (ShoalError, OSError) as error:
                _log.warning("relabeling.postponed", extra={"run_id": record.run_id, "cause": str(error)})
        return changed

    def write(self, scope: Scope, cluster: Cluster, run: Execution, ids: Collection[str]) -> LabelProgress:
        """Write the labels of these clusters into the documents that hold results of the run."""
        targets, outputs = self._targets(scope, run), self._outputs(scope, cluster, run)
        if not targets and not outputs:
            return LabelProgress()
        try:
            every = self._members(scope, run)
        except (NotFound, Corrupt) as error:
            _log.warning("relabeling.results_gone", extra={"run_id": run.run_id, "cause": str(error)})
            return LabelProgress(gone=True)
        members = every.filter(pc.is_in(every["cluster_id"].cast(pa.string()), value_set=pa.array(ids, pa.string())))
        several = len(every["collection_id"].unique()) > 1
        labels, changed = run.labels, 0
        for source, target in targets:
            for batch in _batches(_from(members, source)):
                updates = _of_members(cluster, batch, labels)
                changed += self._documents.rewrite_results(
                    scope, target, cluster.cluster_id, run.run_id, updates, now=self._now()
                )
        for output in outputs:
            groups = [(id_in_partition(id, run.partition), labels[id]) for id in ids if id in labels]
            changed += self._update(scope, output.storage_key, groups)
            for batch in _batches(members):
                rows = zip(member_ids(batch, several), batch["cluster_id"].to_pylist(), strict=True)
                changed += self._update(scope, output.storage_key, [(id, labels[cluster]) for id, cluster in rows])
        return LabelProgress(changed)

    def _update(self, scope: Scope, key: str, new: Sequence[tuple[str, str]]) -> int:
        """Update labels by document id in an output collection. Returns the number of documents."""
        updates = ((id, {"cluster_label": label}) for id, label in new)
        return len(self._documents.update(scope, key, updates, now=self._now(), only_changes=True))

    def _members(self, scope: Scope, run: Execution) -> pa.Table:
        """Read the members of all clusters, with their keys. Raises NotFound, Corrupt."""
        if self._is_gone(scope, run):
            raise NotFound("results of run", run.run_id, "They were removed.")
        manifest = self._artifacts.manifest(scope, run.run_id) or {}
        apart = ["feature"] if (manifest.get("meta") or {}).get("features") else []
        return self._artifacts.read(
            scope, run.run_id, "members", ["document_id", "collection_id", "cluster_id", *apart]
        )

    def _is_gone(self, scope: Scope, run: Execution) -> bool:
        """Whether the results of a run were removed."""
        return run.results_removed_at is not None or self._artifacts.manifest(scope, run.run_id) is None

    def _targets(self, scope: Scope, run: Execution) -> list[tuple[str, str]]:
        """Return where documents were enriched: the collection of the members, and the storage key."""
        begun = self._intents.of_run(scope, run.run_id)
        return list(dict.fromkeys((intent.source, intent.target) for intent in begun))

    def _outputs(self, scope: Scope, cluster: Cluster, run: Execution) -> list[records.Collection]:
        """Return the output collections that show the run."""
        if cluster.enrich_source:
            return []
        collections = (self._collections.find_one(scope, id) for id in cluster.output_collection_ids)
        return [
            collection
            for collection in collections
            if collection is not None and is_of_run(collection.generation, run.run_id)
        ]


def _relabel_links(cluster: Cluster, run: Execution) -> Cluster:
    """Return the cluster with the labels of the run in its relationships."""
    links = cluster.hierarchy_relationships
    if not links:
        return cluster
    return cluster.with_changes(hierarchy_relationships=with_link_labels(links, run.labels))


def _check_one_label(ids: Sequence[str], labels: Mapping[str, str]) -> None:
    """Raise InvalidField if groups with the same members get different labels."""
    for id in ids[1:]:
        if labels[id] != labels[ids[0]]:
            problem = f"has the same members as {ids[0]}, which gets another label in this call: {labels[ids[0]]!r}"
            raise InvalidField(f"labels.{id}", problem, value=labels[id], remedy="Send one of the two.")


def _gone(run: Execution) -> str:
    return (
        f"The results of run {run.run_id} were removed or are damaged, so documents that hold labels of it keep them. "
        "Execute the cluster to write them again."
    )


def _batches(members: pa.Table) -> Iterator[pa.RecordBatch]:
    for batch in members.combine_chunks().to_batches(_BATCH):
        yield decode_dictionaries(batch)


def _from(members: pa.Table, source: str) -> pa.Table:
    return members.filter(pc.equal(members["collection_id"].cast(pa.string()), source))


def _of_members(cluster: Cluster, members: pa.RecordBatch, labels: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    """Yield (document id, nested update) for each member: the fields that enrichment wrote labels into."""
    config = cluster.source_enrichment_config
    mappings = (config.field_mappings if config else None) or DEFAULT_MAPPINGS
    targets = [mapping.target_field for mapping in mappings if mapping.source_field == "cluster_label"]
    for row in members.to_pylist() if targets else ():
        update: Json = {}
        for target in targets:
            set_field(update, of_feature(target, row.get("feature")).split("."), labels[row["cluster_id"]])
        yield row["document_id"], update
