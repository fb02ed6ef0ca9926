"""Clusters: make, find, change, remove and execute them."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from shoal.engine import check_params
from shoal.engine.features.preprocessing import check_steps
from shoal.errors import Conflict, InsufficientStorage, InvalidField
from shoal.failpoints import hit
from shoal.records.cluster import RESERVED_NAMES, Cluster
from shoal.records.cluster_requests import CreateCluster, PatchCluster
from shoal.records.collection import Collection, CollectionSource
from shoal.records.execution import ACTIVE, ExecuteCluster, Execution
from shoal.records.ids import check_name, new_id
from shoal.records.queries.filters import MATCH_ALL, Condition, parse_filter
from shoal.records.queries.paging import Listing
from shoal.records.run_plan import RunPlan
from shoal.records.scope import Scope
from shoal.records.task import Task
from shoal.repositories.repository import Repository
from shoal.runs.cluster_config import check_config, check_mappings
from shoal.runs.engine_plan import documents_of
from shoal.runs.planning import Planning
from shoal.runs.shared_fields import shared_fields
from shoal.runs.states import RunStates, runs_of
from shoal.runs.text_fields import check_text_fields, inputs_of, named_fields
from shoal.services.cluster_warnings import ignored_fields, ignored_overrides, ignored_params, ignored_parts
from shoal.services.removals import Removals
from shoal.storage.protocols.documents import DocumentStore
from shoal.storage.protocols.metadata import MetadataStore
from shoal.storage.protocols.records import Query

__all__ = ["Admitted", "Clusters"]

_OVERRIDES: Final = (
    "filters",
    "sample_size",
    "vis_n_components",
    "defer_visualization",
    "layout_stability",
    "text_fields",
)


_OF_VECTORS: Final = ("algorithm_params", "sample_size", "layout_stability", "face_cluster_merge")
_SENT_THRESHOLD: Final = 0.5
"""What the official SDK sends with every execute."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A run that was looked at: what it does differently from its cluster."""

    cluster_id: str
    request: dict[str, Any]
    plan: RunPlan | None = None
    """None where the same run is under way already."""
    warnings: list[str] = field(default_factory=list)


class Clusters:
    """One method an operation of the wire. `ref` is an id or a name."""

    def __init__(
        self,
        metadata: MetadataStore,
        documents: DocumentStore,
        states: RunStates,
        removals: Removals,
        planning: Planning,
        now: Callable[[], datetime],
    ) -> None:
        self._metadata, self._documents = metadata, documents
        self._states, self._removals, self._planning, self._now = states, removals, planning, now
        self._records = states.clusters
        self._collections = Repository(
            metadata, "collection", Collection, id_field="collection_id", name_field="collection_name"
        )

    def create(self, scope: Scope, body: CreateCluster) -> Cluster:
        """A new cluster and, unless sources are enriched, its output collection.

        Raises InvalidField, NotFound for a collection, AlreadyExists for the name.
        """
        if body.source_cluster_ids:
            raise InvalidField("source_cluster_ids", "composite clusters are not available in this version")
        if not body.collection_ids:
            raise InvalidField("collection_ids", "is required: name at least one collection")
        sources = [self._collections.get(scope, ref) for ref in dict.fromkeys(body.collection_ids)]
        config = check_config(body, self._documents.vector_dimensions(scope))
        parse_filter(body.filters)
        enrichment = check_mappings(body)
        enrich = bool(body.enrich_source_collection or (body.vector_config and body.vector_config.enrich_source))
        labeling = None if body.llm_labeling is None else body.llm_labeling.shown()
        attributes = config.fields.get("clustered_attributes") or []
        keys = [source.storage_key for source in sources]
        unknown = [
            *ignored_fields(self._documents, scope, keys, attributes),
            *check_text_fields(self._documents, scope, keys, body.text_fields or (), inputs_of(labeling)),
        ]
        cluster_id = new_id("clust")
        name = _name(body.cluster_name, cluster_id)
        now = self._now()
        with self._metadata.transaction():
            parts = [f"_{feature}" for feature in config.fields.get("output_features") or []] or [""]
            outputs = sources if enrich else [self._output_collection(scope, name, part, sources) for part in parts]
            made = Cluster(
                cluster_id=cluster_id,
                cluster_name=name,
                description=body.description,
                namespace_id=scope.namespace_id,
                organization_id=scope.organization_id,
                input_collections=[source.collection_id for source in sources],
                source_bucket_ids=_buckets(sources),
                filters=body.filters,
                cluster_type=body.cluster_type or "vector",
                output_collection_ids=[output.collection_id for output in outputs],
                output_collection_names=[output.collection_name for output in outputs],
                enrich_source=enrich,
                source_enrichment_config=enrichment,
                llm_labeling=labeling,
                text_fields=body.text_fields,
                created_at=now,
                updated_at=now,
                metadata=body.metadata,
                auto_execute_on_batch=bool(body.auto_execute_on_batch),
                auto_execute_min_documents=body.auto_execute_min_documents,
                auto_execute_cooldown_seconds=body.auto_execute_cooldown_seconds,
                warnings=[*config.warnings, *ignored_parts(body), *unknown],
                **config.fields,
            )
            warnings = [*made.warnings, *shared_fields(self._records, scope, made)]
            return self._records.add(scope, made.model_copy(update={"warnings": warnings}), "cluster.create")

    def get(self, scope: Scope, ref: str) -> Cluster:
        """Raises NotFound."""
        return self._records.get(scope, ref)

    def search(self, scope: Scope, query: Query) -> Listing[Cluster]:
        return self._records.search(scope, query)

    def stats(self, scope: Scope) -> dict[str, Any]:
        """ClusterListStats over the namespace."""
        counted = ("num_documents_clustered", "num_clusters")
        totals = self._metadata.totals(scope, "cluster", MATCH_ALL, by="status", sums=counted)
        documents = sum(sums[0] for _, sums in totals.values())
        groups = sum(sums[1] for _, sums in totals.values())
        return {
            "total_clusters": sum(count for count, _ in totals.values()),
            "total_documents": int(documents),
            "avg_documents_per_cluster": documents / groups if groups else 0.0,
            "clusters_by_status": {status: count for status, (count, _) in totals.items()},
        }

    def patch(self, scope: Scope, ref: str, body: PatchCluster) -> Cluster:
        """Change what was sent; nothing is executed. Raises NotFound, InvalidField, AlreadyExists."""
        sent = body.model_dump(exclude_unset=True)
        if sent.get("source_cluster_ids"):
            raise InvalidField("source_cluster_ids", "composite clusters are not available in this version")
        sent.pop("source_cluster_ids", None)
        if "cluster_name" in sent:
            if sent["cluster_name"] is None:
                del sent["cluster_name"]
            else:
                check_name("cluster_name", sent["cluster_name"], "clust", reserved=RESERVED_NAMES)
        for keeps in ("sample_size", "face_cluster_merge"):
            if sent.get(keeps, ...) is None:
                del sent[keeps]
        if "filters" in sent:
            parse_filter(sent["filters"])
        if body.llm_labeling is not None:
            sent["llm_labeling"] = body.llm_labeling.shown()
        sent["warnings"] = ignored_params(body)
        inputs = inputs_of(sent.get("llm_labeling"))
        if body.text_fields or inputs:
            keys = self._keys(scope, self.get(scope, ref))
            sent["warnings"] += check_text_fields(self._documents, scope, keys, body.text_fields or (), inputs)
        return self._records.change(scope, ref, lambda cluster: self._patched(cluster, sent), "cluster.change")

    def _keys(self, scope: Scope, cluster: Cluster) -> list[str]:
        """The storage keys of the sources that are there."""
        found = (self._collections.find_one(scope, id) for id in cluster.input_collections)
        return [source.storage_key for source in found if source is not None]

    def delete(self, scope: Scope, ref: str, *, cascade: bool = True, clear_results: bool = False) -> dict[str, int]:
        """Remove the cluster, its runs and artifacts and, with `cascade`, its own output collections. Documents keep
        what it wrote into them, except that `clear_results` clears the fields that nobody changed since.

        Returns what was removed. Raises NotFound."""
        with self._metadata.transaction():
            cluster = self.get(scope, ref)
            runs = self._states.executions.all(scope, runs_of(cluster.cluster_id))
            own = [] if cluster.enrich_source or not cascade else cluster.output_collection_ids
            for run in runs:
                self._states.forget(scope, run)
            outputs = [found for id in own if (found := self._collections.find_one(scope, id)) is not None]
            for output in outputs:
                self._collections.remove(scope, output.collection_id)
            self._records.remove(scope, cluster.cluster_id, "cluster.delete")
            removal = self._removals.begin(
                scope,
                collections=[output.collection_id for output in outputs],
                runs=[run.run_id for run in runs],
                cluster_id=cluster.cluster_id,
                clear_results=clear_results,
            )
        self._removals.finish(scope, removal)
        return {"clusters": 1, "executions": len(runs), "output_collections": len(outputs)}

    def admit(self, scope: Scope, ref: str, body: ExecuteCluster) -> "Admitted":
        """A run that may be queued. Looks at the documents, so it is for before a transaction.

        Raises NotFound, InvalidField, also where nothing can be clustered or it would not fit.
        """
        cluster = self.get(scope, ref)
        request = self._request(cluster, body)
        keys, own = self._keys(scope, cluster), request.get("text_fields") or ()
        unknown = check_text_fields(self._documents, scope, keys, own, named_fields(cluster, request))
        active = self.active_run(scope, cluster.cluster_id)
        if active is None or active.request != request:
            plan = self._planned(scope, cluster, request)
            self._check(cluster, request, plan)
            shared = shared_fields(self._records, scope, cluster)
            return Admitted(cluster.cluster_id, request, plan, [*ignored_overrides(body), *unknown, *shared])
        return Admitted(cluster.cluster_id, request)

    def execute(self, scope: Scope, admitted: "Admitted") -> Task:
        """Queue a run. The same request while one is active gives the active task; another one is a Conflict.

        Raises NotFound where the cluster is gone meanwhile, Conflict, QueueFull where too many runs wait.
        """
        cluster, request = self.get(scope, admitted.cluster_id), admitted.request
        with self._metadata.transaction():
            active = self.active_run(scope, cluster.cluster_id)
            if active is None:
                self._check_target(self.get(scope, cluster.cluster_id), request)
                partition = self._partition(scope, request)
                task = self._states.create(scope, cluster, request, partition, admitted.plan, admitted.warnings)
        if active is None:
            hit("execute.queued")
            return task
        if active.request == request:
            return self._states.tasks.get(scope.organization, active.task_id)
        raise Conflict(
            f"Run {active.run_id} of this cluster is {active.status}. Wait for it or cancel it.",
            run_id=active.run_id,
            task_id=active.task_id,
        )

    def plan(self, scope: Scope, ref: str, body: ExecuteCluster) -> RunPlan:
        """What a run would cost; nothing is queued. Raises NotFound, InvalidField."""
        cluster = self.get(scope, ref)
        return self._planned(scope, cluster, self._request(cluster, body))

    def _planned(self, scope: Scope, cluster: Cluster, request: dict[str, Any]) -> RunPlan:
        return self._planning.plan(scope, cluster, request, documents_of(cluster, request))

    def _partition(self, scope: Scope, request: Mapping[str, Any]) -> str | None:
        """A short hash of the run's own filter, part of its cluster ids (contract.md#output-documents). A run that
        assigns to the results of another has the ids of that one."""
        if "assigned_to" in request:
            return self._states.executions.get(scope, request["assigned_to"]).partition
        if "filters" not in request:
            return None
        return hashlib.sha256(orjson.dumps(request["filters"], option=orjson.OPT_SORT_KEYS)).hexdigest()[:8]

    def _check_target(self, cluster: Cluster, request: dict[str, Any]) -> None:
        """Raises Conflict where the run to assign to is not the visible one any more."""
        if request.get("assigned_to", cluster.current_run_id) != cluster.current_run_id:
            raise Conflict(
                "Another run has published meanwhile. Execute again to assign to its results.",
                run_id=cluster.current_run_id,
            )

    def active_run(self, scope: Scope, cluster_id: str) -> Execution | None:
        """The run that is pending or processing."""
        active = Condition("status", "in", tuple(sorted(ACTIVE)))
        query = runs_of(cluster_id, active)
        found = self._states.executions.search(scope, query).items
        return found[0] if found else None

    def _request(self, cluster: Cluster, body: ExecuteCluster) -> dict[str, Any]:
        """What this run does differently. Raises InvalidField."""
        if body.mode != "assign" and body.assignment_threshold not in (None, _SENT_THRESHOLD):
            value = body.assignment_threshold
            raise InvalidField("assignment_threshold", "needs mode 'assign'", value=value, remedy="Leave it out.")
        if cluster.cluster_type == "attribute":
            for name in ("sample_size", "vis_n_components", "layout_stability"):
                if getattr(body, name) is not None:
                    problem = "is for vector clusters alone: groups by values take every document and have no map"
                    raise InvalidField(name, problem, value=getattr(body, name), remedy="Leave it out.")
        return {**_overrides(body), **(_assigning(cluster, body) if body.mode == "assign" else {})}

    def _check(self, cluster: Cluster, request: dict[str, Any], plan: RunPlan) -> None:
        """Refuse at once what could only fail later: fewer than two documents, fewer than clusters asked for, or more
        than memory and disk allow. Raises InvalidField, InsufficientStorage."""
        if plan.documents < 2:
            what = "no documents that match" if plan.documents == 0 else "one document that matches"
            raise InvalidField(
                "collection_ids",
                f"hold {what}; clustering needs at least two",
                value=cluster.input_collections,
                remedy="Add documents or relax the filters.",
            )
        asked = int(cluster.algorithm_params.get("n_clusters") or 2)
        if asked > plan.documents and request.get("mode") != "assign":
            raise InvalidField(
                "algorithm_params.n_clusters",
                f"is more than the {plan.documents} documents that match",
                value=asked,
                remedy=f"Use at most {plan.documents}, or add documents.",
            )
        if plan.disk_bytes > plan.disk_free_bytes:
            raise InsufficientStorage(" ".join(plan.notes), needed_bytes=plan.disk_bytes)
        if not plan.fits and request.get("mode") == "assign":
            raise InvalidField("mode", "assigns more documents than memory allows", remedy=" ".join(plan.notes))
        if not plan.fits:
            problem = "is too large for this run" if "sample_size" in request else "is needed, all at once do not fit"
            raise InvalidField("sample_size", problem, remedy=" ".join(plan.notes))

    def _output_collection(self, scope: Scope, name: str, part: str, sources: list[Collection]) -> Collection:
        """The collection that holds centroid and member documents (contract.md#output-documents)."""
        now, id = self._now(), new_id("col")
        wanted = f"{name[:80]}{part[:80]}_output"
        taken = self._collections.find_one(scope, wanted) is not None
        output = Collection(
            collection_id=id,
            collection_name=f"{wanted}_{id[-6:]}" if taken else wanted,
            description=f"Centroids and members of the cluster {name}",
            source=CollectionSource(type="collection", collection_ids=[source.collection_id for source in sources]),
            created_at=now,
            updated_at=now,
        )
        return self._collections.add(scope, output)

    def _patched(self, cluster: Cluster, sent: dict[str, Any]) -> Cluster:
        edits = {**sent, "updated_at": self._now()}
        if cluster.cluster_type != "vector":
            for name in _OF_VECTORS:
                if sent.get(name) is not None:
                    raise InvalidField(name, "is for vector clusters alone", value=sent[name], remedy="Leave it out.")
        elif "algorithm_params" in sent:
            params, warnings = check_params(cluster.algorithm, sent["algorithm_params"] or {})
            edits |= {"algorithm_params": dict(params), "warnings": [*edits["warnings"], *warnings]}
        return cluster.model_copy(update=edits)


def _name(given: str | None, cluster_id: str) -> str:
    if given is None:
        return f"cluster-{cluster_id[-6:]}"
    return check_name("cluster_name", given, "clust", reserved=RESERVED_NAMES)


def _buckets(sources: list[Collection]) -> list[str]:
    """The union of the sources' buckets, also inherited ones, in order of first mention."""
    return list(dict.fromkeys(bucket for source in sources for bucket in source.source.buckets()))


def _overrides(body: ExecuteCluster) -> dict[str, Any]:
    """What this run does differently, as kept with it. Raises InvalidField."""
    if body.mode == "composite":
        problem = "is not available in this version"
        raise InvalidField("mode", problem, value=body.mode, remedy="Use 'full' or 'assign'.")
    if body.source_execution_ids:
        raise InvalidField("source_execution_ids", "composite runs are not available in this version")
    parse_filter(body.filters)
    request = {name: value for name in _OVERRIDES if (value := getattr(body, name)) is not None}
    if body.llm_labeling is not None:
        request["llm_labeling"] = body.llm_labeling.shown()
    return request


def _assigning(cluster: Cluster, body: ExecuteCluster) -> dict[str, Any]:
    """What a run keeps that assigns documents to the visible results. Raises InvalidField where that cannot be."""
    problem = None
    if cluster.current_run_id is None:
        problem = "needs results to assign to"
    elif cluster.cluster_type == "attribute":
        problem = "is for vector clusters: groups by values take new documents with every execution"
    elif cluster.multi_feature_strategy == "independent" or check_steps(cluster.preprocessing_steps or [], "steps"):
        problem = "does not go with independent features or preprocessing steps"
    if problem is not None:
        raise InvalidField("mode", problem, value="assign", remedy="Execute with mode 'full'.")
    for name in ("filters", "sample_size", "vis_n_components", "layout_stability", "text_fields"):
        if getattr(body, name) is not None:
            raise InvalidField(name, "has no meaning with mode 'assign'", value=getattr(body, name), remedy="Omit it.")
    threshold = body.assignment_threshold or 0.0
    return {"mode": "assign", "assignment_threshold": threshold, "assigned_to": cluster.current_run_id}
