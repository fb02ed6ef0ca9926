"""Clusters: create, find, change, delete and execute them."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from shoal.engine import check_params
from shoal.errors import Conflict, InsufficientStorage, InvalidField
from shoal.failpoints import hit
from shoal.records.clusters.cluster import RESERVED_NAMES, Cluster
from shoal.records.clusters.requests import CreateCluster, PatchCluster
from shoal.records.collection import Collection, CollectionSource
from shoal.records.ids import check_name, new_id
from shoal.records.queries.filters import MATCH_ALL, Condition, parse_filter
from shoal.records.queries.paging import Listing
from shoal.records.removal import Removal
from shoal.records.runs.execution import ACTIVE, ExecuteCluster, Execution
from shoal.records.runs.plan import RunPlan
from shoal.records.scope import Scope
from shoal.records.task import Task
from shoal.repositories.repository import Repository, RepositoryReads
from shoal.runs.config.cluster_config import check_config, check_mappings
from shoal.runs.config.engine_plan import documents_of
from shoal.runs.config.facet_config import OF_FACETS, check_facets
from shoal.runs.config.planning import Planning
from shoal.runs.config.shared_fields import find_shared_fields
from shoal.runs.config.text_fields import check_text_fields, inputs_of, resolve_text_fields
from shoal.runs.history import runs_of
from shoal.runs.states import RunStates
from shoal.services.cluster_warnings import (
    warn_about_missing_fields,
    warn_about_overrides,
    warn_about_patch,
    warn_about_request,
)
from shoal.services.removals import Removals
from shoal.services.run_requests import build_request
from shoal.storage.protocols.documents import DocumentStore
from shoal.storage.protocols.records import Query
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["AdmittedRun", "Clusters"]


_VECTOR_FIELDS: Final = ("algorithm_params", "sample_size", "layout_stability", "face_cluster_merge")


@dataclass(frozen=True, slots=True)
class AdmittedRun:
    """A run that passed admission, with its differences from the cluster."""

    cluster_id: str
    request: dict[str, Any]
    plan: RunPlan | None = None
    """None where the same run is already active."""
    warnings: list[str] = field(default_factory=list)


class Clusters:
    """One method per operation of the API. `ref` is an id or a name."""

    def __init__(
        self,
        metadata: RecordStore,
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
        """Create a cluster and, unless sources are enriched, its output collection.

        Raises InvalidField, NotFound for a collection, AlreadyExists for the name.
        """
        return self._metadata.transact(self.creation(scope, body))

    def creation(self, scope: Scope, body: CreateCluster) -> Callable[[Transaction], Cluster]:
        """Return the transaction body that creates a cluster; documents are read before. Raises InvalidField, and
        NotFound for a collection; so does the body for one that was deleted since."""
        if body.source_cluster_ids:
            raise InvalidField("source_cluster_ids", "composite clusters are not available in this version")
        if not body.collection_ids:
            raise InvalidField("collection_ids", "is required: name at least one collection")
        by_ref = {ref: self._collections.get(scope, ref) for ref in body.collection_ids}
        sources = list(by_ref.values())
        dimensions = self._documents.vector_dimensions(scope)
        config = check_config(body, dimensions)
        check_facets(body.facets, dimensions, config.fields)
        parse_filter(body.filters)
        enrichment = check_mappings(body)
        enrich = bool(body.enrich_source_collection or (body.vector_config and body.vector_config.enrich_source))
        labeling = None if body.llm_labeling is None else body.llm_labeling.readable_by_sdk()
        attributes = config.fields.get("clustered_attributes") or []
        keys = [source.storage_key for source in sources]
        field_warnings = [
            *warn_about_missing_fields(self._documents, scope, keys, attributes),
            *check_text_fields(self._documents, scope, keys, body.text_fields or (), inputs_of(labeling)),
        ]
        cluster_id = new_id("clust")
        name = _cluster_name(body.cluster_name, cluster_id)
        now = self._now()
        parts = [f"_{feature}" for feature in config.fields.get("output_features") or []] or [""]
        drafts = [] if enrich else [self._output_draft(name, part, sources) for part in parts]
        cluster = Cluster(
            cluster_id=cluster_id,
            cluster_name=name,
            description=body.description,
            namespace_id=scope.namespace_id,
            organization_id=scope.organization_id,
            input_collections=[source.collection_id for source in sources],
            source_bucket_ids=_source_buckets(sources),
            filters=body.filters,
            cluster_type=body.cluster_type or "vector",
            output_collection_ids=[output.collection_id for output in drafts or sources],
            enrich_source=enrich,
            source_enrichment_config=enrichment,
            llm_labeling=labeling,
            facets=body.facets,
            text_fields=body.text_fields,
            created_at=now,
            updated_at=now,
            metadata=body.metadata,
            auto_execute_on_batch=bool(body.auto_execute_on_batch),
            auto_execute_min_documents=body.auto_execute_min_documents,
            auto_execute_cooldown_seconds=body.auto_execute_cooldown_seconds,
            warnings=[*config.warnings, *warn_about_request(body), *field_warnings],
            **config.fields,
        )
        warnings = [*cluster.warnings, *find_shared_fields(self._records, scope, cluster)]

        def create(tx: Transaction) -> Cluster:
            self._check_sources(tx, scope, by_ref)
            outputs = [self._add_output(tx, scope, draft) for draft in drafts] or sources
            named = {"output_collection_names": [output.collection_name for output in outputs], "warnings": warnings}
            return self._records.within(tx).add(scope, cluster.with_changes(**named), "cluster.create")

        return create

    def get(self, scope: Scope, ref: str) -> Cluster:
        """Raises NotFound."""
        return self._records.get(scope, ref)

    def search(self, scope: Scope, query: Query) -> Listing[Cluster]:
        return self._records.search(scope, query)

    def stats(self, scope: Scope) -> dict[str, Any]:
        """Return the wire's ClusterListStats of the namespace."""
        summed = ("num_documents_clustered", "num_clusters")
        totals = self._metadata.totals(scope, "cluster", MATCH_ALL, by="status", sums=summed)
        documents = sum(sums[0] for _, sums in totals.values())
        groups = sum(sums[1] for _, sums in totals.values())
        return {
            "total_clusters": sum(count for count, _ in totals.values()),
            "total_documents": int(documents),
            "avg_documents_per_cluster": documents / groups if groups else 0.0,
            "clusters_by_status": {status: count for status, (count, _) in totals.items()},
        }

    def patch(self, scope: Scope, ref: str, body: PatchCluster) -> Cluster:
        """Change the fields that were sent; nothing is executed. Raises NotFound, InvalidField, AlreadyExists."""
        sent = body.model_dump(exclude_unset=True)
        if sent.get("source_cluster_ids"):
            raise InvalidField("source_cluster_ids", "composite clusters are not available in this version")
        sent.pop("source_cluster_ids", None)
        if "cluster_name" in sent:
            if sent["cluster_name"] is None:
                del sent["cluster_name"]
            else:
                check_name("cluster_name", sent["cluster_name"], "clust", reserved=RESERVED_NAMES)
        for required in ("sample_size", "face_cluster_merge"):
            if sent.get(required, ...) is None:
                del sent[required]
        if "filters" in sent:
            parse_filter(sent["filters"])
        if body.llm_labeling is not None:
            sent["llm_labeling"] = body.llm_labeling.readable_by_sdk()
        if body.facets:
            config = self.get(scope, ref).model_dump(include=OF_FACETS)
            check_facets(body.facets, self._documents.vector_dimensions(scope), config)
            sent["facets"] = body.facets
        sent["warnings"] = warn_about_patch(body)
        inputs = inputs_of(sent.get("llm_labeling"))
        if body.text_fields or inputs:
            keys = self._source_keys(scope, self.get(scope, ref))
            sent["warnings"] += check_text_fields(self._documents, scope, keys, body.text_fields or (), inputs)
        return self._records.change(scope, ref, lambda cluster: self._apply_patch(cluster, sent), "cluster.change")

    def _source_keys(self, scope: Scope, cluster: Cluster) -> list[str]:
        """Return the storage keys of the sources that exist."""
        sources = (self._collections.find_one(scope, id) for id in cluster.input_collections)
        return [source.storage_key for source in sources if source is not None]

    def delete(self, scope: Scope, ref: str, *, cascade: bool = True, clear_results: bool = False) -> dict[str, int]:
        """Delete the cluster, its runs and artifacts and, with `cascade`, its own output collections. Documents keep
        the results that it wrote, except that `clear_results` clears the fields that have not been changed since.

        Returns the number of deleted records by kind. Raises NotFound."""

        def delete(tx: Transaction) -> Removal:
            cluster = self._records.within(tx).get(scope, ref)
            runs = self._states.executions.within(tx).all(scope, runs_of(cluster.cluster_id))
            own = [] if cluster.enrich_source or not cascade else cluster.output_collection_ids
            for run in runs:
                self._states.forget(tx, scope, run)
            collections = self._collections.within(tx)
            removal = self._removals.of(
                scope,
                collections=[id for id in own if collections.remove(scope, id)],
                runs=[run.run_id for run in runs],
                cluster_id=cluster.cluster_id,
                clear_results=clear_results,
            )
            self._records.within(tx).remove(scope, cluster.cluster_id, "cluster.delete")
            self._removals.begin(tx, scope, removal)
            return removal

        removal = self._metadata.transact(delete)
        self._removals.finish(scope, removal)
        runs, outputs = len(removal.run_ids), len(removal.collection_ids)
        return {"clusters": 1, "executions": runs, "output_collections": outputs}

    def admit(self, scope: Scope, ref: str, body: ExecuteCluster) -> "AdmittedRun":
        """Check whether a run may be queued. Reads documents, so call it before the transaction.

        Raises NotFound, InvalidField, also where nothing can be clustered or it would not fit.
        """
        cluster = self.get(scope, ref)
        request = self._build_request(scope, cluster, body)
        keys, own = self._source_keys(scope, cluster), request.get("text_fields") or ()
        field_warnings = check_text_fields(self._documents, scope, keys, own, resolve_text_fields(cluster, request))
        active = _active_run(self._states.executions, scope, cluster.cluster_id)
        if active is None or active.request != request:
            plan = self._plan(scope, cluster, request)
            self._check_feasible(cluster, request, plan)
            shared = find_shared_fields(self._records, scope, cluster)
            return AdmittedRun(
                cluster.cluster_id, request, plan, [*warn_about_overrides(body), *field_warnings, *shared]
            )
        return AdmittedRun(cluster.cluster_id, request)

    def execute(self, scope: Scope, admitted: "AdmittedRun") -> Task:
        """Queue a run. While a run is active, the same request returns its task, and another one raises Conflict.

        Raises NotFound where the cluster was deleted meanwhile, Conflict, QueueFull where too many runs wait.
        """
        return self._metadata.transact(self.execution(scope, admitted))

    def execution(self, scope: Scope, admitted: "AdmittedRun") -> Callable[[Transaction], Task]:
        """Return the transaction body that queues a run; see `execute`."""
        cluster, request = self.get(scope, admitted.cluster_id), admitted.request
        partition = self._partition(scope, request)
        create = self._states.creation(scope, cluster, request, partition, admitted.plan, admitted.warnings)

        def execute(tx: Transaction) -> Task:
            active = _active_run(self._states.executions.within(tx), scope, cluster.cluster_id)
            if active is None:
                self._check_target(self._records.within(tx).get(scope, cluster.cluster_id), request)
                tx.on_commit(lambda: hit("execute.queued"))
                return create(tx)
            if active.request == request:
                return self._states.tasks.within(tx).get(scope.organization, active.task_id)
            raise Conflict(
                f"Run {active.run_id} of this cluster is {active.status}. Wait for it or cancel it.",
                run_id=active.run_id,
                task_id=active.task_id,
            )

        return execute

    def plan(self, scope: Scope, ref: str, body: ExecuteCluster) -> RunPlan:
        """Estimate the cost of a run; nothing is queued. Raises NotFound, InvalidField."""
        cluster = self.get(scope, ref)
        return self._plan(scope, cluster, self._build_request(scope, cluster, body))

    def _build_request(self, scope: Scope, cluster: Cluster, body: ExecuteCluster) -> dict[str, Any]:
        """Build the request of a run. Raises InvalidField."""
        visible = cluster.current_run_id if body.mode == "assign" else None
        before = None if visible is None else self._states.executions.find_one(scope, visible)
        if body.facets:
            check_facets(body.facets, self._documents.vector_dimensions(scope), cluster.model_dump(include=OF_FACETS))
        return build_request(cluster, body, {} if before is None else before.request)

    def _plan(self, scope: Scope, cluster: Cluster, request: dict[str, Any]) -> RunPlan:
        return self._planning.plan(scope, cluster, request, documents_of(cluster, request))

    def _partition(self, scope: Scope, request: Mapping[str, Any]) -> str | None:
        """Return a short hash of the run's own filter, which is part of its cluster ids (contract.md#output-documents).
        A run that assigns to the results of another run uses its ids."""
        if "assigned_to" in request:
            return self._states.executions.get(scope, request["assigned_to"]).partition
        if "filters" not in request:
            return None
        return hashlib.sha256(orjson.dumps(request["filters"], option=orjson.OPT_SORT_KEYS)).hexdigest()[:8]

    def _check_target(self, cluster: Cluster, request: dict[str, Any]) -> None:
        """Raise Conflict where the run to assign to is no longer the visible one."""
        if request.get("assigned_to", cluster.current_run_id) != cluster.current_run_id:
            raise Conflict(
                "Another run has published meanwhile. Execute again to assign to its results.",
                run_id=cluster.current_run_id,
            )

    def _check_feasible(self, cluster: Cluster, request: dict[str, Any], plan: RunPlan) -> None:
        """Reject at once what would fail later: fewer than two documents, fewer documents than clusters, or more than
        memory and disk allow. Raises InvalidField, InsufficientStorage."""
        if plan.documents < 2:
            what = "no documents that match" if plan.documents == 0 else "one document that matches"
            raise InvalidField(
                "collection_ids",
                f"hold {what}; clustering needs at least two",
                value=cluster.input_collections,
                remedy="Add documents or relax the filters.",
            )
        cluster_count = int(cluster.algorithm_params.get("n_clusters") or 2)
        if cluster_count > plan.documents and request.get("mode") != "assign":
            raise InvalidField(
                "algorithm_params.n_clusters",
                f"is more than the {plan.documents} documents that match",
                value=cluster_count,
                remedy=f"Use at most {plan.documents}, or add documents.",
            )
        if plan.disk_bytes > plan.disk_free_bytes:
            raise InsufficientStorage(" ".join(plan.notes), needed_bytes=plan.disk_bytes)
        if not plan.fits and request.get("mode") == "assign":
            raise InvalidField("mode", "assigns more documents than memory allows", remedy=" ".join(plan.notes))
        if not plan.fits:
            problem = (
                "is too large for this run"
                if "sample_size" in request
                else "is required: a run over all documents exceeds a limit"
            )
            raise InvalidField("sample_size", problem, remedy=" ".join(plan.notes))

    def _check_sources(self, tx: Transaction, scope: Scope, by_ref: Mapping[str, Collection]) -> None:
        """Raise NotFound for a collection, found by a reference before, that was deleted since."""
        collections = self._collections.within(tx)
        for ref, collection in by_ref.items():
            if collections.find_one(scope, collection.collection_id) is None:
                raise collections.not_found(scope, ref)

    def _output_draft(self, name: str, part: str, sources: list[Collection]) -> Collection:
        """Return a collection for centroid and member documents (contract.md#output-documents)."""
        now = self._now()
        return Collection(
            collection_id=new_id("col"),
            collection_name=f"{name[:80]}{part[:80]}_output",
            description=f"Centroids and members of the cluster {name}",
            source=CollectionSource(type="collection", collection_ids=[source.collection_id for source in sources]),
            created_at=now,
            updated_at=now,
        )

    def _add_output(self, tx: Transaction, scope: Scope, draft: Collection) -> Collection:
        """Store an output collection, under another name where its name is taken."""
        collections, name = self._collections.within(tx), draft.collection_name
        if collections.find_one(scope, name) is not None:
            draft = draft.with_changes(collection_name=f"{name}_{draft.collection_id[-6:]}")
        return collections.add(scope, draft)

    def _apply_patch(self, cluster: Cluster, sent: dict[str, Any]) -> Cluster:
        edits = {**sent, "updated_at": self._now()}
        if cluster.cluster_type != "vector":
            for name in _VECTOR_FIELDS:
                if sent.get(name) is not None:
                    raise InvalidField(name, "is for vector clusters alone", value=sent[name], remedy="Leave it out.")
        elif "algorithm_params" in sent:
            params, warnings = check_params(cluster.algorithm, sent["algorithm_params"] or {})
            edits |= {"algorithm_params": dict(params), "warnings": [*edits["warnings"], *warnings]}
        return cluster.with_changes(**edits)


def _active_run(executions: RepositoryReads[Execution], scope: Scope, cluster_id: str) -> Execution | None:
    """Return the run that is pending or processing."""
    runs = executions.search(scope, runs_of(cluster_id, Condition("status", "in", tuple(sorted(ACTIVE))))).items
    return runs[0] if runs else None


def _cluster_name(requested_name: str | None, cluster_id: str) -> str:
    if requested_name is None:
        return f"cluster-{cluster_id[-6:]}"
    return check_name("cluster_name", requested_name, "clust", reserved=RESERVED_NAMES)


def _source_buckets(sources: list[Collection]) -> list[str]:
    """Return the union of the sources' buckets, including inherited ones, in order of first occurrence."""
    return list(dict.fromkeys(bucket for source in sources for bucket in source.source.buckets()))
