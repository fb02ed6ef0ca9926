"""Cluster identity: stable ids and labels, over HTTP and on tables of members alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import psutil
import pyarrow as pa
import pytest

from shoal.columns import Labels
from shoal.records.clusters.ids import parse_cluster_id
from shoal.records.runs.execution import Centroid, Execution
from shoal.runs.grouping.ranks import Ranked, document_keys
from shoal.runs.identity import identify as lasting
from shoal.runs.identity.identify import Past

Groups = dict[str, list[str]]


@dataclass(frozen=True)
class Identity:
    """Maps each rank-based id to its stable id."""

    ids: dict[str, str]
    next_numbers: dict[str, int]


def identify(members: pa.Table, centroids: pa.Table, before: Past | None) -> Identity:
    """Match clusters as a run does, from tables with rank-based ids."""
    ids = centroids["cluster_id"].to_pylist()
    labels = np.array([ids.index(id) if id in ids else -1 for id in members["cluster_id"].to_pylist()], np.int32)
    values = None
    if "attributes" in centroids.column_names:
        parents = [None if up is None else ids.index(up) for up in centroids["parent_cluster_id"].to_pylist()]
        values = pa.table(
            {
                "number": pa.array(range(len(ids)), pa.int64()),
                "parent": pa.array(parents, pa.int64()),
                "attributes": centroids["attributes"],
            }
        )
    return of_ranks(ids, labels, members["document_id"].to_pylist(), before, values)


def of_ranks(
    ids: Sequence[str], labels: Labels, documents: Sequence[str], before: Past | None, values: pa.Table | None = None
) -> Identity:
    keys = document_keys(documents, ["col_1"] * len(documents))
    result = lasting.identify(Ranked([parse_cluster_id(id) for id in ids], labels, keys, values=values), before)
    return Identity(dict(zip(ids, result.ids.ids, strict=True)), dict(result.next_numbers))


def members(groups: Groups, noise: list[str] | None = None) -> pa.Table:
    rows = [(document, id) for id, documents in groups.items() for document in documents]
    rows += [(document, "cl_noise") for document in noise or []]
    return pa.table(
        {
            "document_id": pa.array([document for document, _ in rows], pa.string()),
            "collection_id": pa.array(["col_1"] * len(rows), pa.string()),
            "cluster_id": pa.array([id for _, id in rows], pa.string()).dictionary_encode(),
        }
    )


def centroids(*ids: str) -> pa.Table:
    return pa.table({"cluster_id": pa.array(ids, pa.string())})


def run(ids: list[str], next_numbers: dict[str, int] | None = None) -> Execution:
    return Execution(
        run_id="run_1", cluster_id="clust_1", namespace_id="ns_1", task_id="task_1", created_at="2026-11-30T00:00:00Z",
        centroids=[Centroid(cluster_id=id, num_members=1) for id in ids], next_numbers=next_numbers or {},
    )  # fmt: skip


def past(groups: Groups, *above: str, next_numbers: dict[str, int] | None = None) -> Past:
    ids = [*groups, *above]
    return Past(run(ids, next_numbers), members(groups), centroids(*ids))


def identity(groups: Groups, before: Past | None, *above: str, noise: list[str] | None = None) -> Identity:
    return identify(members(groups, noise), centroids(*groups, *above), before)


def documents(start: int, stop: int) -> list[str]:
    return [f"d{number:03d}" for number in range(start, stop)]


def test_the_ids_of_a_first_run_are_ranks() -> None:
    result = identity({"cl_0": documents(0, 5), "cl_1": documents(5, 9)}, None)

    assert result.ids == {"cl_0": "cl_0", "cl_1": "cl_1"}
    assert result.next_numbers == {"": 2}


def test_a_cluster_that_outgrows_the_others_keeps_its_id() -> None:
    before = past({"cl_0": documents(0, 30), "cl_1": documents(30, 50), "cl_2": documents(50, 60)})

    result = identity(
        {"cl_0": documents(50, 100), "cl_1": documents(0, 30), "cl_2": documents(30, 50)}, before, noise=["n1"]
    )

    assert result.ids == {"cl_0": "cl_2", "cl_1": "cl_0", "cl_2": "cl_1"}
    assert result.next_numbers == {"": 3}


def test_when_a_cluster_splits_the_larger_part_keeps_the_id_and_the_other_gets_a_new_one() -> None:
    before = past({"cl_0": documents(0, 30), "cl_1": documents(30, 40)})

    result = identity({"cl_0": documents(0, 18), "cl_1": documents(18, 30), "cl_2": documents(30, 40)}, before)

    assert result.ids == {"cl_0": "cl_0", "cl_1": "cl_2", "cl_2": "cl_1"}
    assert result.next_numbers == {"": 3}


def test_when_clusters_merge_the_id_of_the_larger_survives_and_the_other_is_never_reused() -> None:
    before = past({"cl_0": documents(0, 30), "cl_1": documents(30, 50), "cl_2": documents(50, 60)})
    merged = {"cl_0": documents(0, 50), "cl_1": documents(50, 60)}

    result = identity(merged, before)
    named = {result.ids[id]: of for id, of in merged.items()}
    again = past(named, next_numbers=dict(result.next_numbers))
    after = identity({"cl_0": documents(0, 30), "cl_1": documents(30, 50), "cl_2": documents(50, 60)}, again)

    assert result.ids == {"cl_0": "cl_0", "cl_1": "cl_2"}
    assert after.ids == {"cl_0": "cl_0", "cl_1": "cl_3", "cl_2": "cl_2"}
    assert after.next_numbers == {"": 4}


def test_the_number_of_a_vanished_cluster_is_not_reused() -> None:
    before = past({"cl_0": documents(0, 30), "cl_2": documents(30, 40)}, next_numbers={"": 7})

    result = identity({"cl_0": documents(30, 40), "cl_1": documents(200, 209)}, before)

    assert result.ids == {"cl_0": "cl_2", "cl_1": "cl_7"}
    assert result.next_numbers == {"": 8}


def test_the_order_of_members_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    before = {f"cl_{n}": documents(10 * n, 10 * n + 10) for n in range(6)}
    after = {f"cl_{n}": documents(10 * n + 3, 10 * n + 13) for n in range(5)}
    expected = identity(after, past(before))

    for _ in range(5):
        old, new = members(before), members(after)
        old, new = (table.take(pa.array(rng.permutation(table.num_rows))) for table in (old, new))
        shuffled = Past(run(list(before)), old, centroids(*before))
        assert identify(new, centroids(*after), shuffled) == expected


def test_nested_clusters_keep_their_path_and_new_ones_get_new_numbers_in_it() -> None:
    before = past(
        {"cl_0_sub_0": documents(0, 20), "cl_0_sub_1": documents(20, 30), "cl_1": documents(30, 45)},
        "cl_0", next_numbers={"": 2, "cl_0": 4},
    )  # fmt: skip

    result = identity(
        {
            "cl_0": documents(30, 99),
            "cl_1_sub_0": documents(20, 30),
            "cl_1_sub_1": documents(0, 12),
            "cl_1_sub_2": documents(12, 20),
        },
        before, "cl_1",
    )  # fmt: skip

    assert result.ids == {
        "cl_0": "cl_1", "cl_1": "cl_0", "cl_1_sub_0": "cl_0_sub_1", "cl_1_sub_1": "cl_0_sub_0",
        "cl_1_sub_2": "cl_0_sub_4",
    }  # fmt: skip
    assert result.next_numbers == {"": 2, "cl_0": 5}


def test_clusters_in_a_new_group_have_ids_in_that_group() -> None:
    before = past({"cl_0": documents(0, 20), "cl_1": documents(20, 39), "cl_2": documents(50, 60)})

    result = identity(
        {"cl_0_sub_0": documents(0, 20), "cl_0_sub_1": documents(20, 39), "cl_1": documents(50, 60)}, before, "cl_0"
    )

    assert result.ids == {
        "cl_0": "cl_0", "cl_0_sub_0": "cl_0_sub_0", "cl_0_sub_1": "cl_0_sub_1", "cl_1": "cl_2"
    }  # fmt: skip
    assert result.next_numbers == {"": 3, "cl_0": 2}


def test_without_the_results_of_the_previous_run_every_id_is_new() -> None:
    result = identity({"cl_0": documents(0, 9)}, Past(run(["cl_0", "cl_1"]), None, None))

    assert result.ids == {"cl_0": "cl_2"}


def test_groups_of_values_are_identified_by_their_values() -> None:
    def of_values(*rows: tuple[str, str | None, dict[str, Any]]) -> pa.Table:
        about = {"cluster_id": pa.string(), "parent_cluster_id": pa.string(), "attributes": pa.string()}
        named = [dict(zip(about, (id, up, orjson.dumps(values).decode()), strict=True)) for id, up, values in rows]
        return pa.Table.from_pylist(named, pa.schema(about))

    old = of_values(
        ("cl_0", "cl_2", {"lang": "de", "kind": "a"}), ("cl_1", "cl_2", {"lang": "de", "kind": None}),
        ("cl_2", None, {"lang": "de", "kind": "a"}),
    )  # fmt: skip
    new = of_values(
        ("cl_0", "cl_3", {"lang": "de", "kind": "b"}), ("cl_1", "cl_3", {"lang": "de", "kind": None}),
        ("cl_2", "cl_3", {"lang": "de", "kind": "a"}), ("cl_3", None, {"lang": "de", "kind": "b"}),
    )  # fmt: skip

    result = identify(members({}), new, Past(run(["cl_0", "cl_1", "cl_2"]), members({}), old))

    assert result.ids == {"cl_0": "cl_3", "cl_1": "cl_1", "cl_2": "cl_0", "cl_3": "cl_2"}


@pytest.mark.parametrize("rows", [100_000])
def test_matching_uses_memory_proportional_to_the_number_of_documents(rows: int) -> None:
    """A table of all pairs of documents, or of clusters for every document, would take gigabytes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1000, rows)
    moved = np.where(rng.random(rows) < 0.1, rng.integers(0, 1000, rows), labels)
    shift = rng.permutation(1000)
    documents = [f"document-{row:09d}" for row in range(rows)]
    old = pa.table(
        {
            "document_id": pa.array(documents, pa.string()),
            "collection_id": pa.array(["col_1"] * rows, pa.string()),
            "cluster_id": pa.array([f"cl_{label}" for label in labels.tolist()]).dictionary_encode(),
        }
    )
    ids = [f"cl_{number}" for number in range(1000)]
    before = psutil.Process().memory_info().rss

    identities = of_ranks(ids, shift[moved].astype(np.int32), documents, Past(run(ids), old, centroids(*ids)))

    assert psutil.Process().memory_info().rss - before < 500 * rows + 64 * 2**20
    assert identities.ids == {f"cl_{new}": f"cl_{old}" for old, new in enumerate(shift.tolist())}
