"""Clusters through the official SDK: created, found by id and name, listed, changed, deleted."""

import json
import re
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from mixpeek.exceptions import ConflictException, NotFoundException, UnprocessableEntityException
from mixpeek.models.cluster_metadata import ClusterMetadata
from mixpeek.models.collection_response import CollectionResponse
from mixpeek.models.create_cluster_request import CreateClusterRequest
from mixpeek.models.list_clusters_request import ListClustersRequest
from mixpeek.models.patch_cluster_request import PatchClusterRequest

from sdk.official import Official, error_of, json_object, request, run_of
from sdk.topics import PER_TOPIC, TOPICS, Fill

SEED_FIELDS: Final = (
    "cluster_id", "cluster_name", "namespace_id", "organization_id", "input_collections", "source_bucket_ids",
    "filters", "cluster_type", "feature_uris", "multi_feature_strategy", "learned_weights", "learning_quality_score",
    "effective_feature_method", "clustered_attributes", "hierarchical_grouping", "aggregation_method",
    "output_collection_ids", "output_collection_names", "algorithm", "algorithm_params", "enrich_source",
    "source_enrichment_config", "llm_labeling", "num_clusters", "num_documents_clustered", "execution_time_seconds",
    "hierarchy_detected", "parent_cluster_id", "child_cluster_ids", "hierarchy_relationships", "status",
    "last_execution_task_id", "created_at", "updated_at", "last_executed_at", "completed_at", "llm_labeling_errors",
    "metadata",
)  # fmt: skip
"""The 38 fields of the upstream reference page of `GET /clusters/{cluster_identifier}`."""


def _kmeans(collection: CollectionResponse, name: str, **fields: Any) -> CreateClusterRequest:
    config = {
        "feature_uris": ["mixpeek://text_extractor@v1/text"],
        "clustering_method": "kmeans",
        "kmeans_parameters": {"n_clusters": 3},
        "sample_size": 1000,
    }
    defaults = {"collection_ids": [collection.collection_id], "cluster_type": "vector", "vector_config": config}
    return request(CreateClusterRequest, **{**defaults, "cluster_name": name, **fields})


def _raw(official: Official, ref: str) -> dict[str, Any]:
    """The JSON of `GET /clusters/{ref}` as it came over the wire."""
    answer = official.clusters.get_cluster_without_preload_content(ref)
    body = json.loads(answer.read())
    assert isinstance(body, dict)
    return body


def test_a_new_cluster_says_what_it_will_do(official: Official, topics: CollectionResponse) -> None:
    before = datetime.now(UTC)
    cluster = official.clusters.create_cluster(
        _kmeans(topics, "says", description="what it is for", metadata={"team": "x"}, filters={"metadata.lang": "en"})
    )
    assert cluster.cluster_id is not None and re.fullmatch(r"clust_[A-Za-z0-9]+", cluster.cluster_id)
    assert (cluster.cluster_name, cluster.description, cluster.metadata) == ("says", "what it is for", {"team": "x"})
    assert cluster.input_collections == [topics.collection_id]
    assert (cluster.cluster_type, cluster.algorithm, cluster.effective_feature_method) == ("vector", "kmeans", "mean")
    assert cluster.algorithm_params is not None and cluster.algorithm_params["n_clusters"] == 3
    assert (cluster.sample_size, cluster.filters) == (1000, {"metadata.lang": "en", "case_sensitive": False})
    assert cluster.status is not None and cluster.status.value == "PENDING"
    assert (cluster.num_clusters, cluster.last_run_id, cluster.last_executed_at, cluster.completed_at) == (
        None,
        None,
        None,
        None,
    )
    assert cluster.created_at is not None and abs((cluster.created_at - before).total_seconds()) < 60
    assert cluster.created_at == cluster.updated_at
    outputs = [official.collections.get_collection(id).collection_name for id in cluster.output_collection_ids or []]
    assert len(outputs) == 1 and outputs == cluster.output_collection_names


def test_a_cluster_is_found_by_id_and_by_name(official: Official, topics: CollectionResponse) -> None:
    cluster = official.clusters.create_cluster(_kmeans(topics, "found me"))
    assert cluster.cluster_id is not None
    by_id, by_name = official.clusters.get_cluster(cluster.cluster_id), official.clusters.get_cluster("found me")
    assert by_id == by_name == cluster


def test_every_kind_of_cluster_can_be_made(official: Official, topics: CollectionResponse) -> None:
    hdbscan = official.clusters.create_cluster(
        request(
            CreateClusterRequest,
            collection_ids=[topics.collection_name],
            cluster_name="kind-hdbscan",
            vector_config={
                "feature_uris": ["text"],
                "clustering_method": "hdbscan",
                "hdbscan_parameters": {"min_cluster_size": 6},
                "effective_feature_method": "medoid",
            },
        )
    )
    assert hdbscan.algorithm_params is not None and hdbscan.algorithm_params["min_cluster_size"] == 6
    assert (hdbscan.algorithm, hdbscan.effective_feature_method) == ("hdbscan", "medoid")
    attribute = official.clusters.create_cluster(
        request(
            CreateClusterRequest,
            collection_ids=[topics.collection_id],
            cluster_name="kind-attribute",
            cluster_type="attribute",
            attribute_config={
                "attributes": ["metadata.topic", "metadata.lang"],
                "hierarchical_grouping": True,
                "aggregation_method": "first",
            },
        )
    )
    assert attribute.clustered_attributes == ["metadata.topic", "metadata.lang"]
    assert (attribute.cluster_type, attribute.algorithm) == ("attribute", "attribute_based")
    assert (attribute.hierarchical_grouping, attribute.aggregation_method) == (True, "first")


def test_parameters_that_the_sdk_mangles_are_dropped_with_a_warning(
    official: Official, topics: CollectionResponse
) -> None:
    cluster = official.clusters.create_cluster(
        request(
            CreateClusterRequest,
            collection_ids=[topics.collection_id],
            cluster_name="mangled",
            vector_config={
                "feature_uris": ["text"],
                "clustering_method": "hdbscan",
                "algorithm_params": {"min_cluster_size": 3},  # leaves the SDK as the K-means defaults
            },
        )
    )
    assert cluster.algorithm_params is not None and "n_clusters" not in cluster.algorithm_params
    assert _raw(official, "mangled")["warnings"]


def test_a_list_filters_sorts_searches_and_pages(official: Official, fill: Fill) -> None:
    home = fill([])
    for name in ("sorted c", "sorted a", "sorted b"):
        official.clusters.create_cluster(_kmeans(home, name))
    filters = {"filters": {"cluster_type": "vector"}, "sort": {"field": "cluster_name"}, "search": "SORTED"}
    first = official.clusters.list_clusters(
        limit=2, include_total=True, list_clusters_request=request(ListClustersRequest, **filters)
    )
    assert [result.cluster_name for result in first.results] == ["sorted a", "sorted b"]
    assert (first.total_count, first.pagination.total, first.pagination.total_pages) == (3, 3, 2)
    assert first.pagination.next_cursor is not None
    rest = official.clusters.list_clusters(
        limit=2, cursor=first.pagination.next_cursor, list_clusters_request=request(ListClustersRequest, **filters)
    )
    assert [result.cluster_name for result in rest.results] == ["sorted c"]
    assert rest.pagination.next_cursor is None
    newest = official.clusters.list_clusters_get(search="sorted", page_size=2, page=1)
    assert [result.cluster_name for result in newest.results] == ["sorted b", "sorted a"]
    assert newest.stats is not None and (newest.stats.total_clusters or 0) >= 3
    assert newest.pagination.total is None


def test_a_patch_changes_what_is_sent_and_no_more(official: Official, topics: CollectionResponse) -> None:
    cluster = official.clusters.create_cluster(_kmeans(topics, "to patch", metadata={"team": "x"}, description="kept"))
    patched = official.clusters.patch_cluster(
        "to patch",
        request(
            PatchClusterRequest, cluster_name="patched", metadata={"team": "y"}, algorithm_params={"n_clusters": 4}
        ),
    )
    assert (patched.cluster_id, patched.cluster_name) == (cluster.cluster_id, "patched")
    assert (patched.metadata, patched.description) == ({"team": "y"}, "kept")
    patched_cluster = official.clusters.get_cluster("patched")
    assert patched_cluster.algorithm_params is not None and patched_cluster.algorithm_params["n_clusters"] == 4
    assert (
        patched_cluster.updated_at is not None
        and cluster.updated_at is not None
        and patched_cluster.updated_at >= cluster.updated_at
    )
    with pytest.raises(NotFoundException):
        official.clusters.get_cluster("to patch")


def test_a_deleted_cluster_takes_its_output_collection_along(official: Official, topics: CollectionResponse) -> None:
    cluster = official.clusters.create_cluster(_kmeans(topics, "to delete"))
    assert cluster.cluster_id is not None and cluster.output_collection_ids
    answer = json_object(official.clusters.delete_cluster(cluster.cluster_id, cascade_output_collections=True))
    assert (answer["success"], answer["cluster_id"]) == (True, cluster.cluster_id)
    with pytest.raises(NotFoundException):
        official.clusters.delete_cluster(cluster.cluster_id)
    with pytest.raises(NotFoundException):
        official.collections.get_collection(cluster.output_collection_ids[0])
    assert official.documents.count_documents(topics.collection_name).count == len(TOPICS) * PER_TOPIC


def test_output_collections_may_stay(official: Official, topics: CollectionResponse) -> None:
    cluster = official.clusters.create_cluster(_kmeans(topics, "stays"))
    assert cluster.cluster_id is not None and cluster.output_collection_ids
    official.clusters.delete_cluster("stays", cascade_output_collections=False)
    assert official.collections.get_collection(cluster.output_collection_ids[0]).document_count == 0


def test_a_taken_name_is_a_conflict(official: Official, topics: CollectionResponse) -> None:
    official.clusters.create_cluster(_kmeans(topics, "taken"))
    with pytest.raises(ConflictException) as refused:
        official.clusters.create_cluster(_kmeans(topics, "taken"))
    assert error_of(refused.value)["type"] == "AlreadyExistsError"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"vector_config": {"feature_uris": ["nowhere"], "clustering_method": "kmeans"}}, "feature_uris"),
        ({"cluster_type": "attribute", "vector_config": None}, "attribute_config"),
        ({"filters": {"AND": [{"field": "price", "operator": "about", "value": 1}]}}, "operator"),
        (
            {
                "enrich_source_collection": True,
                "source_enrichment_config": {"field_mappings": [{"source_field": "mood", "target_field": "m"}]},
            },
            "mood",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_field(
    official: Official, topics: CollectionResponse, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(UnprocessableEntityException) as refused:
        official.clusters.create_cluster(_kmeans(topics, "refused", **changes))
    error = error_of(refused.value)
    assert error["type"] == "ValidationError" and named in json.dumps(error)
    with pytest.raises(NotFoundException):
        official.clusters.get_cluster("refused")


def test_an_unknown_collection_or_cluster_is_not_found(official: Official, topics: CollectionResponse) -> None:
    with pytest.raises(NotFoundException):
        official.clusters.create_cluster(_kmeans(topics, "lost", collection_ids=["col_nowhere"]))
    with pytest.raises(NotFoundException) as missing:
        official.clusters.get_cluster("clust_doesnotexist")
    assert error_of(missing.value)["type"] == "NotFoundError" and missing.value.status == 404


def test_all_38_seed_fields_are_there_and_filled_after_a_run(official: Official, fill: Fill) -> None:
    home = fill()
    cluster = official.clusters.create_cluster(_kmeans(home, "seed", metadata={"team": "x"}))
    assert set(SEED_FIELDS) <= _raw(official, "seed").keys() and len(SEED_FIELDS) == 38
    task = official.wait_for(official.clusters.execute_clustering_clusters("seed"))
    seed = _raw(official, "seed")
    assert set(SEED_FIELDS) <= seed.keys()
    exact = {
        "cluster_id": cluster.cluster_id,
        "cluster_name": "seed",
        "namespace_id": cluster.namespace_id,
        "organization_id": official.organizations.get_organization().organization_id,
        "input_collections": [home.collection_id],
        "source_bucket_ids": [],
        "filters": None,
        "cluster_type": "vector",
        "multi_feature_strategy": "concatenate",
        "learned_weights": None,
        "learning_quality_score": None,
        "effective_feature_method": "mean",
        "clustered_attributes": None,
        "output_collection_ids": cluster.output_collection_ids,
        "output_collection_names": cluster.output_collection_names,
        "algorithm": "kmeans",
        "enrich_source": False,
        "source_enrichment_config": None,
        "llm_labeling": None,
        "num_clusters": 3,
        "num_documents_clustered": 36,
        "hierarchy_detected": False,
        "parent_cluster_id": None,
        "child_cluster_ids": None,
        "hierarchy_relationships": None,
        "status": "COMPLETED",
        "last_execution_task_id": task.task_id,
        "llm_labeling_errors": None,
        "metadata": {"team": "x"},
    }
    assert {name: seed[name] for name in exact} == exact
    assert seed["feature_uris"] == ["mixpeek://text_extractor@v1/text"]
    assert seed["algorithm_params"]["n_clusters"] == 3
    assert 0 < seed["execution_time_seconds"] < 60
    times = [seed[name] for name in ("created_at", "last_executed_at", "completed_at", "updated_at")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time) for time in times)
    assert times == sorted(times)
    assert seed["internal_id"] == seed["organization_id"]
    parsed = ClusterMetadata.from_dict(seed)
    assert parsed is not None and parsed.last_run_id == run_of(task)
