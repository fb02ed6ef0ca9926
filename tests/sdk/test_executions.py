"""Runs through the official SDK: executed, waited for, read in every form the SDK knows, cancelled."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow.csv
import pyarrow.parquet
import pytest
import urllib3
from mixpeek._client.client import MixpeekAPIError
from mixpeek.exceptions import ConflictException, NotFoundException, UnprocessableEntityException
from mixpeek.models.cluster_metadata import ClusterMetadata
from mixpeek.models.collection_response import CollectionResponse
from mixpeek.models.create_cluster_request import CreateClusterRequest
from mixpeek.models.execute_cluster_by_id_request import ExecuteClusterByIdRequest
from mixpeek.models.list_cluster_executions_request import ListClusterExecutionsRequest
from mixpeek.models.list_documents_request import ListDocumentsRequest
from mixpeek.models.patch_execution_labels_request import PatchExecutionLabelsRequest
from mixpeek.models.patch_execution_run_name_request import PatchExecutionRunNameRequest
from mixpeek.models.task_response import TaskResponse

from sdk.official import Official, error_of, json_object, request, run_of
from sdk.topics import PER_TOPIC, TOPICS, Fill

_WORDS = {
    "billing": {"refund", "credit", "card", "charge", "charged", "double"},
    "travel": {"flight", "boston", "denver", "book", "cost"},
    "weather": {"rain", "mountains", "tomorrow", "weather", "forecast"},
}


@dataclass(frozen=True)
class Executed:
    """A cluster after a run."""

    cluster: ClusterMetadata
    task: TaskResponse

    @property
    def id(self) -> str:
        return str(self.cluster.cluster_id)

    @property
    def run_id(self) -> str:
        return run_of(self.task)


Make = Callable[..., ClusterMetadata]


@pytest.fixture(scope="module")
def make(official: Official) -> Make:
    """A cluster over one collection."""

    def cluster_(collection: CollectionResponse, name: str, **fields: Any) -> ClusterMetadata:
        return official.clusters.create_cluster(
            request(CreateClusterRequest, collection_ids=[collection.collection_id], cluster_name=name, **fields)
        )

    return cluster_


def _vector(method: str, **config: Any) -> dict[str, Any]:
    return {"vector_config": {"feature_uris": ["text"], "clustering_method": method, **config}}


def _execute(official: Official, cluster: ClusterMetadata, **overrides: Any) -> Executed:
    body = request(ExecuteClusterByIdRequest, **overrides) if overrides else None
    task = official.clusters.execute_clustering_clusters(str(cluster.cluster_id), body)
    return Executed(official.clusters.get_cluster(str(cluster.cluster_id)), official.wait_for(task))


@pytest.fixture(scope="module")
def kmeans(official: Official, make: Make, topics: CollectionResponse) -> Executed:
    """Three blobs, K-means with three clusters, executed without a body."""
    return _execute(official, make(topics, "runs kmeans", **_vector("kmeans", kmeans_parameters={"n_clusters": 3})))


def test_before_the_first_run_there_is_none(official: Official, make: Make, topics: CollectionResponse) -> None:
    make(topics, "never run", **_vector("kmeans"))
    assert official.executions.get_cluster_execution("never run") is None
    groups = official.clusters.get_cluster_groups("never run")
    assert (groups.run_id, groups.total_groups, groups.groups) == (None, 0, [])
    with pytest.raises(NotFoundException):
        official.clusters.get_cluster_visualization("never run")


def test_executing_answers_with_a_task_that_names_the_run(official: Official, kmeans: Executed) -> None:
    assert kmeans.task.task_type.value == "engine_cluster_build"
    assert kmeans.task.status.value == "COMPLETED" and kmeans.task.error is None
    assert re.fullmatch(r"run_[A-Za-z0-9]+", kmeans.run_id)
    assert (kmeans.task.additional_data or {})["cluster_id"] == kmeans.id
    assert official.high.tasks.get(kmeans.task.task_id).status == "COMPLETED"


def test_three_blobs_are_three_clusters_named_by_their_words(official: Official, kmeans: Executed) -> None:
    run = official.executions.get_cluster_execution(kmeans.id)
    assert (run.run_id, run.cluster_id, run.status) == (kmeans.run_id, kmeans.id, "completed")
    assert (run.num_clusters, run.num_points) == (3, 36)
    assert (run.source_documents, run.vectors_retrieved, run.index_gap) == (36, 36, 0)
    centroids = run.centroids or []
    assert [centroid.cluster_id for centroid in centroids] == ["cl_0", "cl_1", "cl_2"]
    assert [centroid.num_members for centroid in centroids] == [PER_TOPIC] * 3
    met = set()
    for centroid in centroids:
        topic = str((centroid.representative_ids or [])[0].document_id).partition("_")[0]
        met.add(topic)
        assert centroid.label is not None and _WORDS[topic] & set(re.findall(r"\w+", centroid.label.lower()))
        assert _WORDS[topic] & set(" ".join(centroid.keywords or []).lower().split())
        assert all(item.document_id.startswith(topic) for item in centroid.representative_ids or [])
        assert (centroid.mean_cosine_similarity or 0) > 0.99
        assert centroid.centroid_vector is None
    assert met == set(TOPICS)
    assert run.metrics is not None
    assert (run.metrics.silhouette_score or 0) > 0.9
    assert (run.metrics.davies_bouldin_index or 1) < 0.2
    assert run.metrics.noise_ratio == 0
    assert run.completed_at is not None and run.created_at <= run.completed_at


def test_a_run_is_found_by_its_id_and_by_the_clusters_name(official: Official, kmeans: Executed) -> None:
    by_run = official.executions.get_cluster_execution_by_run("runs kmeans", kmeans.run_id, include_vectors=True)
    assert by_run.run_id == kmeans.run_id
    vectors = [centroid.centroid_vector or [] for centroid in by_run.centroids or []]
    assert [len(vector) for vector in vectors] == [8, 8, 8]
    assert sorted(max(range(8), key=vector.__getitem__) for vector in vectors) == [0, 1, 2]
    latest = official.executions.get_cluster_execution("runs kmeans", include_vectors=True)
    assert [item.centroid_vector for item in latest.centroids or []] == vectors
    with pytest.raises(NotFoundException):
        official.executions.get_cluster_execution_by_run(kmeans.id, "run_nowhere")


def test_groups_have_label_and_size(official: Official, kmeans: Executed) -> None:
    groups = official.clusters.get_cluster_groups(kmeans.id)
    assert (groups.cluster_id, groups.run_id) == (kmeans.id, kmeans.run_id)
    assert (groups.total_groups, groups.total_documents) == (3, 36)
    assert sum(group.member_count for group in groups.groups) == 36
    assert len({group.label for group in groups.groups}) == 3


def test_the_output_collection_holds_centroids_and_members(official: Official, kmeans: Executed) -> None:
    [output] = kmeans.cluster.output_collection_names or []

    def list_runs(is_centroid: bool) -> list[dict[str, Any]]:
        page = official.documents.list_documents(
            output,
            list_documents_request=request(
                ListDocumentsRequest,
                filters={"AND": [{"field": "is_centroid", "operator": "eq", "value": is_centroid}]},
                include_total=True,
                limit=100,
            ),
        )
        assert page.pagination.total == len(page.results or [])
        return [item.additional_properties for item in page.results or []]

    centroids, members = list_runs(True), list_runs(False)
    assert (len(centroids), len(members)) == (3, 36)
    labels = {centroid["cluster_id"]: centroid["cluster_label"] for centroid in centroids}
    assert labels.keys() == {"cl_0", "cl_1", "cl_2"}
    for member in members:
        assert member["cluster_label"] == labels[member["cluster_id"]]
        assert 0 <= member["distance_to_centroid"] < 0.05
    topic_of = {(member["cluster_id"], member["source_document_id"].partition("_")[0]) for member in members}
    assert len(topic_of) == 3
    assert {member["source_document_id"] for member in members} == {
        f"{topic}_{number:02d}" for topic in TOPICS for number in range(PER_TOPIC)
    }


@pytest.mark.parametrize("compact", [False, True])
def test_the_map_has_a_place_for_every_document(official: Official, kmeans: Executed, compact: bool) -> None:
    shown = json_object(official.clusters.get_cluster_visualization(kmeans.id, max_points=100, compact=compact))
    assert (shown["run_id"], shown["dimensions"], shown["total_points"]) == (kmeans.run_id, 2, 36)
    assert [centroid["num_members"] for centroid in shown["centroids"]] == [PER_TOPIC] * 3
    members = shown["members"]
    ids = members["document_ids"] if compact else [member["document_id"] for member in members]
    xs = members["x"] if compact else [member["x"] for member in members]
    assert len(set(ids)) == len(xs) == 36 and all(isinstance(x, float) for x in xs)


def test_the_map_can_be_small(official: Official, kmeans: Executed) -> None:
    few = json_object(official.clusters.get_cluster_visualization(kmeans.id, max_points=7, run_id=kmeans.run_id))
    assert (few["sampled_points"], len(few["members"])) == (7, 7)
    none = json_object(official.clusters.get_cluster_visualization(kmeans.id, centroids_only=True))
    assert (none["members"], len(none["centroids"])) == ([], 3)


def test_artifacts_and_data_hold_every_member(official: Official, kmeans: Executed) -> None:
    high = official.high
    for path in (f"/clusters/{kmeans.id}", f"/clusters/runs%20kmeans/executions/{kmeans.run_id}"):
        got = high._request("GET", f"{path}/artifacts?include_members=true&limit=10&projection_method=2d")
        assert (got.run_id, got.total_clusters, got.total_members) == (kmeans.run_id, 3, 36)
        assert [centroid.num_members for centroid in got.centroids] == [PER_TOPIC] * 3
        assert len(got.members) == 10 and len(got.members[0].coordinates) == 2
        posted = high._request("POST", f"{path}/data", body={"include_members": True, "limit": 30, "offset": 10})
        assert [member.document_id for member in posted.members] and len(posted.members) == 26
        assert {member.document_id for member in got.members}.isdisjoint(
            member.document_id for member in posted.members
        )
        assert posted.next_cursor is None
    assert high._request("GET", f"/clusters/{kmeans.id}/execution").run_id == kmeans.run_id
    with pytest.raises(MixpeekAPIError) as missing:
        high._request("GET", f"/clusters/{kmeans.id}/executions/run_nowhere/artifacts")
    assert missing.value.status == 404


def test_members_are_exported_as_parquet(official: Official, kmeans: Executed) -> None:
    id = json_object(official.executions.export_cluster_execution_id_run(kmeans.id, kmeans.run_id, format="parquet"))
    assert (id["format"], id["row_count"]) == ("parquet", 36)
    headers = {"Authorization": f"Bearer {official.key}", "X-Namespace": official.namespace}
    with urllib3.PoolManager() as pool:
        file = pool.request("GET", id["download_url"], headers=headers)
    assert file.status == 200 and len(file.data) == id["size_bytes"]
    table = pyarrow.parquet.read_table(io.BytesIO(file.data))
    assert table.num_rows == 36
    assert set(table["cluster_id"].to_pylist()) == {"cl_0", "cl_1", "cl_2"}


def test_members_are_exported_as_csv(official: Official, kmeans: Executed) -> None:
    answer = official.executions.export_cluster_execution_id_run_without_preload_content(
        kmeans.id, kmeans.run_id, format="csv"
    )
    table = pyarrow.csv.read_csv(io.BytesIO(answer.read()))
    assert (answer.getheader("Content-Type") or "").startswith("text/csv")
    assert table.num_rows == 36
    label = table["cluster_label"][0].as_py()
    response = official.executions.export_cluster_execution_id_run_without_preload_content(
        kmeans.id, kmeans.run_id, format="csv", cluster_label=label
    )
    assert set(pyarrow.csv.read_csv(io.BytesIO(response.read()))["cluster_label"].to_pylist()) == {label}


def test_people_name_runs_and_clusters(official: Official, make: Make, topics: CollectionResponse) -> None:
    named = _execute(official, make(topics, "named", **_vector("kmeans", kmeans_parameters={"n_clusters": 3})))
    labelled = official.executions.patch_execution_labels_clusters_id_run(
        named.id, named.run_id, request(PatchExecutionLabelsRequest, labels={"cl_0": "Gadgets", "cl_1": "Gone"})
    )
    assert labelled.label_overrides == {"cl_0": "Gadgets", "cl_1": "Gone"}
    again = official.executions.patch_execution_labels_clusters_id_run(
        named.id, named.run_id, request(PatchExecutionLabelsRequest, labels={"cl_1": ""})
    )
    assert again.label_overrides == {"cl_0": "Gadgets"}
    renamed = official.executions.patch_execution_run_name_clusters(
        named.id, named.run_id, request(PatchExecutionRunNameRequest, run_name="baseline")
    )
    assert renamed.run_name == "baseline"
    run = official.executions.get_cluster_execution_by_run(named.id, named.run_id)
    assert (run.run_name, run.label_overrides) == ("baseline", {"cl_0": "Gadgets"})
    assert (run.centroids or [])[0].label == "Gadgets"
    assert official.clusters.get_cluster_groups("named").groups[0].label == "Gadgets"
    cleared = official.executions.patch_execution_run_name_clusters(
        "named", named.run_id, request(PatchExecutionRunNameRequest, run_name="")
    )
    assert cleared.run_name is None
    with pytest.raises(UnprocessableEntityException):
        official.executions.patch_execution_labels_clusters_id_run(
            named.id, named.run_id, request(PatchExecutionLabelsRequest, labels={"cl_9": "nobody"})
        )


def test_hdbscan_finds_the_blobs_by_itself(official: Official, make: Make, topics: CollectionResponse) -> None:
    done = _execute(official, make(topics, "runs hdbscan", **_vector("hdbscan", hdbscan_parameters={
        "min_cluster_size": 6})))  # fmt: skip
    run = official.executions.get_cluster_execution(done.id)
    assert (run.status, run.num_clusters) == ("completed", 3)
    noise = run.num_points - sum(centroid.num_members for centroid in run.centroids or [])
    assert run.num_points == 36 and noise <= 4
    assert run.metrics is not None and run.metrics.noise_ratio == pytest.approx(noise / 36)


def test_a_run_may_have_a_filter_and_a_map_of_its_own(official: Official, make: Make, fill: Fill) -> None:
    cluster = make(fill(), "overridden", **_vector("kmeans", kmeans_parameters={"n_clusters": 2}))
    done = _execute(
        official, cluster, mode="full", filters={"metadata.topic": "billing"}, sample_size=10, vis_n_components=3
    )
    run = official.executions.get_cluster_execution(done.id)
    assert (run.status, run.num_clusters, run.num_points) == ("completed", 2, 12)
    assert sum(centroid.num_members for centroid in run.centroids or []) == 12
    assert json_object(official.clusters.get_cluster_visualization(done.id))["dimensions"] == 3
    assert official.clusters.get_cluster(done.id).filters is None


def test_flat_attribute_groups_are_the_values(official: Official, make: Make, topics: CollectionResponse) -> None:
    done = _execute(official, make(topics, "flat", cluster_type="attribute", attribute_config={
        "attributes": ["metadata.topic", "metadata.lang"]}))  # fmt: skip
    groups = official.clusters.get_cluster_groups(done.id).groups
    assert {(group.label, group.member_count) for group in groups} == {
        (f"{topic}_{lang}", size) for topic in TOPICS for lang, size in (("en", 8), ("de", 4))
    }
    cluster = official.clusters.get_cluster("flat")
    assert (cluster.num_clusters, cluster.num_documents_clustered, cluster.hierarchy_detected) == (6, 36, False)


def test_hierarchical_attribute_groups_form_a_tree(official: Official, make: Make, topics: CollectionResponse) -> None:
    done = _execute(official, make(topics, "tree", cluster_type="attribute", attribute_config={
        "attributes": ["metadata.topic", "metadata.lang"], "hierarchical_grouping": True,
        "aggregation_method": "most_frequent"}))  # fmt: skip
    sizes = {group.label: group.member_count for group in official.clusters.get_cluster_groups(done.id).groups}
    assert {sizes[topic] for topic in TOPICS} == {12}
    assert {size for label, size in sizes.items() if label not in TOPICS} == {8, 4}
    cluster = official.clusters.get_cluster("tree")
    assert cluster.hierarchy_detected is True and len(cluster.hierarchy_relationships or []) == 6
    assert len(cluster.child_cluster_ids or []) == 6


def test_runs_are_listed_filtered_and_counted(official: Official, make: Make, fill: Fill) -> None:
    cluster = make(fill(), "listed runs", **_vector("kmeans", kmeans_parameters={"n_clusters": 3}))
    first, second = _execute(official, cluster), _execute(official, cluster, mode="full", sample_size=30)
    query = request(
        ListClusterExecutionsRequest,
        filters={"AND": [{"field": "status", "operator": "eq", "value": "completed"}]},
        sort={"field": "created_at", "direction": "desc"},
    )
    page = official.executions.list_cluster_executions(first.id, limit=1, list_cluster_executions_request=query)
    assert [run.run_id for run in page.results] == [second.run_id] and page.total_count == 2
    rest = official.executions.list_cluster_executions(
        first.id, limit=1, cursor=page.pagination.next_cursor, list_cluster_executions_request=query
    )
    assert [run.run_id for run in rest.results] == [first.run_id]
    assert page.stats is not None and page.stats.executions_by_status == {"completed": 2}
    assert page.stats.total_documents_clustered == 72
    searched = official.executions.list_cluster_executions(
        "listed runs", list_cluster_executions_request=request(ListClusterExecutionsRequest, search=first.run_id)
    )
    assert [run.run_id for run in searched.results] == [first.run_id]
    latest = official.executions.get_cluster_execution(first.id)
    assert latest.run_id == second.run_id


def test_a_run_that_waits_can_be_cancelled(official: Official, make: Make, fill: Fill) -> None:
    busy = make(fill(), "busy", **_vector("kmeans"))
    waiting = make(fill(), "waiting", **_vector("kmeans"))
    ahead = official.clusters.execute_clustering_clusters(str(busy.cluster_id))
    queued = official.clusters.execute_clustering_clusters(str(waiting.cluster_id))
    again = official.clusters.execute_clustering_clusters("waiting")
    assert again.task_id == queued.task_id, "the same request while it waits is the same run"
    with pytest.raises(ConflictException) as refused:
        official.clusters.execute_clustering_clusters("waiting", request(ExecuteClusterByIdRequest, sample_size=20))
    run_id = run_of(queued)
    assert error_of(refused.value)["details"]["run_id"] == run_id

    answer = json_object(official.executions.cancel_execution_clusters_id_run(str(waiting.cluster_id), run_id))
    assert (answer["run_id"], answer["status"]) == (run_id, "canceled")
    run = official.executions.get_cluster_execution("waiting")
    assert run.status == "canceled"
    cluster = official.clusters.get_cluster("waiting")
    assert cluster.status is not None and (cluster.status.value, cluster.num_clusters) == ("CANCELED", None)
    assert official.wait_for(queued).status.value == "CANCELED"
    with pytest.raises(ConflictException):
        official.executions.cancel_execution_clusters_id_run("waiting", run_id)
    with pytest.raises(NotFoundException):
        official.clusters.get_cluster_visualization("waiting", run_id=run_id)
    assert official.wait_for(ahead).status.value == "COMPLETED"


def test_too_little_to_cluster_is_refused_at_once(official: Official, make: Make, fill: Fill) -> None:
    make(fill([]), "empty", **_vector("kmeans"))
    with pytest.raises(UnprocessableEntityException):
        official.clusters.execute_clustering_clusters("empty")
    assert official.executions.get_cluster_execution("empty") is None


def test_deleting_a_cluster_takes_its_runs_along(official: Official, make: Make, fill: Fill) -> None:
    done = _execute(official, make(fill(), "gone", **_vector("kmeans", kmeans_parameters={"n_clusters": 3})))
    [output] = done.cluster.output_collection_ids or []
    assert official.documents.count_documents(output).count == 39
    official.clusters.delete_cluster(done.id)
    with pytest.raises(NotFoundException):
        official.executions.get_cluster_execution_by_run(done.id, done.run_id)
    with pytest.raises(NotFoundException):
        official.documents.count_documents(output)
    with pytest.raises(NotFoundException):
        official.tasks.get_task(done.task.task_id)
