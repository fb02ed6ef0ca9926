"""Enrichment: the results of a run copied into the documents it read.

An intent is on record before the first document changes, and its cursor moves after each batch. A batch that is written
again after a crash changes nothing: the document store leaves documents alone that hold this step already. So an
enrichment that was interrupted goes on where it stopped, and what people changed behind it meanwhile stays.
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
from shoal.records.cluster import Cluster
from shoal.records.cluster_ids import id_in_partition
from shoal.records.cluster_requests import EnrichClusters, EnrichmentMapping
from shoal.records.collection import Collection
from shoal.records.enrichment import EnrichmentIntent
from shoal.records.execution import Execution
from shoal.records.scope import Scope
from shoal.repositories.audit import note_done
from shoal.repositories.repository import Repository
from shoal.runs.cluster_config import DEFAULT_MAPPINGS, of_feature
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
    """Writes mapped result fields into documents. Fields that are not mapped stay as they are."""

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
        """Copy the run's results into its sources; the number of documents that hold them. `after_batch` hears the
        fraction done and may raise to stop. An enrichment of this run that was interrupted is carried on. What earlier
        runs wrote and this one did not write again is cleared, wherever it is."""
        found = [self._collections.find_one(scope, id) for id in cluster.input_collections]
        sources = [source for source in found if source is not None]
        results = self._results(scope, cluster, run)
        enriched = 0
        for number, source in enumerate(sources):
            share = _shared(after_batch, number, len(sources))
            enriched += self._write(scope, results, source.collection_id, source.storage_key, share, again=False)
        self._clear_earlier(scope, results_of(results.intent("", "", 0, by_run=True, now=self._now())), after_batch)
        return enriched

    def enrich_collection(self, scope: Scope, body: EnrichClusters) -> dict[str, int]:
        """Copy the visible results of several clusters into one collection (contract.md#enrichment). A repetition
        looks at every document again and changes those that differ.

        Raises NotFound for a cluster without results or an unknown collection, Conflict where a later run was written.
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
        """Into the collection stored as `target` what was found of the documents of `source`."""
        parts = results.of(source)
        rows = sum(part.rows.num_rows for part in parts)
        asked = results.intent(source, target, rows, by_run=not again, now=self._now())
        while True:
            intent = self._intents.begin(scope, asked, again=again)
            try:
                return self._go_on(scope, results, parts, intent, after_batch)
            except StaleVersion:  # another process is at it as well: go on from where it stands
                again = False

    def _clear_earlier(self, scope: Scope, results: Results, after_batch: Callable[[float], None]) -> None:
        """What is cleared leaves the list of what was written with it, so this can be interrupted."""
        position: str | None = ""
        while position is not None:
            position = self._documents.clear_results(scope, results, after=position, now=self._now())
            after_batch(1.0)
        hit("enrich.cleared")

    def _go_on(
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
        """One batch into its documents, then the cursor behind it."""
        rows, counted = decode_dictionaries(batch).to_pylist(), part.first[start - part.start : stop - part.start]
        updates = results.updates(rows, part.feature)
        step = intent.rows_before + stop
        found = self._documents.write_results(scope, results_of(intent), updates, step=step, now=self._now())
        once = {row["document_id"] for row, first in zip(rows, counted.tolist(), strict=True) if first}
        return self._intents.move(scope, intent, stop, intent.enriched + len(once & set(found)))


def _shared(after_batch: Callable[[float], None], number: int, count: int) -> Callable[[float], None]:
    return lambda fraction: after_batch((number + fraction) / count)


@dataclass(frozen=True, slots=True)
class _Part:
    """Members of one feature, where features were clustered apart; they count from `start`. `first` (n,) marks those
    whose document no part before has."""

    feature: str | None
    rows: pa.Table
    start: int
    first: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Results:
    """What a run found, and how it is written."""

    cluster: Cluster
    run: Execution
    members: pa.Table
    summaries: Mapping[str, Json]
    mappings: Sequence[EnrichmentMapping]

    def intent(self, source: str, target: str, total: int, *, by_run: bool, now: datetime) -> EnrichmentIntent:
        """Another one for other fields and for labels that people gave since."""
        shape = [target, [one.model_dump() for one in self.mappings], self.cluster.metadata, self._labels]
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
        """The members that come from one collection: those of all features one after the other, in a fixed order."""
        where = self.members["collection_id"].cast(pa.string())
        own = self.members.filter(pc.equal(where, source)).combine_chunks()
        parts, start, seen = list[_Part](), 0, pa.array([], pa.string())
        for feature, rows in _by_feature(own):
            ids = rows["document_id"].combine_chunks()
            first = np.logical_not(pc.is_in(ids, value_set=seen).to_numpy(zero_copy_only=False))
            parts.append(_Part(feature, rows, start, first))
            start, seen = start + rows.num_rows, pa.concat_arrays([seen, ids])
        return parts

    def updates(self, rows: Iterable[Json], feature: str | None) -> Iterator[tuple[str, Json]]:
        """(document id, nested update) for each member."""
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
    return mapping.with_changes(target_field=of_feature(mapping.target_field, feature))


def set_field(target: Json, path: Sequence[str], value: object) -> None:
    """Put a value at a path of keys into nested objects, which are made where there are none."""
    for part in path[:-1]:
        inner = target.setdefault(part, {})
        if not isinstance(inner, dict):
            inner = target[part] = {}
        target = inner
    target[path[-1]] = value
