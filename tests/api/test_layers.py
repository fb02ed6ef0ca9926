"""The layers that `auto` finds, as seen by an API client: named, nested, and stable across reruns."""

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster_steps import create, execute, put_documents
from shoal import demo_data
from shoal.assemble import Services

pytestmark = pytest.mark.slow

SAMPLE = Path(demo_data.__file__).parent / "clinc150-sample.parquet"


def documents(first: int = 0, step: int = 6, *, text: bool = True) -> list[dict[str, Any]]:
    """A regular sample of the demo's questions to a voice assistant."""
    rows = pq.read_table(SAMPLE).to_pylist()[first::step]
    return [
        {
            "document_id": row["id"],
            "vectors": {"v": [round(x, 3) for x in row["embedding"]], "w": row["embedding"][:48]},
            "payload": {"text": row["text"]} if text else {"intent": len(row["intent"])},
        }
        for row in rows
    ]


def store(client: httpx.Client, made: list[dict[str, Any]]) -> None:
    for start in range(0, len(made), 50):
        put_documents(client, made[start : start + 50])


def layers(client: httpx.Client) -> list[dict[str, Any]]:
    reply = client.get("/clusters/groups/groups")
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["layers"]
    return found


def table(client: httpx.Client, run: dict[str, Any], name: str) -> pa.Table:
    reply = client.get(f"/clusters/groups/executions/{run['run_id']}/download?table={name}")
    assert reply.status_code == 200, reply.text
    return pq.read_table(io.BytesIO(reply.content))


def clusters(client: httpx.Client, run: dict[str, Any], among: set[str]) -> dict[tuple[str, frozenset[str]], set[str]]:
    """Cluster ids by their prefix, and by those of their documents that are `among` the given ones."""
    found: dict[tuple[str, frozenset[str]], set[str]] = {}
    rows = table(client, run, "layers")
    documents = rows["document_id"].to_pylist()
    for name in rows.column_names[1:]:
        members: dict[str, set[str]] = {}
        for document, id in zip(documents, rows[name].to_pylist(), strict=True):
            if id is not None and document in among:
                members.setdefault(id, set()).add(document)
        for id, own in members.items():
            found.setdefault((id.partition("_")[0], frozenset(own)), set()).add(id)
    return found


def test_groups_are_returned_with_the_layers_above_and_below_them(client: httpx.Client, services: Services) -> None:
    store(client, documents())
    create(client, method="auto")

    run = execute(client, services)

    found = layers(client)
    groups = client.get("/clusters/groups/groups").json()["groups"]
    chosen = next(layer for layer in found if layer["chosen"])
    assert [layer["layer"] for layer in found] == list(range(len(run["layers"]["clusters"])))
    assert [len(layer["groups"]) for layer in found] == run["layers"]["clusters"]
    assert len(found) > 1
    assert [(one["cluster_id"], one["label"], one["member_count"]) for one in chosen["groups"]] == [
        (one["cluster_id"], one["label"], one["member_count"]) for one in groups
    ]
    for above, below in pairwise(found):
        ids = {one["cluster_id"] for one in above["groups"]}
        assert {one["parent_cluster_id"] for one in below["groups"]} <= ids
    broad = [layer for layer in found if layer["layer"] <= chosen["layer"]]
    assert all(one["keywords"] and one["label"] for layer in broad for one in layer["groups"])
    for layer in found:
        labels = [one["label"].casefold() for one in layer["groups"]]
        assert len(set(labels)) == len(labels)


def test_the_tables_of_layers_can_be_joined_by_id(client: httpx.Client, services: Services) -> None:
    store(client, documents())
    create(client, method="auto")

    run = execute(client, services)

    rows, clusters = table(client, run, "layers"), table(client, run, "hierarchy").to_pylist()
    for number, name in enumerate(rows.column_names[1:]):
        ids = rows[name].to_pylist()
        own = [one for one in clusters if one["layer"] == number]
        assert {one["cluster_id"]: one["size"] for one in own} == {id: ids.count(id) for id in set(ids) - {None}}
        assert all(one["examples"] and one["representative_ids"] for one in own)


@pytest.mark.parametrize("text", [True, False])
def test_a_cluster_in_a_layer_keeps_its_id_while_it_keeps_its_documents(
    client: httpx.Client, services: Services, text: bool
) -> None:
    store(client, documents(text=text))
    create(client, method="auto")
    first = execute(client, services)
    among = {one["document_id"] for one in documents()}
    before = clusters(client, first, among)
    store(client, documents(1, 60, text=text))

    second = execute(client, services)

    after = clusters(client, second, among)
    same = [key for key in before if key in after]
    kept = [key for key in same if before[key] & after[key]]
    assert {"broad", "cl"} <= {series for series, _ in same}
    assert len(kept) >= 0.9 * len(same)
    ids = {id for own in after.values() for id in own}
    assert len([id for own in after.values() for id in own]) == len(ids)
    assert second["next_numbers"].keys() == first["next_numbers"].keys()


def test_rerunning_on_the_same_documents_gives_the_same_ids_in_every_layer(
    client: httpx.Client, services: Services
) -> None:
    store(client, documents())
    create(client, method="auto")
    first = execute(client, services)
    tables = [table(client, first, name).to_pylist() for name in ("layers", "hierarchy")]

    second = execute(client, services)

    assert [table(client, second, name).to_pylist() for name in ("layers", "hierarchy")] == tables
    assert second["next_numbers"] == first["next_numbers"]


def test_a_user_label_applies_to_the_selected_layer(client: httpx.Client, services: Services) -> None:
    store(client, documents())
    create(client, method="auto")
    run = execute(client, services)

    path = f"/clusters/groups/executions/{run['run_id']}/labels"
    client.patch(path, json={"labels": {"cl_0": "Mine"}}).raise_for_status()

    chosen = next(layer for layer in layers(client) if layer["chosen"])
    assert {one["cluster_id"]: one["label"] for one in chosen["groups"]}["cl_0"] == "Mine"
    downloaded = {one["cluster_id"]: one["label"] for one in table(client, run, "hierarchy").to_pylist()}
    assert downloaded["cl_0"] == "Mine"
    assert None not in downloaded.values()


def test_a_label_of_a_broad_group_survives_assignments_and_reruns(client: httpx.Client, services: Services) -> None:
    store(client, documents())
    create(client, method="auto")
    first = execute(client, services)
    path = f"/clusters/groups/executions/{first['run_id']}/labels"
    group = max(layers(client)[0]["groups"], key=lambda one: one["member_count"])["cluster_id"]
    assert group.startswith("broad_")

    reply = client.patch(path, json={"labels": {group: "Everything else"}})

    assert (reply.status_code, reply.json()["label_overrides"]) == (200, {group: "Everything else"})
    execute(client, services, mode="assign")
    store(client, documents(1, 60))
    run = execute(client, services)
    assert run["label_overrides"] == {group: "Everything else"}
    assert {one["cluster_id"]: one["label"] for one in layers(client)[0]["groups"]}[group] == "Everything else"
    reply = client.patch(path, json={"labels": {"broad_9999": "Nothing"}})
    assert (reply.status_code, reply.json()["error"]["details"]["field"]) == (422, "labels.broad_9999")


def test_a_cluster_identical_to_a_broad_group_passes_on_its_label(client: httpx.Client, services: Services) -> None:
    store(client, documents())
    create(client, method="auto")
    run = execute(client, services)
    rows = {one["cluster_id"]: one for one in table(client, run, "hierarchy").to_pylist()}
    whole = next(one for one in rows.values() if one["chosen"] and rows[one["parent"]]["size"] == one["size"])

    path = f"/clusters/groups/executions/{run['run_id']}/labels"
    client.patch(path, json={"labels": {whole["cluster_id"]: "Mine"}}).raise_for_status()

    labels = {one["cluster_id"]: one["label"] for layer in layers(client) for one in layer["groups"]}
    assert (labels[whole["cluster_id"]], labels[whole["parent"]]) == ("Mine", "Mine")
    same = {one["cluster_id"] for one in rows.values() if labels[one["cluster_id"]] == "Mine"}
    assert all(rows[id]["size"] == whole["size"] for id in same)


def test_a_broad_group_identical_to_a_cluster_passes_on_its_label_in_documents_too(
    client: httpx.Client, services: Services
) -> None:
    store(client, documents())
    create(client, method="auto", enrich_source_collection=True)
    run = execute(client, services)
    rows = {one["cluster_id"]: one for one in table(client, run, "hierarchy").to_pylist()}
    whole = next(one for one in rows.values() if one["chosen"] and rows[one["parent"]]["size"] == one["size"])
    path = f"/clusters/groups/executions/{run['run_id']}/labels"
    client.patch(path, json={"labels": {whole["cluster_id"]: "Mine"}}).raise_for_status()

    answer = client.patch(path, json={"labels": {whole["parent"]: "Wider"}}).json()

    assert answer["documents_relabelled"] == whole["size"]
    assert answer["label_overrides"] == {whole["parent"]: "Wider", whole["cluster_id"]: "Wider"}
    shown = {one["cluster_id"]: one["label"] for layer in layers(client) for one in layer["groups"]}
    assert (shown[whole["cluster_id"]], shown[whole["parent"]]) == ("Wider", "Wider")
    found = client.get("/collections/docs/documents?limit=1000").json()["results"]
    assert {one["cluster_label"] for one in found if one["cluster_id"] == whole["cluster_id"]} == {"Wider"}
    differ = {"labels": {whole["parent"]: "Wide", whole["cluster_id"]: "Narrow"}}
    assert client.patch(path, json=differ).json()["error"]["details"]["field"] == f"labels.{whole['parent']}"
    assert client.patch(path, json={"labels": {whole["parent"]: ""}}).json()["label_overrides"] == {}


def test_independent_features_have_their_own_layers_and_unique_ids(client: httpx.Client, services: Services) -> None:
    store(client, documents())
    create(client, method="auto", config={"multi_feature_strategy": "independent", "feature_uris": ["v", "w"]})

    execute(client, services)

    found = layers(client)
    ids = [one["cluster_id"] for layer in found for one in layer["groups"]]
    assert {layer["feature"] for layer in found} == {"v", "w"}
    assert len(set(ids)) == len(ids)
    for feature in ("v", "w"):
        own = [layer for layer in found if layer["feature"] == feature]
        for above, below in pairwise(own):
            assert {one["parent_cluster_id"] for one in below["groups"]} <= {g["cluster_id"] for g in above["groups"]}


def test_nested_groups_are_named_after_their_layer(client: httpx.Client, services: Services) -> None:
    store(client, documents())
    create(client, method="auto", config={"hierarchical": True})

    execute(client, services)

    answer = client.get("/clusters/groups/groups").json()
    above = [
        one for one in answer["groups"] if any(g["parent_cluster_id"] == one["cluster_id"] for g in answer["groups"])
    ]
    broad = {one["label"] for layer in answer["layers"] if not layer["chosen"] for one in layer["groups"]}
    assert above
    assert {one["label"] for one in above} <= broad


def test_other_methods_have_no_layers(client: httpx.Client, services: Services) -> None:
    store(client, documents())
    create(client)
    execute(client, services)

    assert layers(client) is None
