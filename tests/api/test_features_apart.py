"""`independent`: one clustering per feature, and how the clusterings overlap."""

from typing import Any

import httpx
import numpy as np
import pytest

from cluster_steps import create, execute, grouped_documents, put_documents
from shoal.assemble import Services

APART = {
    "feature_uris": ["v", "w"],
    "multi_feature_strategy": "independent",
    "clustering_method": "hdbscan",
    "hdbscan_parameters": {"min_cluster_size": 5},
}


@pytest.fixture(autouse=True)
def documents(client: httpx.Client) -> list[dict[str, Any]]:
    """Sixty documents: v separates three groups; w merges the second and the third; ten have no w."""
    rng = np.random.default_rng(3)
    made = grouped_documents()
    for row, document in enumerate(made):
        place = np.eye(5)[min(row % 3, 1)] + rng.normal(0, 0.02, 5)
        if row < 50:
            document["vectors"]["w"] = place.tolist()
    put_documents(client, made)
    return made


def outputs(client: httpx.Client, number: int) -> list[dict[str, Any]]:
    id = client.get("/clusters/groups").json()["output_collection_ids"][number]
    body = {"limit": 1000, "return_vectors": True}
    listed: list[dict[str, Any]] = client.post(f"/collections/{id}/documents/list", json=body).json()["results"]
    return listed


def test_clusters_are_numbered_consecutively_and_related_by_shared_documents(
    client: httpx.Client, services: Services
) -> None:
    create(client, config=APART)

    run = execute(client, services)

    assert run["status"] == "completed", run["error_message"]
    assert [c["cluster_id"] for c in run["centroids"]] == ["cl_0", "cl_1", "cl_2", "cl_3", "cl_4"]
    assert [c["feature"] for c in run["centroids"]] == ["v", "v", "v", "w", "w"]
    assert [c["num_members"] for c in run["centroids"]] == [20, 20, 20, 33, 17]
    assert (run["num_points"], run["vectors_clustered"], run["num_clusters"]) == (60, 60, 5)
    shown = client.get("/clusters/groups").json()
    links = {(link["child_cluster_id"], link["parent_cluster_id"]): link for link in shown["hierarchy_relationships"]}
    assert len(links) == 3
    assert sorted(link["relation"] for link in links.values()) == ["same", "within", "within"]
    assert {parent for (_, parent), link in links.items() if link["relation"] == "within"} == {"cl_3"}
    assert {link["documents"] for link in links.values()} == {16, 17}
    (agreement,) = run["metrics"]["agreement"]
    assert agreement["features"] == ["v", "w"]
    assert agreement["rows"] == 50
    assert 0.4 < agreement["ari"] < 0.8
    assert run["metrics"]["features"]["w"]["silhouette_score"] > 0.9


def test_features_share_one_output_or_each_has_its_own(client: httpx.Client, services: Services) -> None:
    create(client, config=APART)
    execute(client, services)
    together = outputs(client, 0)
    client.delete("/clusters/groups").raise_for_status()
    made = create(client, config={**APART, "output_strategy": "per_feature"})
    execute(client, services)

    assert len(made["output_collection_ids"]) == 2
    apart = [outputs(client, 0), outputs(client, 1)]
    for listed, centroids, members, width in ((apart[0], 3, 60, 8), (apart[1], 2, 50, 5)):
        assert sum(document["is_centroid"] for document in listed) == centroids
        assert sum(not document["is_centroid"] for document in listed) == members
        vectors = [document["vectors"] for document in listed if document["is_centroid"]]
        assert {len(values) for one in vectors for values in one.values()} == {width}
    ids = [{document["document_id"] for document in listed} for listed in (together, *apart)]
    assert ids[0] == ids[1] | ids[2]
    assert len(together) == 115


def test_each_feature_has_its_own_map(client: httpx.Client, services: Services) -> None:
    create(client, config=APART)
    execute(client, services)

    first = client.get("/clusters/groups/visualization").json()
    second = client.get("/clusters/groups/visualization?feature=w").json()
    wrong = client.get("/clusters/groups/visualization?feature=x")

    assert (first["feature"], first["features"], first["total_points"]) == ("v", ["v", "w"], 60)
    assert (second["total_points"], [c["cluster_id"] for c in second["centroids"]]) == (50, ["cl_3", "cl_4"])
    assert {member["cluster_id"] for member in second["members"]} == {"cl_3", "cl_4"}
    assert wrong.status_code == 422
    assert "v, w" in wrong.text


def test_sources_are_enriched_for_each_feature(client: httpx.Client, services: Services) -> None:
    create(client, config=APART, enrich_source_collection=True)

    run = execute(client, services)

    both = client.get("/collections/docs/documents/d0000").json()
    one = client.get("/collections/docs/documents/d0055").json()
    assert both["cluster_id_v"] in {"cl_0", "cl_1", "cl_2"}
    assert both["cluster_id_w"] in {"cl_3", "cl_4"}
    assert "cluster_id_w" not in one
    assert run["enriched_documents"] == 60


def test_a_feature_that_hardly_any_document_has_fails_the_run_by_name(
    client: httpx.Client, services: Services, documents: list[dict[str, Any]]
) -> None:
    documents[0]["vectors"]["u"] = [1.0, 2.0]
    put_documents(client, documents[:1])
    create(client, config={**APART, "feature_uris": ["v", "u"]})

    run = execute(client, services)

    assert run["status"] == "failed"
    assert "1 of 60 matching documents can be clustered by u" in run["error_message"]


def test_nested_clusters_of_each_feature_are_kept_separate(client: httpx.Client, services: Services) -> None:
    config = {**APART, "clustering_method": "kmeans", "kmeans_parameters": {"n_clusters": 6, "n_init": 1}}
    create(client, config={**config, "hierarchical": True, "max_hierarchy_depth": 2})

    run = execute(client, services)

    links = client.get("/clusters/groups").json()["hierarchy_relationships"]
    nested = [link for link in links if link["level"] > 0]
    assert len({frozenset(link) for link in links}) == 1, "all relationships have one shape"
    feature = {c["cluster_id"]: c["feature"] for c in run["centroids"]}
    assert len(feature) == len(run["centroids"])
    of_parent: dict[str, set[str]] = {}
    for link in nested:
        of_parent.setdefault(link["parent_cluster_id"], set()).add(feature[link["child_cluster_id"]])
    assert of_parent and all(features == {feature[parent]} for parent, features in of_parent.items())
    assert {c["parent_cluster_id"] for c in run["centroids"]} - {None} == set(of_parent)
    assert run["num_clusters"] == len(set(feature) - set(of_parent)) == 12
