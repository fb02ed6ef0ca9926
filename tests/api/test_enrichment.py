"""Enrichment that is interrupted, repeated or superseded, or runs while users edit the same documents."""

from typing import Any

import httpx
import pytest

from api.conftest import Clock
from cluster_steps import carry_out, create, execute, grouped_documents, put_documents, vector_body
from shoal.assemble import Services
from shoal.records.clusters.cluster import Cluster
from shoal.records.clusters.requests import EnrichmentMapping, SourceEnrichment
from shoal.records.runs.execution import Execution
from shoal.records.scope import Scope
from shoal.runs import enrichment


class Crash(BaseException):
    """An exception that no error handler catches."""


@pytest.fixture(autouse=True)
def documents(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty documents, enriched ten at a time."""
    monkeypatch.setattr(enrichment, "_BATCH", 10)
    put_documents(client, grouped_documents(60))


def scope_of(services: Services) -> Scope:
    organization = Scope(services.keys.organizations()[0].organization_id)
    return services.namespaces.scope(organization, None)


def stored(client: httpx.Client) -> dict[str, dict[str, Any]]:
    found = client.get("/collections/docs/documents?limit=1000").json()["results"]
    return {document["document_id"]: document for document in found}


def enriched(client: httpx.Client) -> set[str]:
    return {id for id, document in stored(client).items() if "cluster_id" in document}


def run_of(client: httpx.Client, services: Services) -> tuple[Scope, Cluster, Execution]:
    scope = scope_of(services)
    cluster = services.clusters.get(scope, "groups")
    run = services.executions.latest(scope, "groups")
    assert run is not None
    return scope, cluster, run


def stop_after(batches: int) -> Any:
    seen = 0

    def after_batch(_: float) -> None:
        nonlocal seen
        seen += 1
        if seen == batches:
            raise Crash

    return after_batch


def test_enrichment_resumes_where_it_stopped_and_reports_its_progress(client: httpx.Client, services: Services) -> None:
    create(client, enrich_source_collection=True)
    client.post("/clusters/groups/execute").raise_for_status()
    done: list[float] = []

    def stop(stage: str, fraction: float) -> None:
        if stage == "enrich" and fraction > 0:
            done.append(fraction)
            if len(done) == 3:
                raise Crash

    with pytest.raises(Crash):
        carry_out(services, stop)

    assert len(enriched(client)) == 30
    progress = client.get("/clusters/groups/executions").json()["enrichment"]
    assert progress == [{"collection_id": client.get("/collections/docs").json()["collection_id"], "documents": 60,
                     "done": 30, "enriched": 30, "finished": False}]  # fmt: skip
    (job_id,) = [client.get("/clusters/groups/executions").json()["run_id"]]
    job = services.metadata.get_job(scope_of(services), job_id)
    assert job is not None and services.metadata.requeue(job_id, job.fence)
    carry_out(services)

    run = client.get("/clusters/groups/executions").json()
    assert (run["status"], run["enriched_documents"], len(enriched(client))) == ("completed", 60, 60)
    assert run["enrichment"][0]["finished"] is True


def test_concurrent_edits_by_users_are_kept(client: httpx.Client, services: Services) -> None:
    create(client)
    execute(client, services)
    scope, cluster, run = run_of(client, services)
    with pytest.raises(Crash):
        services.enrichment.enrich(scope, cluster, run, stop_after(3))

    client.patch("/collections/docs/documents/d0000", json={"cluster_label": "mine", "note": "a"}).raise_for_status()
    client.patch("/collections/docs/documents/d0059", json={"note": "b"}).raise_for_status()
    services.enrichment.enrich(scope, cluster, run)

    found = stored(client)
    assert (found["d0000"]["cluster_label"], found["d0000"]["note"]) == ("mine", "a")
    assert (found["d0059"]["cluster_id"], found["d0059"]["note"]) == (found["d0056"]["cluster_id"], "b")


def test_repeating_enrichment_changes_no_document_and_gives_the_same_response(
    client: httpx.Client, services: Services, clock: Clock
) -> None:
    create(client)
    execute(client, services)
    body = {"clustering_ids": ["groups"], "source_collection_id": "docs"}
    first = client.post("/clusters/enrich", json=body).json()
    before = stored(client)
    clock.forward(minutes=1)

    assert client.post("/clusters/enrich", json=body).json() == first
    assert stored(client) == before
    assert first["enriched"] == 60


def test_repeating_enrichment_restores_values_changed_since(client: httpx.Client, services: Services) -> None:
    create(client)
    execute(client, services)
    body = {"clustering_ids": ["groups"], "source_collection_id": "docs"}
    client.post("/clusters/enrich", json=body).raise_for_status()
    wanted = stored(client)["d0001"]["cluster_id"]
    put_documents(client, grouped_documents(60)[1:2])
    assert "cluster_id" not in stored(client)["d0001"]

    client.post("/clusters/enrich", json=body).raise_for_status()

    assert stored(client)["d0001"]["cluster_id"] == wanted


def test_user_labels_are_the_ones_written(client: httpx.Client, services: Services) -> None:
    create(client)
    run = execute(client, services)
    body = {"clustering_ids": ["groups"], "source_collection_id": "docs"}
    client.post("/clusters/enrich", json=body).raise_for_status()
    client.patch(
        f"/clusters/groups/executions/{run['run_id']}/labels", json={"labels": {"cl_0": "Luggage"}}
    ).raise_for_status()

    client.post("/clusters/enrich", json=body).raise_for_status()

    labels = {document["cluster_label"] for document in stored(client).values() if document["cluster_id"] == "cl_0"}
    assert labels == {"Luggage"}


def test_an_earlier_run_never_overwrites_a_later_one(client: httpx.Client, services: Services, clock: Clock) -> None:
    create(client)
    execute(client, services)
    scope, cluster, earlier = run_of(client, services)
    with pytest.raises(Crash):
        services.enrichment.enrich(scope, cluster, earlier, stop_after(3))
    clock.forward(minutes=1)
    later = execute(client, services)
    body = {"clustering_ids": ["groups"], "source_collection_id": "docs"}
    client.post("/clusters/enrich", json=body).raise_for_status()
    before = stored(client)

    with pytest.raises(Exception, match=f"hold the results of a later run, {later['run_id']}"):
        services.enrichment.enrich(scope, cluster, earlier)

    assert stored(client) == before


def test_documents_of_several_features_are_counted_once(client: httpx.Client, services: Services) -> None:
    documents = grouped_documents(40)
    for row, document in enumerate(documents):
        document["vectors"]["w"] = [float(row % 2), 1.0]
    for row in range(5):
        del documents[row]["vectors"]["v"]
    client.delete("/collections/docs").raise_for_status()
    put_documents(client, documents)
    two = {"feature_uris": ["v", "w"], "multi_feature_strategy": "independent"}
    create(client, config=two, enrich_source_collection=True)

    run = execute(client, services)

    assert (run["status"], run["enriched_documents"]) == ("completed", 40)
    assert {"cluster_id_v", "cluster_id_w"} <= stored(client)["d0039"].keys()
    assert "cluster_id_v" not in stored(client)["d0000"]


def test_two_enrichments_with_the_same_results_can_run_concurrently(client: httpx.Client, services: Services) -> None:
    """The run itself, and a caller who requests the same enrichment at the same time."""
    create(client)
    execute(client, services)
    scope, cluster, run = run_of(client, services)
    others: list[int] = []

    def meanwhile(_: float) -> None:
        if not others:
            others.append(0)
            others[0] = services.enrichment.enrich(scope, cluster, run)

    assert services.enrichment.enrich(scope, cluster, run, meanwhile) == 60
    assert others == [60]
    assert len(enriched(client)) == 60


def test_labels_changed_during_an_interruption_do_not_restart_it(client: httpx.Client, services: Services) -> None:
    create(client)
    run = execute(client, services)
    scope, cluster, before = run_of(client, services)
    with pytest.raises(Crash):
        services.enrichment.enrich(scope, cluster, before, stop_after(3))
    client.patch("/collections/docs/documents/d0000", json={"cluster_label": "mine"}).raise_for_status()
    labels = {"labels": {"cl_0": "Luggage"}}
    client.patch(f"/clusters/groups/executions/{run['run_id']}/labels", json=labels).raise_for_status()

    services.enrichment.enrich(*run_of(client, services))

    assert stored(client)["d0000"]["cluster_label"] == "mine"
    assert [one["finished"] for one in client.get("/clusters/groups/executions").json()["enrichment"]] == [True]


# ── values written by earlier runs ────────────────────────────────────────────────────────────────────────────────────

INSIDE = {"AND": [{"field": "side", "operator": "eq", "value": "in"}]}


def with_sides(client: httpx.Client) -> None:
    for row in range(60):
        client.patch(f"/collections/docs/documents/d{row:04d}", json={"side": "in"}).raise_for_status()


def leave(client: httpx.Client, *rows: int) -> None:
    for row in rows:
        client.patch(f"/collections/docs/documents/d{row:04d}", json={"side": "out"}).raise_for_status()


def test_a_document_that_no_longer_matches_the_filter_loses_its_cluster(
    client: httpx.Client, services: Services
) -> None:
    with_sides(client)
    create(client, enrich_source_collection=True, filters=INSIDE)
    execute(client, services)
    assert len(enriched(client)) == 60
    leave(client, *range(15))

    run = execute(client, services)

    assert enriched(client) == {f"d{row:04d}" for row in range(15, 60)}
    assert run["enriched_documents"] == 45
    assert not {"cluster_id", "cluster_label", "distance_to_centroid"} & stored(client)["d0000"].keys()
    assert stored(client)["d0000"]["side"] == "out"


def test_a_field_changed_since_then_is_not_cleared(client: httpx.Client, services: Services) -> None:
    with_sides(client)
    create(client, enrich_source_collection=True, filters=INSIDE)
    execute(client, services)
    leave(client, 0, 1)
    client.patch("/collections/docs/documents/d0000", json={"cluster_label": "mine"}).raise_for_status()

    execute(client, services)

    found = stored(client)
    assert found["d0000"]["cluster_label"] == "mine"
    assert "cluster_id" not in found["d0000"]
    assert "cluster_label" not in found["d0001"]


def test_values_written_to_the_same_field_by_another_cluster_are_kept(client: httpx.Client, services: Services) -> None:
    with_sides(client)
    create(client, enrich_source_collection=True, filters=INSIDE)
    create(client, name="others", enrich_source_collection=True)
    execute(client, services, "groups")
    execute(client, services, "others")
    leave(client, 0)
    before = stored(client)["d0000"]

    execute(client, services, "groups")

    after = stored(client)["d0000"]
    assert after["cluster_id"] == before["cluster_id"]
    assert after["cluster_label"] == before["cluster_label"]


def test_an_interrupted_clearing_resumes(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shoal.storage.sqlite.documents.store._CLEARED_AT_ONCE", 4)
    with_sides(client)
    create(client, enrich_source_collection=True, filters=INSIDE)
    execute(client, services)
    leave(client, *range(15))
    execute_until_cleared_twice(client, services)
    left = len(enriched(client)) - 45
    assert 0 < left < 15

    services.enrichment.enrich(*run_of(client, services))

    assert enriched(client) == {f"d{row:04d}" for row in range(15, 60)}


def execute_until_cleared_twice(client: httpx.Client, services: Services) -> None:
    real, seen = services.documents_store.clear_results, []

    def clear(*given: Any, **how: Any) -> Any:
        position = real(*given, **how)
        seen.append(position)
        if len(seen) == 2:
            raise Crash
        return position

    with pytest.MonkeyPatch.context() as stopped:
        stopped.setattr(services.documents_store, "clear_results", clear)
        with pytest.raises(Crash):
            execute(client, services)


def test_a_run_with_its_own_filter_clears_only_values_of_such_runs(client: httpx.Client, services: Services) -> None:
    with_sides(client)
    create(client, enrich_source_collection=True)
    execute(client, services)
    whole = {id: document["cluster_id"] for id, document in stored(client).items()}

    client.post("/clusters/groups/execute", json={"filters": INSIDE}).raise_for_status()
    leave(client, *range(40))
    carry_out(services)
    client.post("/clusters/groups/execute", json={"filters": INSIDE}).raise_for_status()
    carry_out(services)

    found = stored(client)
    assert all(":" in found[f"d{row:04d}"]["cluster_id"] for row in range(40, 60))
    assert {id: found[id]["cluster_id"] for id in whole if id < "d0040"} == {
        id: whole[id] for id in whole if id < "d0040"
    }


def test_deleting_a_cluster_clears_its_values_on_request(client: httpx.Client, services: Services) -> None:
    create(client, enrich_source_collection=True)
    execute(client, services)
    client.patch("/collections/docs/documents/d0000", json={"cluster_label": "mine"}).raise_for_status()

    client.delete("/clusters/groups", params={"remove_enrichment": True}).raise_for_status()

    assert enriched(client) == set()
    assert stored(client)["d0000"]["cluster_label"] == "mine"


def test_deleting_a_cluster_keeps_its_values_by_default(client: httpx.Client, services: Services) -> None:
    create(client, enrich_source_collection=True)
    execute(client, services)

    client.delete("/clusters/groups").raise_for_status()

    assert len(enriched(client)) == 60


def test_renamed_fields_replace_the_earlier_ones(client: httpx.Client, services: Services) -> None:
    mapped = {"field_mappings": [{"source_field": "cluster_id", "target_field": "about.group"}]}
    create(client, enrich_source_collection=True, source_enrichment_config=mapped)
    execute(client, services)
    assert stored(client)["d0000"]["about"]["group"].startswith("cl_")
    scope, cluster, _ = run_of(client, services)
    renamed = [EnrichmentMapping(source_field="cluster_id", target_field="topic")]
    services.states.clusters.change(
        scope,
        cluster.cluster_id,
        lambda one: one.with_changes(source_enrichment_config=SourceEnrichment(field_mappings=renamed)),
    )

    execute(client, services)

    assert all("topic" in document and "about" not in document for document in stored(client).values())


def test_a_removed_source_is_cleared(client: httpx.Client, services: Services) -> None:
    put_documents(client, grouped_documents(20), "more")
    body = vector_body(enrich_source_collection=True) | {"collection_ids": ["docs", "more"]}
    client.post("/clusters", json=body).raise_for_status()
    execute(client, services)
    scope, cluster, _ = run_of(client, services)
    services.states.clusters.change(
        scope,
        cluster.cluster_id,
        lambda one: one.with_changes(input_collections=one.input_collections[:1]),
    )

    execute(client, services)

    more = client.get("/collections/more/documents?limit=1000").json()["results"]
    assert all("cluster_id" not in document for document in more)
    assert len(enriched(client)) == 60


def test_the_next_run_is_still_the_later_one_after_the_clock_was_set_back(
    client: httpx.Client, services: Services, clock: Clock
) -> None:
    create(client, enrich_source_collection=True)
    execute(client, services)
    clock.forward(days=-400)

    run = execute(client, services)

    assert (run["status"], run["enriched_documents"], run["sequence"]) == ("completed", 60, 2)
    assert client.get("/clusters/groups/executions").json()["run_id"] == run["run_id"]
    assert client.post("/clusters/groups/executions/list", json={}).json()["results"][0]["run_id"] == run["run_id"]


def test_two_clusters_that_write_to_the_same_document_fields_warn(client: httpx.Client, services: Services) -> None:
    def apart(field: str) -> dict[str, Any]:
        return {"field_mappings": [{"source_field": "cluster_label", "target_field": field}]}

    first = create(client, enrich_source_collection=True)
    second = create(client, enrich_source_collection=True, name="fine")
    create(client, name="output")
    others = [
        create(client, enrich_source_collection=True, name=name, source_enrichment_config=apart(field))
        for name, field in (("own", "topic.label"), ("inside", "topic"), ("like", "topics"))
    ]
    put_documents(client, grouped_documents(30), "elsewhere")
    body = vector_body(name="elsewhere", enrich_source_collection=True) | {"collection_ids": ["elsewhere"]}
    elsewhere = client.post("/clusters", json=body).json()

    run = execute(client, services)
    task = client.get(f"/tasks/{run['task_id']}").json()

    assert (first["warnings"], elsewhere["warnings"]) == ([], [])
    (warning,) = second["warnings"]
    assert warning.startswith("cluster_id, cluster_label, distance_to_centroid: the cluster 'groups' writes into")
    assert "source_enrichment_config" in warning
    (again,) = run["warnings"]
    assert again == warning.replace("'groups'", "'fine'")
    assert again in task["additional_data"]["warnings"]
    assert [[text.partition(" writes")[0] for text in one["warnings"]] for one in others] == [
        [],
        ["topic: the cluster 'own'"],
        [],
    ]


def test_independent_features_have_their_own_fields_beside_those_of_another_cluster(client: httpx.Client) -> None:
    rows = grouped_documents(60)
    put_documents(client, [{**one, "vectors": {**one["vectors"], "w": one["vectors"]["v"][::-1]}} for one in rows])
    create(client, enrich_source_collection=True)
    config = {"multi_feature_strategy": "independent", "feature_uris": ["v", "w"]}
    one = create(client, enrich_source_collection=True, name="one", config=config)

    two = create(client, enrich_source_collection=True, name="two", config=config)

    assert one["warnings"] == []
    assert [text.partition(":")[0] for text in two["warnings"]] == [
        "cluster_id_v, cluster_id_w, cluster_label_v and 3 more"
    ]
