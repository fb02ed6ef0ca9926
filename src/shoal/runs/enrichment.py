"""Enrichment: copies the results of a run into its source documents.

An intent is recorded before the first document changes, and its cursor moves after each batch. Repeating a batch after
a crash changes nothing: the document store skips documents that already hold this step. So an interrupted enrichment
resumes where it stopped, and edits made meanwhile are kept.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.errors import NotFound, StaleVersion
from shoal.failpoints import hit
from shoal.records.clusters.cluster import Cluster
from shoal.records.clusters.ids import id_in_partition
from shoal.records.clusters.requests import EnrichClusters, EnrichmentMapping
from shoal.records.collection import Collection
from shoal.records.runs.enrichment import EnrichmentIntent
from shoal.records.runs.execution import Execution
from shoal.records.scope import Scope
from shoal.repositories.audit import note_done
from shoal.repositories.repository import Repository
from shoal.runs.config.cluster_config import DEFAULT_MAPPINGS, of_feature
from shoal.runs.intents import EnrichmentIntents, results_of
from shoal.runs.states import RunStates
from shoal.storage.protocols.artifacts import ArtifactStore
from shoal.storage.protocols.documents import DocumentStore, Results
from shoal.storage.protocols.transactions import RecordStore
from shoal.tables import decode_dictionaries

__all__ = ["Enrichment", "set_field"]

_BATCH: Final = 5_000
Json = dict[str, Any]


class Enrichment:
    """Writes mapped result fields into documents. Other fields do not change."""

    def __init__(
        self,
        metadata: RecordStore,
        documents: DocumentStore,
        artifacts: ArtifactStore,
        states: RunStates,
        now: Callable[[], datetime],
    ) -> None:
        self._documents, self._artifacts, self._states, self._now = documents, artifacts, states, now
        self._intents = EnrichmentIntents(metadata, now)
        self._collections = Repository(
            metadata, "collection", Collection, id_field="collection_id", name_field="collection_name"
        )

    def enrich(
        self, scope: Scope, cluster: Cluster, run: Execution, after_batch: Callable[[float], None] = lambda _: None
    ) -> int:
        """Copy the results of a run into its sources. Returns the number of documents that hold them.

        Resumes an interrupted enrichment of this run. Fields that earlier runs wrote and this one did not write again
        are cleared, in all collections. `after_batch` receives the fraction done, and may raise to stop.
        """
        collections = [self._collections.find_one(scope, id) for id in cluster.input_collections]
        sources = [source for source in collections if source is not None]
        results = self._results(scope, cluster, run)
        enriched = 0
        for number, source in enumerate(sources):
            share = _scale_callback(after_batch, number, len(sources))
            enriched += self._write(scope, results, source.collection_id, source.storage_key, share, again=False)
        self._clear_earlier(scope, results_of(results.intent("", "", 0, by_run=True, now=self._now())), after_batch)
        return enriched

    def enrich_collection(self, scope: Scope, body: EnrichClusters) -> dict[str, int]:
        """Copy the visible results of several clusters into one collection (contract.md#enrichment).

        A repetition checks every document again and changes those that differ. Raises NotFound for a cluster without
        results or an unknown collection, and Conflict if a later run was written.
        """
        source = self._collections.get(scope, body.source_collection_id)
        target = self._collections.get(scope, body.target_collection_id or body.source_collection_id)
        runs = [self._visible(scope, ref) for ref in body.clusters()]
        enriched = total = 0
        for cluster, run in runs:
            key = target.storage_key
            while True:
                results = self._results(scope, cluster, run)
                written = self._write(scope, results, source.collection_id, key, lambda _: None, again=True)
                newest = self._states.executions.get(scope, run.run_id)
                if newest.label_overrides == run.label_overrides:
                    break
                run = newest  # labels were changed meanwhile
            cleared = results_of(results.intent("", key, 0, by_run=False, now=self._now()))
            self._clear_earlier(scope, cleared, lambda _: None)
            note_done(
                scope, "collection.enrich", target.collection_id, cluster_id=cluster.cluster_id, documents=written
            )
            enriched += written
            total += run.num_points
        batches = -(-total // body.batch_size)
        return {"processed": total, "enriched": enriched, "failed": 0, "batches": batches}

    def _visible(self, scope: Scope, ref: str) -> tuple[Cluster, Execution]:
        cluster = self._states.clusters.get(scope, ref)
        if cluster.current_run_id is None:
            raise NotFound("results of cluster", ref, "Execute it first.")
        return cluster, self._states.executions.get(scope, cluster.current_run_id)

    def _results(self, scope: Scope, cluster: Cluster, run: Execution) -> "_Results":
        config = cluster.source_enrichment_config
        summaries = self._artifacts.read(scope, run.run_id, "centroids", ["cluster_id", "num_members", "keywords"])
        return _Results(
            cluster,
            run,
            self._artifacts.read(scope, run.run_id, "members"),
            {row["cluster_id"]: row for row in summaries.to_pylist()},
            list((config.field_mappings if config else None) or DEFAULT_MAPPINGS),
        )

    def _write(
        self,
        scope: Scope,
        results: "_Results",
        source: str,
        target: str,
        after_batch: Callable[[float], None],
        *,
        again: bool,
    ) -> int:
        """Write the results for documents of `source` into the collection stored as `target`."""
        parts = results.of(source)
        rows = sum(part.rows.num_rows for part in parts)
        requested = results.intent(source, target, rows, by_run=not again, now=self._now())
        while True:
            intent = self._intents.begin(scope, requested, again=again)
            try:
                return self._write_parts(scope, results, parts, intent, after_batch)
            except StaleVersion:  # another process does the same: continue from its cursor
                again = False

    def _clear_earlier(self, scope: Scope, results: Results, after_batch: Callable[[float], None]) -> None:
        """Clear fields of earlier runs. Marks are removed together with the fields, so this can be interrupted."""
        position: str | None = ""
        while position is not None:
            position = self._documents.clear_results(scope, results, after=position, now=self._now())
            after_batch(1.0)
        hit("enrich.cleared")

    def _write_parts(
        self,
        scope: Scope,
        results: "_Results",
        parts: Sequence["_Part"],
        intent: EnrichmentIntent,
        after_batch: Callable[[float], None],
    ) -> int:
        start = 0
        for part in parts:
            for batch in part.rows.to_batches(_BATCH):
                stop = start + batch.num_rows
                if intent.position < stop:
                    intent = self._write_batch(scope, results, part, batch, intent, start, stop)
                    after_batch(stop / max(intent.total, 1))
                start = stop
        hit("enrich.done")
        return intent.enriched

    def _write_batch(
        self,
        scope: Scope,
        results: "_Results",
        part: "_Part",
        batch: pa.RecordBatch,
        intent: EnrichmentIntent,
        start: int,
        stop: int,
    ) -> EnrichmentIntent:
        """Write one batch into its documents, then move the cursor."""
        rows, counted = decode_dictionaries(batch).to_pylist(), part.first[start - part.start : stop - part.start]
        updates = results.updates(rows, part.feature)
        step = intent.rows_before + stop
        written = self._documents.write_results(scope, results_of(intent), updates, step=step, now=self._now())
        once = {row["document_id"] for row, first in zip(rows, counted.tolist(), strict=True) if first}
        return self._intents.move(scope, intent, stop, intent.enriched + len(once & set(written)))


def _scale_callback(after_batch: Callable[[float], None], number: int, count: int) -> Callable[[float], None]:
    return lambda fraction: after_batch((number + fraction) / count)


@dataclass(frozen=True, slots=True)
class _Part:
    """The members of one feature, if features were clustered separately, numbered from `start`.

    `first` (n,) marks members whose document is in no earlier part.
    """

    feature: str | None
    rows: pa.Table
    start: int
    first: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Results:
    """The results of a run, and how they are mapped to fields."""

    cluster: Cluster
    run: Execution
    members: pa.Table
    summaries: Mapping[str, Json]
    mappings: Sequence[EnrichmentMapping]

    def intent(self, source: str, target: str, total: int, *, by_run: bool, now: datetime) -> EnrichmentIntent:
        """Build the intent of a write. Its id changes with the mapped fields and with custom labels."""
        shape = [target, [mapping.model_dump() for mapping in self.mappings], self.cluster.metadata, self._labels]
        digest = hashlib.blake2b(orjson.dumps(shape, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()
        return EnrichmentIntent(
            intent_id=f"{self.run.run_id}:{source}:{digest}",
            created_at=now,
            updated_at=now,
            cluster_id=self.cluster.cluster_id,
            run_id=self.run.run_id,
            run_time=self.run.created_at,
            sequence=self.run.sequence,
            by_run=by_run,
            partition=self.run.partition or "",
            target=target,
            total=total,
        )

    def of(self, source: str) -> list[_Part]:
        """Return the members from one collection, feature by feature, in a fixed order."""
        where = self.members["collection_id"].cast(pa.string())
        own = self.members.filter(pc.equal(where, source)).combine_chunks()
        parts, start, earlier_ids = list[_Part](), 0, pa.array([], pa.string())
        for feature, rows in _by_feature(own):
            ids = rows["document_id"].combine_chunks()
            first = np.logical_not(pc.is_in(ids, value_set=earlier_ids).to_numpy(zero_copy_only=False))
            parts.append(_Part(feature, rows, start, first))
            start, earlier_ids = start + rows.num_rows, pa.concat_arrays([earlier_ids, ids])
        return parts

    def updates(self, rows: Iterable[Json], feature: str | None) -> Iterator[tuple[str, Json]]:
        """Yield (document id, nested update) for each member."""
        mappings, metadata = [_for_feature(mapping, feature) for mapping in self.mappings], self.cluster.metadata or {}
        for row in rows:
            summary = self.summaries.get(row["cluster_id"], {})
            values = {
                **row,
                "cluster_id": id_in_partition(row["cluster_id"], self.run.partition),
                "cluster_label": self._labels.get(row["cluster_id"], row["cluster_label"]),
                "member_count": summary.get("num_members"),
                "keywords": summary.get("keywords"),
            }
            update: Json = {}
            for mapping in mappings:
                name = mapping.source_field
                copied = metadata.get(name.removeprefix("metadata.")) if name.startswith("metadata.") else None
                set_field(update, mapping.target_field.split("."), copied if copied is not None else values.get(name))
            yield row["document_id"], update

    @property
    def _labels(self) -> Mapping[str, str]:
        return self.run.label_overrides


def _by_feature(members: pa.Table) -> Iterator[tuple[str | None, pa.Table]]:
    """Split the members by feature if features were clustered separately: each then has every document once."""
    if "feature" not in members.column_names:
        yield None, members
        return
    features = members["feature"].cast(pa.string())
    for feature in features.unique().to_pylist():
        yield feature, members.filter(pc.equal(features, feature))


def _for_feature(mapping: EnrichmentMapping, feature: str | None) -> EnrichmentMapping:
    """Append the feature to the target of a mapping: cluster_id becomes cluster_id_text."""
    if feature is None:
        return mapping
    return mapping.with_changes(target_field=of_feature(mapping.target_field, feature))


def set_field(target: Json, path: Sequence[str], value: object) -> None:
    """Set a value at a path of keys in nested objects, creating missing ones."""
    for part in path[:-1]:
        inner = target.setdefault(part, {})
        if not isinstance(inner, dict):
            inner = target[part] = {}
        target = inner
    target[path[-1]] = value
