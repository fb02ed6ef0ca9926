"""`mode: assign`: documents join existing clusters, or none of them."""

from typing import Any

import httpx
import numpy as np
import pytest

from cluster_steps import create, execute, grouped_documents, put_documents
from shoal.assemble import Services


@pytest.fixture(autouse=True)
def documents(client: httpx.Client) -> list[dict[str, Any]]:
    """Eighty documents in three groups, of which sixty are stored."""
    made = grouped_documents(80)
    put_documents(client, made[:60])
    return made


def members(client: httpx.Client, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    body = {"include_members": True, "limit": 1000}
    data = client.post(f"/clusters/groups/executions/{run['run_id']}/data", json=body).json()
    return {one["document_id"]: one for one in data["members"]}


def strangers() -> list[dict[str, Any]]:
    points = -np.eye(2, 8)
    return [{"document_id": f"s{n}", "vectors": {"v": v}, "payload": {"row": n}} for n, v in enumerate(points.tolist())]


@pytest.mark.parametrize("method", ["kmeans", "hdbscan", "auto"])
def test_new_documents_join_their_cluster_and_outliers_join_none(
    client: httpx.Client, services: Services, documents: list[dict[str, Any]], method: str
) -> None:
    create(client, method=method)
    first = execute(client, services)
    before = members(client, first)
    put_documents(client, documents[60:] + strangers())

    run = execute(client, services, mode="assign")

    after = members(client, run)
    assert (run["status"], run["mode"], first["mode"]) == ("completed", "assign", "full")
    assert [c["cluster_id"] for c in run["centroids"]] == [c["cluster_id"] for c in first["centroids"]]
    assert [c["label"] for c in run["centroids"]] == [c["label"] for c in first["centroids"]]
    assert {id: after[id]["cluster_id"] for id in before} == {id: one["cluster_id"] for id, one in before.items()}
    inside = [after[f"d{row:04d}"]["cluster_id"] == before[f"d{row % 3:04d}"]["cluster_id"] for row in range(60, 80)]
    assert np.mean(inside) > 0.8
    assert {after[id]["cluster_id"] for id in ("s0", "s1")} == {"cl_noise"}
    assert after["s0"]["distance_to_centroid"] is None
    assert sum(c["num_members"] for c in run["centroids"]) == run["vectors_clustered"] == 60 + sum(inside)
    assert "of 22 new documents and 0 whose vectors changed" in run["warnings"][0]
    assert client.get("/clusters/groups").json()["last_run_id"] == run["run_id"]


def test_assigning_one_by_one_equals_assigning_in_a_batch(
    client: httpx.Client, services: Services, documents: list[dict[str, Any]]
) -> None:
    create(client)
    execute(client, services)
    put_documents(client, documents[60:])
    together = members(client, execute(client, services, mode="assign"))
    client.delete("/clusters/groups")
    client.request("DELETE", "/collections/docs")
    put_documents(client, documents[:60])
    create(client)
    execute(client, services)

    for document in documents[60:66]:
        put_documents(client, [document])
        alone = members(client, execute(client, services, mode="assign"))[document["document_id"]]
        for name in ("cluster_id", "distance_to_centroid", "membership_strength"):
            assert alone[name] == together[document["document_id"]][name]


def test_changed_vectors_are_reassigned_and_deleted_documents_disappear(
    client: httpx.Client, services: Services, documents: list[dict[str, Any]]
) -> None:
    create(client)
    before = members(client, execute(client, services))
    documents[0]["vectors"]["v"] = documents[1]["vectors"]["v"]
    put_documents(client, documents[:1])
    client.delete("/collections/docs/documents/d0002").raise_for_status()

    run = execute(client, services, mode="assign")

    after = members(client, run)
    assert "d0002" not in after
    assert after["d0000"]["cluster_id"] == before["d0001"]["cluster_id"] != before["d0000"]["cluster_id"]
    assert "0 new documents and 1 whose vectors changed, 1 joined" in run["warnings"][0]


def test_a_threshold_makes_assignment_stricter_and_user_labels_persist(
    client: httpx.Client, services: Services, documents: list[dict[str, Any]]
) -> None:
    create(client)
    first = execute(client, services)
    labels = {"labels": {"cl_0": "Mine"}}
    client.patch(f"/clusters/groups/executions/{first['run_id']}/labels", json=labels).raise_for_status()
    put_documents(client, documents[60:])

    run = execute(client, services, mode="assign", assignment_threshold=1.0)

    assert run["vectors_clustered"] == 60
    assert run["centroids"][0]["label"] == "Mine"
    assert {one["cluster_label"] for one in members(client, run).values() if one["cluster_id"] == "cl_0"} == {"Mine"}


def test_learned_weights_are_reused_and_a_hierarchy_is_recounted(
    client: httpx.Client, services: Services, documents: list[dict[str, Any]]
) -> None:
    rng = np.random.default_rng(2)
    for document in documents:
        document["vectors"]["w"] = rng.normal(size=5).tolist()
    put_documents(client, documents[:60])
    config = {"feature_uris": ["v", "w"], "multi_feature_strategy": "weighted", "hierarchical": True}
    create(client, config={**config, "kmeans_parameters": {"n_clusters": 6, "n_init": 1}})
    execute(client, services)
    weights = client.get("/clusters/groups").json()["learned_weights"]
    put_documents(client, documents[60:])

    run = execute(client, services, mode="assign")

    shown = client.get("/clusters/groups").json()
    assert run["status"] == "completed", run["error_message"]
    assert shown["learned_weights"] == weights
    size = {c["cluster_id"]: c["num_members"] for c in run["centroids"]}
    for parent in {link["parent_cluster_id"] for link in shown["hierarchy_relationships"] if link["level"] == 1}:
        links = [link for link in shown["hierarchy_relationships"] if link["parent_cluster_id"] == parent]
        assert {link["parent_num_members"] for link in links} == {sum(size[link["child_cluster_id"]] for link in links)}


def test_a_second_assignment_builds_on_the_first(
    client: httpx.Client, services: Services, documents: list[dict[str, Any]]
) -> None:
    create(client)
    execute(client, services)
    put_documents(client, documents[60:70])
    execute(client, services, mode="assign")
    put_documents(client, documents[70:])

    run = execute(client, services, mode="assign")

    assert "of 10 new documents" in run["warnings"][0]
    assert run["num_points"] == 80
    assert run["metrics"]["map_moved"] <= 0.01


@pytest.mark.parametrize(
    ("config", "body", "field"),
    [
        ({"preprocessing_steps": [{"method": "pca", "n_components": 3}]}, {}, "mode"),
        ({"multi_feature_strategy": "independent"}, {}, "mode"),
        ({}, {"sample_size": 5}, "sample_size"),
        ({}, {"filters": {"kind": "a"}}, "filters"),
    ],
)
def test_unsupported_assignments_are_rejected(
    client: httpx.Client, services: Services, config: dict[str, Any], body: dict[str, Any], field: str
) -> None:
    create(client, config=config)
    execute(client, services)

    reply = client.post("/clusters/groups/execute", json={"mode": "assign", **body})

    assert reply.status_code == 422
    assert reply.json()["error"]["details"]["field"] == field


def test_assignment_requires_existing_results(client: httpx.Client) -> None:
    create(client)

    reply = client.post("/clusters/groups/execute", json={"mode": "assign"})

    assert reply.status_code == 422
    assert "Execute with mode 'full'" in reply.text
