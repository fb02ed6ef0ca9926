"""The fields from which the clusters of a run are named: requested, or chosen and reported."""

from typing import Any

import httpx
import pytest

from cluster_steps import create, execute, grouped_documents, put_documents
from shoal import deadline
from shoal.assemble import Services
from shoal.errors import OutOfTime
from shoal.records.queries.filters import Condition
from shoal.records.scope import Scope
from shoal.storage.protocols.records import Query
from shoal.storage.sqlite.documents.store import SqliteDocuments

ANIMALS, TOOLS = ("lion", "zebra", "heron"), ("hammer", "pliers", "chisel")


@pytest.fixture(autouse=True)
def documents(client: httpx.Client) -> None:
    made = grouped_documents(60)
    for one in made:
        kind = "abc".index(one["payload"]["kind"])
        one["payload"] |= {
            "animal": f"a {ANIMALS[kind]} in the {one['payload']['row']}th zoo that we have seen",
            "nested": {"tool": f"the {TOOLS[kind]} of number {one['payload']['row']}"},
        }
    put_documents(client, made)


def labels(run: dict[str, Any]) -> set[str]:
    return {word for one in run["centroids"] for word in one["label"].lower().split()}


def test_a_cluster_is_named_from_the_requested_fields(client: httpx.Client, services: Services) -> None:
    made = create(client, text_fields=["nested.tool"])

    run = execute(client, services)

    assert made["text_fields"] == ["nested.tool"]
    assert run["text_fields"] == ["nested.tool"]
    assert set(TOOLS) <= labels(run)
    assert not set(ANIMALS) & labels(run)


def test_fields_requested_for_one_run_do_not_affect_the_next_one(client: httpx.Client, services: Services) -> None:
    create(client, text_fields=["nested.tool"])

    run = execute(client, services, text_fields=["animal"])
    after = execute(client, services)

    assert run["text_fields"] == ["animal"] and set(ANIMALS) <= labels(run)
    assert after["text_fields"] == ["nested.tool"] and set(TOOLS) <= labels(after)


def test_the_inputs_of_a_run_apply_only_to_that_run(client: httpx.Client, services: Services) -> None:
    create(client)
    inputs = {"input_mappings": [{"input_key": "t", "source_type": "payload", "path": "nested.tool"}]}

    run = execute(client, services, llm_labeling={"enabled": False, "labeling_inputs": inputs})

    assert run["text_fields"] == ["nested.tool"]
    assert set(TOOLS) <= labels(run)


def test_chosen_fields_are_reported(client: httpx.Client, services: Services) -> None:
    create(client)

    run = execute(client, services)

    assert "animal" in run["text_fields"]
    assert "kind" not in run["text_fields"]


@pytest.mark.parametrize("body", [["anmal"], ["animal", "tool"], ["metadata.x"]])
def test_a_field_that_no_document_has_is_rejected_with_the_existing_ones(client: httpx.Client, body: list[str]) -> None:
    create(client)
    config = {"feature_uris": ["v"], "clustering_method": "kmeans"}
    new = {"collection_ids": ["docs"], "cluster_name": "other", "vector_config": config, "text_fields": body}

    replies = [
        client.post("/clusters", json=new),
        client.patch("/clusters/groups", json={"text_fields": body}),
        client.post("/clusters/groups/execute", json={"text_fields": body}),
    ]

    for reply in replies:
        assert reply.status_code == 422, reply.text
        assert body[-1] in reply.text
        assert "nested.tool" in reply.text


@pytest.mark.parametrize("body", [[], [""], "animal", [1], ["a"] * 21])
def test_an_invalid_list_of_fields_is_rejected(client: httpx.Client, body: object) -> None:
    create(client)

    reply = client.post("/clusters/groups/execute", json={"text_fields": body})

    assert reply.status_code == 422
    assert "text_fields" in reply.text


def test_a_change_selects_other_fields_and_null_lets_the_server_choose(
    client: httpx.Client, services: Services
) -> None:
    create(client, text_fields=["animal"])

    changed = client.patch("/clusters/groups", json={"text_fields": ["nested.tool"]}).json()
    run = execute(client, services)
    cleared = client.patch("/clusters/groups", json={"text_fields": None}).json()

    assert changed["text_fields"] == ["nested.tool"] == run["text_fields"]
    assert cleared["text_fields"] is None


def test_fields_of_an_empty_collection_are_unknown_and_not_rejected(client: httpx.Client) -> None:
    client.post("/collections", json={"collection_name": "empty", "source": {"type": "direct_upsert"}})
    config = {"feature_uris": ["v"], "clustering_method": "kmeans"}

    reply = client.post(
        "/clusters",
        json={"collection_ids": ["empty"], "cluster_name": "e", "vector_config": config, "text_fields": ["later"]},
    )

    assert reply.status_code == 200, reply.text


def test_a_run_that_assigns_has_no_text_fields(client: httpx.Client, services: Services) -> None:
    create(client)
    execute(client, services)

    reply = client.post("/clusters/groups/execute", json={"mode": "assign", "text_fields": ["animal"]})

    assert reply.status_code == 422
    assert "assign" in reply.text


def test_a_field_of_a_single_document_far_from_the_first_is_found(client: httpx.Client) -> None:
    rows = grouped_documents(400)
    rows[213]["payload"]["motto"] = "seen once"
    put_documents(client, rows, "many")
    config = {"feature_uris": ["v"], "clustering_method": "kmeans"}
    body = {"collection_ids": ["many"], "vector_config": config}

    known = client.post("/clusters", json=body | {"cluster_name": "a", "text_fields": ["motto"]})
    typo = client.post("/clusters", json=body | {"cluster_name": "b", "text_fields": ["txet"]})

    assert (known.status_code, typo.status_code) == (200, 422)
    assert "Did you mean 'text'?" in typo.json()["error"]["message"]


def test_a_search_for_a_field_that_takes_too_long_is_abandoned_with_a_warning(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def long(*_: Any, **__: Any) -> None:
        raise OutOfTime(1.0)

    find = services.documents_store.find
    monkeypatch.setattr(
        services.documents_store,
        "find",
        lambda scope, key, query, **more: find(scope, key, query, **more) if query.page.limit > 1 else long(),
    )

    made = create(client, text_fields=["txet"])

    (warning,) = made["warnings"]
    assert warning.startswith("None of the sampled documents has the field 'txet'")
    assert "Did you mean 'text'?" in warning


def test_each_run_warns_about_a_field_that_no_document_has_any_more(client: httpx.Client, services: Services) -> None:
    client.post("/collections", json={"collection_name": "later", "source": {"type": "direct_upsert"}})
    create(client, name="early", text_fields=["txt"], collection_ids=["later"])
    put_documents(client, grouped_documents(60), "later")

    first, second = execute(client, services, "early"), execute(client, services, "early")

    for run in (first, second):
        assert any("'txt'" in warning and "Did you mean 'text'?" in warning for warning in run["warnings"])


def test_each_run_warns_about_an_input_that_no_document_has(client: httpx.Client, services: Services) -> None:
    inputs = {"input_mappings": [{"input_key": "t", "source_type": "payload", "path": "nested.tol"}]}
    made = create(client, llm_labeling={"enabled": False, "labeling_inputs": inputs})

    run = execute(client, services)

    for warnings in (made["warnings"], run["warnings"]):
        assert any("Did you mean 'nested.tool'?" in warning for warning in warnings)


def test_all_fields_are_searched_for_under_one_shared_deadline(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = list[float]()
    find = SqliteDocuments.find

    def noted(store: SqliteDocuments, scope: Scope, collection: str, query: Query) -> Any:
        if isinstance(query.filter, Condition):
            ends.append(deadline._end.get()[0])
        return find(store, scope, collection, query)

    monkeypatch.setattr(SqliteDocuments, "find", noted)
    mappings = [{"input_key": name, "path": name} for name in ("one", "two", "three")]
    create(client, llm_labeling={"labeling_inputs": {"input_mappings": mappings}})

    assert len(ends) == 3 and len(set(ends)) == 1
