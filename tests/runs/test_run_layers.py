"""Which clusters of the layers of a run are identical, and the labels that users gave them."""

from typing import Any

import pyarrow as pa
import pytest

from shoal.runs.layers import wholes_of, with_inner_labels, with_new_labels


def row(layer: int, id: str, size: int, parent: str | None = None) -> dict[str, Any]:
    return {"layer": layer, "chosen": layer == 2, "cluster_id": id, "size": size, "parent": parent}


TREE = pa.Table.from_pylist(
    [
        row(0, "broad_0", 9),
        row(0, "broad_1", 4),
        row(1, "broad_2", 9, "broad_0"),
        row(1, "broad_3", 4, "broad_1"),
        row(2, "cl_0", 6, "broad_2"),
        row(2, "cl_1", 3, "broad_2"),
        row(2, "cl_2", 4, "broad_3"),
        row(3, "fine_0", 6, "cl_0"),
        row(3, "fine_1", 2, "cl_1"),
        row(3, "fine_2", 1, "cl_1"),
        row(3, "fine_3", 4, "cl_2"),
    ]
)
WHOLES = [["broad_2", "broad_0"], ["cl_0", "fine_0"], ["cl_2", "broad_3", "fine_3", "broad_1"]]


def test_clusters_that_stay_whole_are_listed_from_the_selected_layer_outwards() -> None:
    assert wholes_of(TREE) == WHOLES


@pytest.mark.parametrize(
    ("given", "new", "labels"),
    [
        ({}, {"broad_1": "A"}, {"broad_1": "A", "cl_2": "A"}),
        ({"cl_2": "Old", "broad_3": "Older"}, {"fine_3": "A"}, {"fine_3": "A", "cl_2": "A"}),
        ({"broad_1": "Old"}, {"cl_2": "A"}, {"cl_2": "A"}),
        ({"cl_2": "Old", "broad_1": "Old", "cl_1": "B"}, {"broad_3": ""}, {"cl_1": "B"}),
        ({}, {"broad_0": "A"}, {"broad_0": "A", "broad_2": "A"}),
        ({"cl_0": "B"}, {"cl_1": "A"}, {"cl_0": "B", "cl_1": "A"}),
    ],
)
def test_a_new_label_applies_to_all_identical_clusters(
    given: dict[str, str], new: dict[str, str], labels: dict[str, str]
) -> None:
    assert with_new_labels(given, new, WHOLES) == labels


def test_a_carried_over_broad_label_applies_to_the_cluster_that_now_equals_it() -> None:
    assert with_inner_labels({"broad_1": "A"}, WHOLES) == {"broad_1": "A", "cl_2": "A"}
    assert with_inner_labels({"broad_1": "A", "cl_2": "B"}, WHOLES) == {"broad_1": "A", "cl_2": "B"}
    assert with_inner_labels({"broad_1": "A", "broad_3": "C"}, WHOLES)["cl_2"] == "C"
