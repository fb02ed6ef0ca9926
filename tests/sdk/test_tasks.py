"""Tasks through both clients. They belong to the organisation: the SDK sends no namespace with them."""

from collections.abc import Callable

import pytest
from mixpeek._client.client import MixpeekAPIError
from mixpeek.exceptions import NotFoundException
from mixpeek.models.create_cluster_request import CreateClusterRequest
from mixpeek.models.list_tasks_request import ListTasksRequest

from sdk.official import Official, request
from sdk.topics import Fill

Connect = Callable[..., Official]


def _start_run(official: Official, fill: Fill, name: str) -> str:
    """The id of a new task."""
    official.clusters.create_cluster(
        request(
            CreateClusterRequest,
            collection_ids=[fill().collection_id],
            cluster_name=name,
            vector_config={"feature_uris": ["text"], "clustering_method": "kmeans"},
        )
    )
    return str(official.clusters.execute_clustering_clusters(name).task_id)


@pytest.fixture(scope="module")
def task_id(official: Official, fill: Fill) -> str:
    return _start_run(official, fill, "task to find")


def test_a_task_is_found_without_a_namespace(connect: Connect, task_id: str) -> None:
    nowhere = connect()
    task = nowhere.tasks.get_task(task_id)
    assert task.task_id == task_id and (task.additional_data or {})["namespace_id"].startswith("ns_")
    assert nowhere.wait_for(task).status.value == "COMPLETED"
    assert nowhere.high.tasks.get(task_id).additional_data.num_clusters == 8


def test_tasks_are_listed_by_status_and_type(official: Official, task_id: str) -> None:
    official.wait_for(official.tasks.get_task(task_id))
    listed = official.tasks.list_tasks(
        limit=100,
        list_tasks_request=request(ListTasksRequest, task_type="engine_cluster_build", status="COMPLETED"),
    )
    assert task_id in [task.task_id for task in listed.results]
    assert {task.status.value for task in listed.results} == {"COMPLETED"}
    by_filter = official.high.tasks.list(filters={"task_id": task_id})
    assert [task.task_id for task in by_filter.results] == [task_id]


def test_a_killed_task_ends_its_run_and_killing_twice_is_harmless(official: Official, fill: Fill) -> None:
    ahead, task_id = _start_run(official, fill, "task ahead"), _start_run(official, fill, "task to kill")
    assert official.tasks.kill_task(task_id).success is True
    assert official.tasks.get_task(task_id).status.value == "CANCELED"
    run = official.executions.get_cluster_execution("task to kill")
    assert run.status == "canceled"
    assert official.high.tasks.delete(task_id).status == "CANCELED"
    assert official.high._request("POST", f"/tasks/{task_id}/kill").status == "CANCELED"
    assert official.wait_for(official.tasks.get_task(ahead)).status.value == "COMPLETED"


def test_an_unknown_task_is_not_found(official: Official) -> None:
    with pytest.raises(NotFoundException):
        official.tasks.get_task("nowhere")
    with pytest.raises(MixpeekAPIError) as missing:
        official.high.tasks.get("nowhere")
    assert missing.value.status == 404
