"""Cost estimates of runs, and whether they fit the limits, before anything is queued."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from shoal.analysis.tables import MEMBER_BYTES
from shoal.engine.cost import (
    Cost,
    estimate_assignment_cost,
    estimate_cluster_count,
    estimate_cost,
    estimate_layer_count,
    wall_seconds,
)
from shoal.engine.plan import Plan
from shoal.errors import InvalidField
from shoal.quantities import format_bytes, plural
from shoal.records.clusters.cluster import Cluster
from shoal.records.collection import Collection
from shoal.records.queries.filters import Filter
from shoal.records.runs.plan import RunPlan
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository
from shoal.runs.config.cluster_config import feature_name
from shoal.runs.config.encoding_cost import EncodingCost, estimate_run_encoding
from shoal.runs.config.engine_plan import plan_of
from shoal.runs.config.facet_config import facets_of
from shoal.runs.config.facet_cost import FacetCost, plan_facets
from shoal.runs.config.naming_cost import NamingCost, plan_naming
from shoal.runs.config.text_fields import resolve_text_fields
from shoal.runs.encoders import PermittedEncoders
from shoal.runs.models.connected import ConnectedModels
from shoal.runs.models.spending import Spendings
from shoal.runs.text import volume_of_run
from shoal.storage.protocols.documents import DocumentReader
from shoal.storage.protocols.transactions import RecordStore

__all__ = ["Planning"]

_BASE_BYTES: Final = 30 * 2**20
"""Memory of the process of a run, independent of the number of documents."""
_ROW_BYTES: Final = 1_000
"""Memory for a document besides its vector and its text."""
_KEPT_BYTES: Final = 450
_OUTPUT_BYTES: Final = 900
_ENRICHED_BYTES: Final = 600
"""Disk space for each document besides the table of members: checkpoints, output documents, enrichment."""
_RAISE_LIMIT: Final = "The operator of the server can raise SHOAL_RUN_MEMORY_MIB."
_TIME_LIMIT_FACTOR: Final = 20
_MIN_TIME_LIMIT: Final = 900.0
"""The time limit of a run as a multiple of its estimate, and its minimum."""
_OUTPUT_SECONDS: Final = 3e-5

_DELETED_REMEDY: Final = (
    "Existing runs can still be read; for new ones create a cluster over existing collections. A collection created "
    "under the same name is a different one."
)


class Planning:
    """Estimates the cost of runs.

    Parameters
    ----------
    metadata, documents
        The stores.
    free_bytes
        Returns the free bytes on the disk.
    memory_limit
        Returns the bytes of memory that a run may use.
    threads
        The number of threads of a run, 0 for all processors.
    run_seconds
        The time limit of any run, in seconds; 0 for no limit.
    models, spendings
        The language models that runs may use, and what they may cost.
    encoders
        The encoders of collections.
    """

    def __init__(
        self,
        metadata: RecordStore,
        documents: DocumentReader,
        free_bytes: Callable[[], int],
        *,
        memory_limit: Callable[[], int],
        threads: int,
        run_seconds: float = 0.0,
        models: ConnectedModels,
        spendings: Spendings,
        encoders: PermittedEncoders,
    ) -> None:
        self._encoders = encoders
        self._documents, self._free, self._memory_limit, self._threads = documents, free_bytes, memory_limit, threads
        self._run_seconds, self._models, self._spendings = run_seconds, models, spendings
        self._collections = Repository(
            metadata, "collection", Collection, id_field="collection_id", name_field="collection_name"
        )

    def plan(self, scope: Scope, cluster: Cluster, request: Mapping[str, Any], documents_filter: Filter) -> RunPlan:
        """Estimate the cost of a run of `cluster`, as `request` overrides it, over the documents of a filter.

        Raises InvalidField for a deleted collection or invalid parameters.
        """
        sources = self._sources(scope, cluster)
        counts = [
            (source.storage_key, self._documents.count(scope, source.storage_key, documents_filter))
            for source in sources
        ]
        limit = self._memory_limit()
        documents = sum(count for _, count in counts)
        facets = self._facets(scope, cluster, request, documents_filter, counts, sources)
        sizes = facets.sizes(self._dimensions(scope, cluster))
        cost = self._cost(cluster, request, documents, sizes)
        apart = cluster.multi_feature_strategy == "independent"
        output = _ENRICHED_BYTES if cluster.enrich_source else _OUTPUT_BYTES * (len(sizes) if apart else 1)
        disk, free = documents * (MEMBER_BYTES + _KEPT_BYTES + output), self._free()
        naming = self._naming(scope, cluster, request, documents_filter, counts)
        encoding = self._encoding(scope, cluster, request, sources)
        by_model = self._by_model(scope, cluster, request, documents, facets)
        held = _BASE_BYTES + documents * _ROW_BYTES + facets.bytes + max(naming.bytes + by_model.bytes, encoding.bytes)
        memory = int(held + cost.bytes)
        seconds = wall_seconds(cost, self._threads) + naming.cpu_seconds + documents * _OUTPUT_SECONDS
        seconds += by_model.seconds
        seconds += wall_seconds(Cost(encoding.cpu_seconds + facets.cpu_seconds, 0), 1)
        seconds = round(seconds + 0.1, 1)
        in_time = not 0 < self._run_seconds < seconds
        notes = [*self._memory_notes(cluster, request, documents, sizes, held, limit), *_disk_notes(disk, free)]
        if encoding.documents:
            notes.append(f"Up to {plural(encoding.documents, 'document')} without a vector will be encoded first.")
        if not in_time:
            notes.append(
                f"It would take about {seconds:,.0f} s; a run may take {self._run_seconds:,.0f} s. Set a sample_size, "
                "fewer starts or steps, or a cheaper algorithm. The operator of the server can raise SHOAL_RUN_SECONDS."
            )
        return RunPlan(
            cluster_id=cluster.cluster_id,
            mode=str(request.get("mode", "full")),
            algorithm=cluster.algorithm,
            documents=documents,
            dimensions=sum(sizes),
            seconds=seconds,
            seconds_limit=self._longest(seconds, by_model.longest_seconds),
            peak_memory_bytes=memory,
            memory_limit_bytes=limit,
            disk_bytes=disk,
            disk_free_bytes=free,
            llm_calls=by_model.llm_calls,
            llm_model=by_model.llm_model,
            llm_input_tokens=by_model.llm_input_tokens,
            llm_output_tokens=by_model.llm_output_tokens,
            llm_cost=by_model.llm_cost,
            llm_budget=by_model.llm_budget,
            fits=memory <= limit and disk <= free and in_time,
            notes=[*notes, *by_model.notes],
        )

    def _longest(self, seconds: float, of_model: float) -> float:
        """Return the time limit of an attempt, with a margin for errors of the estimate, a busy machine and a slow
        model, which must not fail a run."""
        limit = max(_TIME_LIMIT_FACTOR * seconds, _MIN_TIME_LIMIT) + of_model
        return min(limit, self._run_seconds) if self._run_seconds else 0.0

    def _naming(
        self,
        scope: Scope,
        cluster: Cluster,
        request: Mapping[str, Any],
        documents_filter: Filter,
        counts: Sequence[tuple[str, int]],
    ) -> Cost:
        """Estimate the cost of naming; its memory includes the texts."""
        if cluster.cluster_type == "attribute":
            return Cost(0, 0)
        text = volume_of_run(self._documents, scope, resolve_text_fields(cluster, request), documents_filter, counts)
        plan = plan_of(cluster, request, normalize=cluster.normalize_features, threads=self._threads)
        count = plan.params.get("n_clusters") or plan.params.get("n_components")
        clusters = estimate_cluster_count(plan.algorithm, plan.params, text.documents)
        return Cost(
            text.naming_seconds(clusters, estimate_layer_count(plan.algorithm)),
            text.held_bytes + text.naming_bytes(count if isinstance(count, int) else None),
        )

    def _facets(
        self,
        scope: Scope,
        cluster: Cluster,
        request: Mapping[str, Any],
        documents_filter: Filter,
        counts: Sequence[tuple[str, int]],
        sources: Sequence[Collection],
    ) -> FacetCost:
        """Estimate the cost of facets. Raises InvalidField where there is no model for them."""
        if not facets_of(cluster, request):
            return FacetCost()
        text = volume_of_run(self._documents, scope, resolve_text_fields(cluster, request), documents_filter, counts)
        return plan_facets(self._models, self._spendings, self._encoders, scope, cluster, request, sources, text)

    def _by_model(
        self, scope: Scope, cluster: Cluster, request: Mapping[str, Any], documents: int, facets: FacetCost
    ) -> NamingCost:
        """Estimate what a language model would take for the facets and for the names."""
        layers = [0]
        if cluster.cluster_type == "vector":
            plan = plan_of(cluster, request, normalize=cluster.normalize_features, threads=self._threads)
            features = len(facets.sizes([0] * len(cluster.feature_uris or [""])))
            apart = features if cluster.multi_feature_strategy == "independent" else 1
            clusters = estimate_cluster_count(plan.algorithm, plan.params, documents)
            layers = [round(min(clusters, documents))] * estimate_layer_count(plan.algorithm) * apart
        names = plan_naming(self._models, self._spendings, scope, cluster, request, layers, documents)
        return facets.model + names

    def _encoding(
        self, scope: Scope, cluster: Cluster, request: Mapping[str, Any], sources: Sequence[Collection]
    ) -> EncodingCost:
        """Estimate the cost of encoding texts."""
        if cluster.cluster_type == "attribute":
            return EncodingCost()
        stored = self._documents.vector_dimensions(scope)
        features = [feature_name(uri, stored) for uri in cluster.feature_uris or []]
        fit = request.get("mode") != "assign"
        return estimate_run_encoding(self._documents, self._encoders, scope, sources, features, fit=fit)

    def _sources(self, scope: Scope, cluster: Cluster) -> list[Collection]:
        """Return the collections of a cluster. Raises InvalidField for a deleted one."""
        sources = []
        for id in cluster.input_collections:
            collection = self._collections.find_one(scope, id)
            if collection is None:
                raise InvalidField(
                    "collection_ids", "names a collection that was deleted", value=id, remedy=_DELETED_REMEDY
                )
            sources.append(collection)
        return sources

    def _dimensions(self, scope: Scope, cluster: Cluster) -> list[int]:
        if cluster.cluster_type == "attribute":
            return []
        stored = self._documents.vector_dimensions(scope)
        return [stored.get(feature_name(uri, stored), 0) for uri in cluster.feature_uris or [""]]

    def _cost(self, cluster: Cluster, request: Mapping[str, Any], rows: int, sizes: list[int]) -> Cost:
        if not sizes or not rows:
            return Cost(rows * 1e-5, rows * 500.0)
        if request.get("mode") == "assign":
            return estimate_assignment_cost(rows, sum(sizes), cluster.num_clusters or 0)
        plan = plan_of(cluster, request, normalize=cluster.normalize_features, threads=self._threads)
        return _costs(plan, rows, sizes, apart=cluster.multi_feature_strategy == "independent")

    def _memory_notes(
        self, cluster: Cluster, request: Mapping[str, Any], rows: int, sizes: list[int], held: float, limit: int
    ) -> list[str]:
        memory = held + self._cost(cluster, request, rows, sizes).bytes
        if memory <= limit:
            return []
        note = f"It would take about {format_bytes(memory)} of memory; a run may use {format_bytes(limit)}."
        if request.get("mode") == "assign":
            return [note, _RAISE_LIMIT]
        sample, rest = rows // 2, limit - held
        while sample >= 2 and self._cost(cluster, {**request, "sample_size": sample}, rows, sizes).bytes > rest:
            sample //= 2
        if sample < 2:
            return [note, f"Narrow it down with filters. {_RAISE_LIMIT}"]
        return [note, f"Set a sample_size of at most {sample:,}, or narrow it down with filters. {_RAISE_LIMIT}"]


def _costs(plan: Plan, rows: int, sizes: list[int], *, apart: bool) -> Cost:
    """Estimate the cost of all features, clustered separately or together."""
    return sum((estimate_cost(plan, rows, size) for size in (sizes if apart else [sum(sizes)])), Cost(0, 0))


def _disk_notes(needed: int, free: int) -> list[str]:
    if needed <= free:
        return []
    return [f"Its results take about {format_bytes(needed)} of disk, and {format_bytes(free)} are free."]
