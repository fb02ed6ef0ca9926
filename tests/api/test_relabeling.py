"""Changes of labels by users, and how they reach documents that hold the previous labels."""

import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from api.conftest import Clock
from api.test_enrichment import scope_of, stored
from cluster_steps import create, execute, grouped_documents, put_documents
from shoal.assemble import Services
from shoal.errors import Unavailable
from shoal.runs import relabeling
from shoal.storage.protocols.records import Query


@pytest.fixture(autouse=True)
def documents(client: httpx.Client) -> None:
    put_documents(client, grouped_documents(60))


def relabel(client: httpx.Client, run: dict[str, Any], **labels: str) -> dict[str, Any]:
    reply = client.patch(f"/clusters/{run['cluster_id']}/executions/{run['run_id']}/labels", json={"labels": labels})
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def give(services: Services, run: dict[str, Any], **labels: str) -> None:
    """Make a concurrent call in the middle of an operation."""
    services.executions.relabel(scope_of(services), run["cluster_id"], run["run_id"], labels)


def at_the_flip(services: Services, patched: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Act when a run has written everything and is about to be published."""
    publish = services.states.publish

    def acted(*given: Any, **more: Any) -> None:
        act()
        publish(*given, **more)

    patched.setattr(services.states, "publish", acted)


def on_record(services: Services) -> list[Any]:
    return list(services.metadata.find(scope_of(services), "relabeling", Query()).items)


def links_of(client: httpx.Client, name: str, cluster_id: str) -> set[str]:
    """The labels of a cluster in the relationships of clusters."""
    links = client.get(f"/clusters/{name}").json()["hierarchy_relationships"]
    ends = [(link[f"{end}_cluster_id"], link[f"{end}_label"]) for link in links for end in ("parent", "child")]
    return {label for id, label in ends if id == cluster_id}


def labels_of(client: httpx.Client, cluster_id: str, field: str = "cluster_label") -> set[str]:
    return {one[field] for one in stored(client).values() if one["cluster_id"] == cluster_id}


def test_enriched_documents_have_the_new_label_when_the_call_returns(client: httpx.Client, services: Services) -> None:
    create(client, enrich_source_collection=True)
    run = execute(client, services)
    before = stored(client)
    inside = [id for id, one in before.items() if one["cluster_id"] == "cl_0"]

    answer = relabel(client, run, cl_0="Parcels")

    assert (answer["documents_relabelled"], answer["warnings"]) == (len(inside), [])
    after = stored(client)
    assert {id for id, one in after.items() if one != before[id]} == set(inside)
    assert {after[id]["cluster_label"] for id in inside} == {"Parcels"}
    relabel(client, run, cl_0="")
    assert labels_of(client, "cl_0") == {before[inside[0]]["cluster_label"]}


def test_a_label_edited_by_hand_in_a_document_is_kept(client: httpx.Client, services: Services) -> None:
    create(client, enrich_source_collection=True)
    run = execute(client, services)
    id = next(id for id, one in stored(client).items() if one["cluster_id"] == "cl_0")
    client.patch(f"/collections/docs/documents/{id}", json={"cluster_label": "By hand"}).raise_for_status()

    relabel(client, run, cl_0="Parcels")

    assert labels_of(client, "cl_0") == {"Parcels", "By hand"}
    assert stored(client)[id]["cluster_label"] == "By hand"


def test_labels_written_later_by_another_cluster_are_kept(
    client: httpx.Client, services: Services, clock: Clock
) -> None:
    create(client, enrich_source_collection=True)
    create(client, enrich_source_collection=True, cluster_name="others")
    run = execute(client, services)
    clock.forward(minutes=1)
    later = execute(client, services, "others")
    before = stored(client)

    answer = relabel(client, run, cl_0="Parcels")

    assert answer["documents_relabelled"] == 0
    assert stored(client) == before
    relabel(client, later, cl_0="Letters")
    assert labels_of(client, "cl_0") == {"Letters"}
    clock.forward(minutes=1)
    run = execute(client, services)
    assert labels_of(client, "cl_0") == {"Parcels"}
    relabel(client, run, cl_0="Boxes")
    assert labels_of(client, "cl_0") == {"Boxes"}


def test_values_of_a_document_that_lost_its_cluster_are_cleared_by_the_next_run(
    client: httpx.Client, services: Services, clock: Clock
) -> None:
    create(client, enrich_source_collection=True)
    run = execute(client, services)
    relabel(client, run, cl_0="Parcels")
    clock.forward(minutes=1)

    client.patch("/clusters/groups", json={"filters": {"even": True}}).raise_for_status()
    execute(client, services)

    odd = [one for one in stored(client).values() if not one["even"]]
    assert odd
    assert not any("cluster_label" in one or "cluster_id" in one for one in odd)


def test_mapped_fields_and_output_documents_follow_a_new_label(client: httpx.Client, services: Services) -> None:
    mapping = {"field_mappings": [{"source_field": "cluster_label", "target_field": "topic.name"}]}
    create(client, enrich_source_collection=True, source_enrichment_config=mapping)
    create(client, name="apart")
    first, second = execute(client, services), execute(client, services, "apart")

    relabel(client, first, cl_0="Parcels")
    path = f"/clusters/apart/executions/{second['run_id']}/labels"
    answer = client.patch(path, json={"labels": {"cl_1": "Music"}}).json()

    names = [one["topic"]["name"] for one in stored(client).values()]
    assert names.count("Parcels") == 20
    output = client.get("/clusters/apart").json()["output_collection_ids"][0]
    rows = client.get(f"/collections/{output}/documents?limit=1000").json()["results"]
    assert [one["cluster_label"] for one in rows if one["cluster_id"] == "cl_1"] == ["Music"] * 21
    assert answer["documents_relabelled"] == 21
    assert "Music" not in [one["cluster_label"] for one in rows if one["cluster_id"] != "cl_1"]


def test_labels_of_independent_features_reach_the_fields_of_their_feature(
    client: httpx.Client, services: Services
) -> None:
    for one in (rows := grouped_documents(60)):
        one["vectors"]["w"] = one["vectors"]["v"][::-1]
    put_documents(client, rows)
    config = {"multi_feature_strategy": "independent", "feature_uris": ["v", "w"]}
    create(client, enrich_source_collection=True, config=config)
    run = execute(client, services)
    second = next(one["cluster_id"] for one in run["centroids"] if one["feature"] == "w")

    relabel(client, run, **{second: "Parcels"})

    found = stored(client).values()
    assert {one["cluster_label_w"] for one in found if one["cluster_id_w"] == second} == {"Parcels"}
    assert "Parcels" not in {one["cluster_label_v"] for one in found}


def test_many_documents_are_updated_after_the_response_which_says_so(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relabeling, "_FOLLOW_AT_ONCE", 10)
    create(client, enrich_source_collection=True)
    run = execute(client, services)

    answer = relabel(client, run, cl_0="Parcels")

    assert (answer["documents_relabelled"], labels_of(client, "cl_0") == {"Parcels"}) == (0, False)
    assert answer["warnings"] == ["20 documents hold these labels; they are updated within some minutes."]
    services.housekeeping.tidy()
    assert labels_of(client, "cl_0") == {"Parcels"}


def test_an_interrupted_relabelling_is_completed_with_the_newest_labels(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relabeling, "_BATCH", 5)
    create(client, enrich_source_collection=True)
    run = execute(client, services)
    rewrite, calls = services.documents_store.rewrite_results, []

    def broken(*given: Any, **more: Any) -> int:
        calls.append(given)
        if len(calls) == 3:
            raise Unavailable("The store does not answer.")
        return rewrite(*given, **more)

    with monkeypatch.context() as failing:
        failing.setattr(services.documents_store, "rewrite_results", broken)
        assert relabel(client, run, cl_0="Parcels")["warnings"]
    assert "Parcels" in labels_of(client, "cl_0") != {"Parcels"}

    relabel(client, run, cl_1="Music")

    assert (labels_of(client, "cl_0"), labels_of(client, "cl_1")) == ({"Parcels"}, {"Music"})
    before = stored(client)
    services.housekeeping.tidy()
    assert stored(client) == before
    assert on_record(services) == []


@pytest.mark.parametrize("postponed", [False, True])
def test_the_newer_of_two_concurrent_labels_is_in_the_documents(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch, postponed: bool
) -> None:
    create(client, enrich_source_collection=True)
    run = execute(client, services)
    rewrite, calls = services.documents_store.rewrite_results, []

    def overtaken(*given: Any, **more: Any) -> int:
        calls.append(given)
        if len(calls) == 1:
            with monkeypatch.context() as second:
                second.setattr(relabeling, "_FOLLOW_AT_ONCE", 0 if postponed else 20_000)
                give(services, run, cl_0="Second", cl_1="Music")
            assert bool(on_record(services)) is postponed
        return rewrite(*given, **more)

    monkeypatch.setattr(services.documents_store, "rewrite_results", overtaken)
    relabel(client, run, cl_0="First")

    assert (labels_of(client, "cl_0"), labels_of(client, "cl_1")) == ({"Second"}, {"Music"})
    assert on_record(services) == []


def test_a_label_of_a_run_that_was_just_replaced_stays_with_that_run(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(client, config={"hierarchical": True})
    first = execute(client, services)
    own = next(one["cluster_id"] for one in first["centroids"] if one["parent_cluster_id"])
    check = services.executions._relabelings._check
    newer: list[dict[str, Any]] = []

    def late(*given: Any) -> Any:
        if not newer:
            newer.append({})
            newer[0] = execute(client, services)
            give(services, newer[0], **{own: "New run"})
        return check(*given)

    monkeypatch.setattr(services.executions._relabelings, "_check", late)
    answer = relabel(client, first, **{own: "Old run"})

    assert links_of(client, "groups", own) == {"New run"}
    assert answer["warnings"] == [
        f"Run {first['run_id']} is not the visible one; {newer[0]['run_id']} keeps its labels."
    ]


def test_few_documents_are_updated_only_after_those_left_by_an_earlier_call(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relabeling, "_FOLLOW_AT_ONCE", 30)
    create(client, enrich_source_collection=True)
    run = execute(client, services)
    assert relabel(client, run, cl_0="Parcels", cl_1="Music")["documents_relabelled"] == 0

    answer = relabel(client, run, cl_2="Credit")

    assert answer["documents_relabelled"] == 0
    assert answer["warnings"] == ["60 documents hold these labels; they are updated within some minutes."]
    services.housekeeping.tidy()
    assert [labels_of(client, id) for id in ("cl_0", "cl_1", "cl_2")] == [{"Parcels"}, {"Music"}, {"Credit"}]
    assert relabel(client, run, cl_2="Loans")["documents_relabelled"] == 20


@pytest.mark.parametrize("enriches", [True, False])
def test_if_the_results_are_missing_the_response_and_the_log_say_that_documents_are_unchanged(
    client: httpx.Client, services: Services, caplog: pytest.LogCaptureFixture, enriches: bool
) -> None:
    create(client, enrich_source_collection=enriches)
    run = execute(client, services)
    services.artifacts.delete(scope_of(services), run["run_id"])

    with caplog.at_level(logging.WARNING, "shoal.relabeling"):
        answer = relabel(client, run, cl_0="Parcels")

    assert (answer["documents_relabelled"], answer["label_overrides"]) == (0, {"cl_0": "Parcels"})
    assert [text.partition(",")[0] for text in answer["warnings"]] == [
        f"The results of run {run['run_id']} were removed or are damaged"
    ]
    assert "relabeling.results_gone" in caplog.messages
    assert on_record(services) == []


def test_a_label_set_after_the_next_run_has_written_its_output_reaches_that_output(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(client, config={"hierarchical": True})
    first = execute(client, services)
    own = next(one["cluster_id"] for one in first["centroids"] if one["parent_cluster_id"])
    relabel(client, first, **{own: "Earlier"})
    at_the_flip(services, monkeypatch, lambda: give(services, first, **{own: "Parcels"}))

    run = execute(client, services)

    assert run["label_overrides"] == {own: "Parcels"}
    output = client.get("/clusters/groups").json()["output_collection_ids"][0]
    rows = client.get(f"/collections/{output}/documents?limit=1000").json()["results"]
    assert {one["cluster_label"] for one in rows if one["cluster_id"] == own} == {"Parcels"}
    assert links_of(client, "groups", own) == {"Parcels"}


def test_a_label_removed_after_the_next_run_has_written_its_output_is_removed_there_too(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(client, config={"hierarchical": True})
    first = execute(client, services)
    own, made = next((one["cluster_id"], one["label"]) for one in first["centroids"] if one["parent_cluster_id"])
    relabel(client, first, **{own: "Earlier"})
    at_the_flip(services, monkeypatch, lambda: give(services, first, **{own: ""}))

    execute(client, services)

    output = client.get("/clusters/groups").json()["output_collection_ids"][0]
    rows = client.get(f"/collections/{output}/documents?limit=1000").json()["results"]
    assert {one["cluster_label"] for one in rows if one["cluster_id"] == own} == {made}
    assert links_of(client, "groups", own) == {made}


def test_a_cluster_missing_from_the_run_is_rejected_with_the_nearest(client: httpx.Client, services: Services) -> None:
    create(client)
    run = execute(client, services)

    path = f"/clusters/groups/executions/{run['run_id']}/labels"
    reply = client.patch(path, json={"labels": {"cl0": "Parcels"}})

    assert reply.status_code == 422
    assert "Did you mean 'cl_0'?" in reply.json()["error"]["message"]
