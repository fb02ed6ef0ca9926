"""Tables of a run other than members and centroids, as downloadable files."""

import io
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster_steps import create, execute, grouped_documents, put_documents
from shoal.assemble import Services


@pytest.fixture(autouse=True)
def documents(client: httpx.Client) -> None:
    made = grouped_documents(90)
    made[4]["vectors"]["v"] = made[1]["vectors"]["v"]
    put_documents(client, made)


def table(client: httpx.Client, run: dict[str, Any], name: str) -> pa.Table:
    reply = client.get(f"/clusters/groups/executions/{run['run_id']}/download?table={name}")
    assert reply.status_code == 200, reply.text
    return pq.read_table(io.BytesIO(reply.content))


def test_near_duplicates_and_layers_of_auto(client: httpx.Client, services: Services) -> None:
    create(client, method="auto")

    run = execute(client, services)

    near, layers = table(client, run, "near_duplicates"), table(client, run, "layers")
    ids = near["document_id"].to_pylist()
    assert run["metrics"]["near_duplicates"] == near.num_rows - len(near["duplicate_group"].unique())
    group = dict(zip(ids, near["duplicate_group"].to_pylist(), strict=True))
    assert group["d0001"] == group["d0004"]
    assert max(near["distance"].to_pylist()) <= 0.05 + 1e-6
    assert layers.num_rows == 90
    chosen = run["layers"]["chosen"]
    assert layers.schema.metadata[b"chosen"] == str(chosen).encode()
    assert run["layers"]["clusters"][chosen] == run["num_clusters"]
    assert len(run["layers"]["clusters"]) == layers.num_columns - 1
    assert run["layers"]["reason"]
    members = table(client, run, "members")
    ids = {id for id in layers[f"layer_{chosen}"].to_pylist() if id is not None}
    assert ids == set(members["cluster_id"].to_pylist()) - {"cl_noise"}


def test_the_condensed_tree_of_hdbscan(client: httpx.Client, services: Services) -> None:
    create(client, method="hdbscan")

    run = execute(client, services)

    assert {"parent", "child", "lambda_val"} <= set(table(client, run, "condensed_tree").column_names)
    assert run["layers"] is None


def test_the_error_about_a_missing_table_lists_those_that_exist(client: httpx.Client, services: Services) -> None:
    create(client)
    run = execute(client, services)

    reply = client.get(f"/clusters/groups/executions/{run['run_id']}/download?table=layers")

    assert reply.status_code == 404
    assert "centroids, members, near_duplicates" in reply.text


def test_independent_features_have_their_own_tables(client: httpx.Client, services: Services) -> None:
    create(client, method="auto", config={"multi_feature_strategy": "independent"})

    run = execute(client, services)

    assert table(client, run, "near_duplicates_0").num_rows > 0
    assert run["layers"]["v"]["reason"]
