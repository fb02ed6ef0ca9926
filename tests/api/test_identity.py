"""Cluster ids and user labels survive a rerun, wherever they can be read."""

import shutil
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from cluster_steps import carry_out, create, execute, put_documents
from shoal.assemble import Services
from shoal.runs.states import QUEUE

TEXTS = ("refund order", "password reset", "parcel late", "crypto wallet")
Ids = dict[str, str]


def topic(number: int, start: int, stop: int, *, text: bool = True) -> list[dict[str, Any]]:
    """Documents `d<start>` to `d<stop - 1>` of one topic."""
    points = np.eye(8)[number] + np.random.default_rng(start).normal(0, 0.03, (stop - start, 8))
    return [
        {
            "document_id": f"d{start + row:03d}",
            "vectors": {"v": point, "w": point[::-1]},
            "payload": {"kind": "abcd"[number], "text": TEXTS[number]} if text else {"row": row},
        }
        for row, point in enumerate(points.tolist())
    ]


def three_topics(*, text: bool = True) -> list[dict[str, Any]]:
    return [*topic(0, 0, 30, text=text), *topic(1, 100, 120, text=text), *topic(2, 200, 210, text=text)]


def stored(client: httpx.Client, collection: str = "docs") -> list[dict[str, Any]]:
    reply = client.post(f"/collections/{collection}/documents/list", params={"limit": 1000}, json={})
    found: list[dict[str, Any]] = reply.json()["results"]
    return found


def ids(client: httpx.Client, run: dict[str, Any]) -> Ids:
    body = {"include_members": True, "limit": 1000}
    data = client.post(f"/clusters/groups/executions/{run['run_id']}/data", json=body).json()
    return {f"{one.get('feature')}:{one['document_id']}": one["cluster_id"] for one in data["members"]}


def unchanged(before: Ids, after: Ids) -> bool:
    return {document: after[document] for document in before} == before


def label(client: httpx.Client, run: dict[str, Any], **labels: str) -> None:
    path = f"/clusters/groups/executions/{run['run_id']}/labels"
    client.patch(path, json={"labels": labels}).raise_for_status()


def of_topic(client: httpx.Client, run: dict[str, Any], document: str) -> str:
    return ids(client, run)[f"None:{document}"]


def test_growth_preserves_ids_and_a_user_label_wherever_they_are_read(client: httpx.Client, services: Services) -> None:
    put_documents(client, three_topics())
    made = create(client)
    first = execute(client, services)
    before = ids(client, first)
    mine = before["None:d000"]
    label(client, first, **{mine: "Mine"})
    put_documents(client, topic(2, 210, 250))

    run = execute(client, services)

    after = ids(client, run)
    assert run["warnings"] == first["warnings"] and run["label_overrides"] == {mine: "Mine"}
    assert unchanged(before, after)
    assert [one["cluster_id"] for one in run["centroids"]] == ["cl_2", "cl_0", "cl_1"]
    assert {one["cluster_id"]: one["label"] for one in run["centroids"]}[mine] == "Mine"
    groups = client.get("/clusters/groups/groups").json()["groups"]
    assert [one["label"] for one in groups if one["cluster_id"] == mine] == ["Mine"]
    output = stored(client, made["output_collection_ids"][0])
    assert {one["cluster_label"] for one in output if one["cluster_id"] == mine} == {"Mine"}
    assert {one["source_document_id"]: one["cluster_id"] for one in output if not one["is_centroid"]} == {
        document.partition(":")[2]: id for document, id in after.items()
    }
    search = client.post("/clusters/groups/executions/list", json={"search": "mine"}).json()
    assert [one["run_id"] for one in search["results"]] == [run["run_id"], first["run_id"]]


def test_documents_are_enriched_with_stable_ids_and_carried_over_labels(
    client: httpx.Client, services: Services
) -> None:
    put_documents(client, three_topics())
    create(client, enrich_source_collection=True)
    first = execute(client, services)
    before = {one["document_id"]: one["cluster_id"] for one in stored(client)}
    label(client, first, **{before["d100"]: "Mine"})
    put_documents(client, topic(2, 210, 250))

    execute(client, services)

    after = {one["document_id"]: one for one in stored(client)}
    assert {id: after[id]["cluster_id"] for id in before} == before
    assert {one["cluster_label"] for one in after.values() if one["cluster_id"] == before["d100"]} == {"Mine"}


def test_numbered_names_follow_the_stable_number(client: httpx.Client, services: Services) -> None:
    put_documents(client, three_topics(text=False))
    create(client)
    execute(client, services)
    put_documents(client, topic(2, 210, 250, text=False))

    run = execute(client, services)

    shown = {one["cluster_id"]: one["label"] for one in run["centroids"]}
    assert shown == {"cl_2": "Cluster 2", "cl_0": "Cluster 0", "cl_1": "Cluster 1"}
    members = client.post(
        f"/clusters/groups/executions/{run['run_id']}/data", json={"include_members": True, "limit": 1000}
    ).json()["members"]
    assert {(one["cluster_id"], one["cluster_label"]) for one in members} == set(shown.items())


def test_the_number_of_a_vanished_cluster_is_never_reused(client: httpx.Client, services: Services) -> None:
    put_documents(client, three_topics())
    create(client)
    first = execute(client, services)
    label(client, first, **{of_topic(client, first, "d200"): "Parcels"})
    for row in range(200, 210):
        client.request("DELETE", f"/collections/docs/documents/d{row}").raise_for_status()
    put_documents(client, topic(3, 300, 312))

    second = execute(client, services)
    put_documents(client, topic(2, 400, 440))
    for row in range(300, 312):
        client.request("DELETE", f"/collections/docs/documents/d{row}").raise_for_status()
    third = execute(client, services)

    assert of_topic(client, second, "d300") == "cl_3"
    assert of_topic(client, third, "d400") == "cl_4"
    assert (second["label_overrides"], third["label_overrides"]) == ({}, {})
    assert any("'Parcels' of cl_2" in warning and first["run_id"] in warning for warning in second["warnings"])


def test_noise_has_no_id(client: httpx.Client, services: Services) -> None:
    lonely = {"document_id": "far", "vectors": {"v": [-1.0] * 8, "w": [-1.0] * 8}, "payload": {}}
    put_documents(client, [*three_topics(), lonely])
    create(client, method="hdbscan", config={"hdbscan_parameters": {"min_cluster_size": 5}})
    first = execute(client, services)
    put_documents(client, topic(2, 210, 250))

    run = execute(client, services)

    assert of_topic(client, first, "far") == of_topic(client, run, "far") == "cl_noise"
    assert unchanged(ids(client, first), ids(client, run))
    assert "cl_noise" not in {one["cluster_id"] for one in run["centroids"]}


@pytest.mark.parametrize(
    "config",
    [
        {"feature_uris": ["v", "w"], "multi_feature_strategy": "independent"},
        {"hierarchical": True},
    ],
)
def test_independent_features_and_hierarchies_keep_their_ids(
    client: httpx.Client, services: Services, config: dict[str, Any]
) -> None:
    put_documents(client, [*three_topics(), *topic(3, 300, 308)])
    create(client, config={**config, "kmeans_parameters": {"n_clusters": 4, "n_init": 1}})
    first = execute(client, services)
    again = execute(client, services)
    put_documents(client, topic(2, 210, 216))

    run = execute(client, services)

    assert ids(client, again) == ids(client, first)
    assert [(one["cluster_id"], one["label"]) for one in again["centroids"]] == [
        (one["cluster_id"], one["label"]) for one in first["centroids"]
    ]
    assert unchanged(ids(client, first), ids(client, run))
    known = {one["cluster_id"] for one in run["centroids"]}
    links = client.get("/clusters/groups").json()["hierarchy_relationships"] or []
    assert {link[end] for link in links for end in ("parent_cluster_id", "child_cluster_id")} <= known


def test_groups_of_values_keep_the_ids_of_their_values(client: httpx.Client, services: Services) -> None:
    put_documents(client, three_topics())
    body = {
        "collection_ids": ["docs"], "cluster_name": "groups", "cluster_type": "attribute",
        "attribute_config": {"attributes": ["kind"]},
    }  # fmt: skip
    client.post("/clusters", json=body).raise_for_status()
    first = execute(client, services)
    label(client, first, cl_1="Mine")
    put_documents(client, [*topic(2, 210, 250), *topic(3, 300, 350)])

    run = execute(client, services)

    shown = [(one["cluster_id"], one["label"]) for one in run["centroids"]]
    assert shown == [("cl_2", "c"), ("cl_3", "d"), ("cl_0", "a"), ("cl_1", "Mine")]
    assert unchanged(ids(client, first), ids(client, run))


def test_a_label_survives_an_assignment_and_can_be_removed(client: httpx.Client, services: Services) -> None:
    put_documents(client, three_topics())
    create(client)
    first = execute(client, services)
    made = {one["cluster_id"]: one["label"] for one in first["centroids"]}
    label(client, first, cl_0="Mine")
    put_documents(client, topic(1, 120, 125))
    assigned = execute(client, services, mode="assign")
    put_documents(client, topic(2, 210, 250))

    run = execute(client, services)

    assert assigned["label_overrides"] == run["label_overrides"] == {"cl_0": "Mine"}
    assert unchanged(ids(client, assigned), ids(client, run))
    label(client, assigned, cl_0="")
    shown = client.get(f"/clusters/groups/executions/{assigned['run_id']}").json()["centroids"]
    assert {one["cluster_id"]: one["label"] for one in shown} == made


def test_a_run_with_its_own_filter_has_separate_ids(client: httpx.Client, services: Services) -> None:
    put_documents(client, [*three_topics(), *topic(3, 300, 306)])
    create(client, method="hdbscan", config={"hdbscan_parameters": {"min_cluster_size": 5}})
    first = execute(client, services)
    label(client, first, cl_0="Mine")
    part = {"AND": [{"field": "kind", "operator": "ne", "value": "a"}]}
    filtered = execute(client, services, filters=part)
    put_documents(client, topic(2, 210, 250))

    whole, filtered_again = execute(client, services), execute(client, services, filters=part)

    assert unchanged(ids(client, first), ids(client, whole))
    assert unchanged(ids(client, filtered), ids(client, filtered_again))
    assert [len(one["centroids"]) for one in (whole, filtered_again)] == [4, 3]
    assert (whole["label_overrides"], filtered_again["label_overrides"]) == ({"cl_0": "Mine"}, {})


def test_assigning_to_a_filtered_run_leaves_the_ids_of_unfiltered_runs_unchanged(
    client: httpx.Client, services: Services
) -> None:
    put_documents(client, [*three_topics(), *topic(3, 300, 306)])
    create(client, method="hdbscan", config={"hdbscan_parameters": {"min_cluster_size": 5}})
    first = execute(client, services)
    label(client, first, cl_0="Mine")
    filtered = execute(client, services, filters={"AND": [{"field": "kind", "operator": "ne", "value": "a"}]})

    assigned, whole = execute(client, services, mode="assign"), execute(client, services)

    assert {ids(client, assigned)[document] for document in ids(client, filtered)} == set(
        ids(client, filtered).values()
    )
    assert ids(client, whole) == ids(client, first)
    assert whole["label_overrides"] == {"cl_0": "Mine"}


class Crash(BaseException):
    """An exception that no error handler catches."""


def test_another_attempt_yields_the_same_ids_with_labels_changed_in_between(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_documents(client, three_topics())
    create(client)
    first = execute(client, services)
    put_documents(client, topic(3, 300, 350))
    client.post("/clusters/groups/execute", json={}).raise_for_status()
    seen: list[dict[str, int]] = []

    def crash(job: Any, edits: Any, *more: Any, **named: Any) -> None:
        seen.append(edits.next_numbers)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(services.states, "publish", crash)
        now = services.states._now()
        job = services.metadata.claim(QUEUE, "test", now, now + timedelta(seconds=30))
        assert job is not None
        with pytest.raises(Crash):
            services.runner.run(job, lambda *_: None)
        assert services.metadata.requeue(job.job_id, job.fence)
    kept = of_topic(client, first, "d000")
    label(client, first, **{kept: "Mine"})

    assert carry_out(services) == 1

    run = client.get("/clusters/groups/executions").json()
    assert [run["next_numbers"]] == seen
    assert run["label_overrides"] == {kept: "Mine"} and of_topic(client, run, "d000") == kept


def test_if_the_previous_results_are_missing_the_run_warns_and_assigns_new_ids(
    client: httpx.Client, services: Services
) -> None:
    put_documents(client, three_topics())
    create(client)
    first = execute(client, services)
    for folder in (services.settings.data).rglob(first["run_id"]):
        shutil.rmtree(folder)

    run = execute(client, services)

    assert [one["cluster_id"] for one in run["centroids"]] == ["cl_3", "cl_4", "cl_5"]
    assert any(first["run_id"] in warning and "gone" in warning for warning in run["warnings"])
