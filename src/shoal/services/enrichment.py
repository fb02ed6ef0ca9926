"""Enrichment: the results of a run copied into the documents it read."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.errors import NotFound
from shoal.records.cluster import Cluster, EnrichClusters, EnrichmentMapping
from shoal.records.collection import Collection
from shoal.records.execution import Execution
from shoal.records.scope import Scope
from shoal.services.audit import note
from shoal.services.cluster_config import DEFAULT_MAPPINGS
from shoal.services.output import wire_ids
from shoal.services.repository import Repository
from shoal.services.run_states import RunStates
from shoal.storage.base import ArtifactStore, DocumentStore, MetadataStore

__all__ = ["Enrichment"]

_BATCH: Final = 5_000
Json = dict[str, Any]


class Enrichment:
    """Writes mapped result fields into documents. Repeating it changes nothing; fields that are not mapped stay."""

    def __init__(
        self,
        metadata: MetadataStore,
        documents: DocumentStore,
        artifacts: ArtifactStore,
        states: RunStates,
        now: Callable[[], datetime],
    ) -> None:
        self._documents, self._artifacts, self._states, self._now = documents, artifacts, states, now
        self._collections = Repository(
            metadata, "collection", Collection, id_field="collection_id", name_field="collection_name"
        )

    def enrich(
        self, scope: Scope, cluster: Cluster, run: Execution, after_batch: Callable[[float], None] = lambda _: None
    ) -> int:
        """Copy the run's results into its sources; the number of documents changed. `after_batch` hears the fraction
        done and may raise to stop."""
        found = [self._collections.find_one(scope, id) for id in cluster.input_collections]
        keys = {source.collection_id: source.storage_key for source in found if source is not None}
        return self._write(scope, cluster, run, keys, after_batch)

    def enrich_collection(self, scope: Scope, body: EnrichClusters) -> dict[str, int]:
        """Copy the visible results of several clusters into one collection (contract 2, row 20).

        Raises NotFound for a cluster without results or an unknown collection.
        """
        source = self._collections.get(scope, body.source_collection_id)
        target = self._collections.get(scope, body.target_collection_id or body.source_collection_id)
        enriched = total = 0
        for ref in body.clusters():
            cluster = self._states.clusters.get(scope, ref)
            if cluster.current_run_id is None:
                raise NotFound("results of cluster", ref, "Execute it first.")
            run = self._states.executions.get(scope, cluster.current_run_id)
            written = self._write(scope, cluster, run, {source.collection_id: target.storage_key}, lambda _: None)
            note(scope, "collection.enrich", target.collection_id, cluster_id=cluster.cluster_id, documents=written)
            enriched += written
            total += run.num_points
        batches = -(-total // body.batch_size)
        return {"processed": total, "enriched": enriched, "failed": 0, "batches": batches}

    def _write(
        self,
        scope: Scope,
        cluster: Cluster,
        run: Execution,
        keys: Mapping[str, str],
        after_batch: Callable[[float], None],
    ) -> int:
        """`keys` maps the id of a source collection to the storage key that is written."""
        config = cluster.source_enrichment_config
        mappings = (config.field_mappings if config else None) or DEFAULT_MAPPINGS
        members = self._artifacts.read(scope, run.run_id, "members")
        summaries = self._summaries(scope, run)
        metadata = cluster.metadata or {}
        changed, again, seen = 0, set[tuple[str, str]](), 0
        for feature, part in _by_feature(members):
            targets = [_for_feature(mapping, feature) for mapping in mappings]
            for batch in part.to_batches(_BATCH):
                rows = batch.to_pylist()
                for collection, key in keys.items():
                    own = [row for row in rows if row["collection_id"] == collection]
                    updates = _updates(own, targets, summaries, metadata, run.partition)
                    written = self._documents.update(scope, key, updates, now=self._now())
                    fresh = written if feature is None else [id for id in written if (key, id) not in again]
                    changed += len(fresh)
                    again.update([] if feature is None else [(key, id) for id in fresh])
                seen += len(rows)
                after_batch(seen / members.num_rows)
        return changed

    def _summaries(self, scope: Scope, run: Execution) -> dict[str, Json]:
        table = self._artifacts.read(scope, run.run_id, "centroids", ["cluster_id", "num_members", "keywords"])
        return {row["cluster_id"]: row for row in table.to_pylist()}


def _by_feature(members: pa.Table) -> Iterator[tuple[str | None, pa.Table]]:
    """The members of each feature where features were clustered apart: a document is there once in each."""
    if "feature" not in members.column_names:
        yield None, members
        return
    features = members["feature"].cast(pa.string())
    for feature in features.unique().to_pylist():
        yield feature, members.filter(pc.equal(features, feature))


def _for_feature(mapping: EnrichmentMapping, feature: str | None) -> EnrichmentMapping:
    """The target with the feature behind it: cluster_id becomes cluster_id_text."""
    if feature is None:
        return mapping
    return mapping.model_copy(update={"target_field": f"{mapping.target_field}_{feature.replace('.', '_')}"})


def _updates(
    rows: Iterable[Json],
    mappings: Sequence[EnrichmentMapping],
    summaries: Mapping[str, Json],
    metadata: Json,
    partition: str | None,
) -> Iterator[tuple[str, Json]]:
    """(document id, nested update) for each member."""
    for row in rows:
        summary = summaries.get(row["cluster_id"], {})
        values = {
            **row,
            "cluster_id": wire_ids(row["cluster_id"], partition),
            "member_count": summary.get("num_members"),
            "keywords": summary.get("keywords"),
        }
        update: Json = {}
        for mapping in mappings:
            name = mapping.source_field
            given = metadata.get(name.removeprefix("metadata.")) if name.startswith("metadata.") else values.get(name)
            _set(update, mapping.target_field.split("."), given)
        yield row["document_id"], update


def _set(target: Json, path: Sequence[str], value: object) -> None:
    for part in path[:-1]:
        inner = target.setdefault(part, {})
        if not isinstance(inner, dict):
            inner = target[part] = {}
        target = inner
    target[path[-1]] = value
