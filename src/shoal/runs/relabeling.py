"""Labels that people change, in the documents that hold the ones before: enriched sources and output collections.

What is to be done stands on record in the transaction that changes the labels. Documents follow in batches; a batch
that is repeated changes nothing, so what was interrupted can begin again, and housekeeping does that. In a document of
a source only what the run wrote is replaced: a label that was changed there by hand stays.
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
from shoal.records.cluster import Cluster
from shoal.records.cluster_ids import id_in_partition
from shoal.records.execution import ACTIVE, Execution
from shoal.records.ids import check_label
from shoal.records.relabeling import Relabeling
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository
from shoal.runs.cluster_config import DEFAULT_MAPPINGS, of_feature
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

__all__ = ["Followed", "Relabelings", "Relabelled"]

_BATCH: Final = 5_000
_MAX_LABEL: Final = 200
_FOLLOW_AT_ONCE: Final = 20_000
"""Documents that get new labels before the call that changed them is answered: about a second's worth."""
_log = logging.getLogger("shoal.relabeling")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Relabelled:
    """A run whose labels were changed: how many documents have the new ones by now, and what to know of it."""

    run: Execution
    documents: int
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Followed:
    """How many documents got new labels; `gone` where some may hold the ones before and cannot be found any more,
    because the results of the run were removed or are damaged."""

    documents: int = 0
    gone: bool = False

    def __or__(self, other: "Followed") -> "Followed":
        return Followed(self.documents + other.documents, self.gone or other.gone)


class Relabelings:
    """Changed labels on their way into documents. `now` is UTC."""

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
        """Labels of people's own, of clusters of the run and of its other layers; an empty text takes one away. The
        label of a group is that of each other one which is the whole of it. The documents that hold the labels before
        follow, at once where they are few. Raises InvalidField."""
        wholes = self._check(scope, run, labels)

        def edited(run: Execution) -> Execution:
            return run.with_changes(label_overrides=with_new_labels(run.label_overrides, labels, wholes))

        named = {*labels, *(id for whole in wholes if not labels.keys().isdisjoint(whole) for id in whole)}
        own = {centroid.cluster_id for centroid in run.centroids or []} & named

        def relabel(tx: Transaction) -> tuple[Execution, Sequence[str], Cluster]:
            changed = self._states.executions.within(tx).change(scope, run.run_id, edited, "run.change")
            waiting = self.begin(tx, scope, changed, own).cluster_ids if own else []
            clusters = self._states.clusters.within(tx)
            newest = clusters.get(scope, cluster.cluster_id)
            if own and newest.current_run_id == run.run_id:
                clusters.change(scope, newest.cluster_id, lambda cluster: _relinked(cluster, changed))
            return changed, waiting, newest

        changed, waiting, newest = self._store.transact(relabel)
        other = newest.current_run_id not in (None, run.run_id)
        note = f"Run {run.run_id} is not the one that is shown; {newest.current_run_id} keeps its labels."
        return self._followed(scope, newest, changed, waiting, [note] if other else [])

    def _followed(
        self, scope: Scope, cluster: Cluster, run: Execution, waiting: Sequence[str], notes: list[str]
    ) -> Relabelled:
        """The run after its documents got new labels, or will get them. All that wait for labels of the run count, also
        those of earlier calls."""
        size = self.size(scope, cluster, run, waiting)
        later = f"{size:,} documents hold these labels; they get the new ones within some minutes."
        if size > _FOLLOW_AT_ONCE and not self._is_gone(scope, run):
            return Relabelled(run, 0, [*notes, later])
        try:
            done = self.finish(scope, run.run_id) if waiting else Followed()
        except (ShoalError, OSError) as error:  # the labels are stored, and housekeeping tries again
            _log.warning("relabeling.postponed", extra={"run_id": run.run_id, "cause": str(error)})
            return Relabelled(run, 0, [*notes, later])
        return Relabelled(run, done.documents, [*notes, _gone(run)] if done.gone else notes)

    def _check(self, scope: Scope, run: Execution, labels: Mapping[str, str]) -> list[list[str]]:
        """The groups of other layers that are one with another. Raises InvalidField."""
        known = {centroid.cluster_id for centroid in run.centroids or []}
        wholes = list[list[str]]()
        try:
            tables = hierarchies(self._artifacts, scope, run)
        except (NotFound, Corrupt):
            if not labels.keys() <= known:
                raise
            tables = []
        for table in tables:
            known |= set(table["cluster_id"].to_pylist())
            wholes += wholes_of(table)
        for id, label in labels.items():
            if id not in known:
                near = get_close_matches(id, known, n=1)
                remedy = f"Did you mean {near[0]!r}?" if near else "GET …/groups lists them."
                raise InvalidField(f"labels.{id}", "is no cluster of this run", value=id, remedy=remedy)
            if len(label) > _MAX_LABEL:
                raise InvalidField(f"labels.{id}", f"must have at most {_MAX_LABEL} characters", value=label)
            if label:
                check_label(f"labels.{id}", label)
        for whole in wholes:
            _check_one_label([id for id in whole if id in labels], labels)
        return wholes

    def begin(self, tx: Transaction, scope: Scope, run: Execution, ids: Collection[str]) -> Relabeling:
        """Put on record that labels of these clusters of a run changed, in the transaction that changes them."""
        records = self._records.within(tx)
        known = records.find_one(scope, run.run_id)
        if known is None:
            new = Relabeling(run_id=run.run_id, created_at=self._now(), cluster_ids=sorted(ids))
            return records.add(scope, new)
        both = {"cluster_ids": sorted({*known.cluster_ids, *ids}), "changes": known.changes + 1}
        return records.change(scope, run.run_id, lambda record: record.with_changes(**both))

    def size(self, scope: Scope, cluster: Cluster, run: Execution, ids: Collection[str]) -> int:
        """How many documents hold labels of these clusters, as far as the records show."""
        members = sum(one.num_members for one in run.centroids or [] if one.cluster_id in ids)
        return members * (len(self._targets(scope, run)) + len(self._outputs(scope, cluster, run)))

    def finish(self, scope: Scope, run_id: str) -> Followed:
        """Write what is on record for a run. A run that is still under way is looked at again when it is over: it may
        write documents at this moment."""
        record, done = self._records.find_one(scope, run_id), Followed()
        while record is not None:
            run = self._states.executions.find_one(scope, run_id)
            cluster = None if run is None else self._states.clusters.find_one(scope, run.cluster_id)
            if run is not None and cluster is not None:
                done |= self.write(scope, cluster, run, record.cluster_ids)
            record = self._left(scope, record, run)
        return done

    def _left(self, scope: Scope, record: Relabeling, run: Execution | None) -> Relabeling | None:
        """What is still to be written, after the labels that `run` had were. Others may have changed labels meanwhile,
        written them and taken the record away: what they wrote was perhaps replaced by the labels before."""

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
        """Write what is on record for all runs; how many documents changed. Damage of one is not in the way of the
        others."""
        changed = 0
        for record in self._records.all(scope):
            try:
                changed += self.finish(scope, record.run_id).documents
            except (ShoalError, OSError) as error:
                _log.warning("relabeling.postponed", extra={"run_id": record.run_id, "cause": str(error)})
        return changed

    def write(self, scope: Scope, cluster: Cluster, run: Execution, ids: Collection[str]) -> Followed:
        """The labels of these clusters into the documents that hold results of the run."""
        targets, outputs = self._targets(scope, run), self._outputs(scope, cluster, run)
        if not targets and not outputs:
            return Followed()
        try:
            every = self._members(scope, run)
        except (NotFound, Corrupt) as error:
            _log.warning("relabeling.results_gone", extra={"run_id": run.run_id, "cause": str(error)})
            return Followed(gone=True)
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
        return Followed(changed)

    def _update(self, scope: Scope, key: str, new: Sequence[tuple[str, str]]) -> int:
        """Labels by document id, in an output collection."""
        updates = ((id, {"cluster_label": label}) for id, label in new)
        return len(self._documents.update(scope, key, updates, now=self._now(), only_changes=True))

    def _members(self, scope: Scope, run: Execution) -> pa.Table:
        """The members of all clusters, with what distinguishes them. Raises NotFound, Corrupt."""
        if self._is_gone(scope, run):
            raise NotFound("results of run", run.run_id, "They were removed.")
        manifest = self._artifacts.manifest(scope, run.run_id) or {}
        apart = ["feature"] if (manifest.get("meta") or {}).get("features") else []
        return self._artifacts.read(
            scope, run.run_id, "members", ["document_id", "collection_id", "cluster_id", *apart]
        )

    def _is_gone(self, scope: Scope, run: Execution) -> bool:
        """Whether the results of a run that had some are not there any more."""
        return run.results_removed_at is not None or self._artifacts.manifest(scope, run.run_id) is None

    def _targets(self, scope: Scope, run: Execution) -> list[tuple[str, str]]:
        """Where documents were enriched: the collection that the members come from, and the storage key."""
        begun = self._intents.of_run(scope, run.run_id)
        return list(dict.fromkeys((one.source, one.target) for one in begun))

    def _outputs(self, scope: Scope, cluster: Cluster, run: Execution) -> list[records.Collection]:
        """The output collections that show the run."""
        if cluster.enrich_source:
            return []
        found = (self._collections.find_one(scope, id) for id in cluster.output_collection_ids)
        return [one for one in found if one is not None and is_of_run(one.generation, run.run_id)]


def _relinked(cluster: Cluster, run: Execution) -> Cluster:
    """With the labels of the run in the relationships of its clusters."""
    links = cluster.hierarchy_relationships
    if not links:
        return cluster
    return cluster.with_changes(hierarchy_relationships=with_link_labels(links, run.labels))


def _check_one_label(ids: Sequence[str], labels: Mapping[str, str]) -> None:
    """Raises InvalidField where groups that are one get labels that differ."""
    for id in ids[1:]:
        if labels[id] != labels[ids[0]]:
            problem = f"is the same group as {ids[0]}, which gets another label in this call: {labels[ids[0]]!r}"
            raise InvalidField(f"labels.{id}", problem, value=labels[id], remedy="Send one of the two.")


def _gone(run: Execution) -> str:
    return (
        f"The results of run {run.run_id} were removed or are damaged, so documents that hold labels of it keep them. "
        "Execute the cluster to write them anew."
    )


def _batches(members: pa.Table) -> Iterator[pa.RecordBatch]:
    for batch in members.combine_chunks().to_batches(_BATCH):
        yield decode_dictionaries(batch)


def _from(members: pa.Table, source: str) -> pa.Table:
    return members.filter(pc.equal(members["collection_id"].cast(pa.string()), source))


def _of_members(cluster: Cluster, members: pa.RecordBatch, labels: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    """(document id, nested update) of each member: the fields that enrichment wrote labels into."""
    config = cluster.source_enrichment_config
    mappings = (config.field_mappings if config else None) or DEFAULT_MAPPINGS
    targets = [one.target_field for one in mappings if one.source_field == "cluster_label"]
    for row in members.to_pylist() if targets else ():
        update: Json = {}
        for target in targets:
            set_field(update, of_feature(target, row.get("feature")).split("."), labels[row["cluster_id"]])
        yield row["document_id"], update
