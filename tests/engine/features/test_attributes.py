"""Grouping by values."""

import numpy as np
import pytest

from shoal.engine.features.attributes import Aggregation, aggregate, group_by_attributes


def test_each_combination_is_a_group_numbered_by_size_then_path() -> None:
    outcome = group_by_attributes([["b", "a", "a", "b", "c"], [1, 2, 2, 1, 1]])

    assert [group.label for group in outcome.groups] == ["a_2", "b_1", "c_1"]
    assert [group.size for group in outcome.groups] == [2, 2, 1]
    assert list(outcome.labels) == [1, 0, 0, 1, 2] and outcome.labels.dtype == np.int32
    assert all(group.parent is None and group.is_leaf for group in outcome.groups)
    assert outcome.groups[0].values == ("a", 2)


def test_a_missing_value_is_a_group_and_a_list_is_its_sorted_elements() -> None:
    outcome = group_by_attributes([[None, ["y", "x"], ("x", "y"), [], "x"]])

    found = [(group.label, group.size) for group in outcome.groups]

    assert found == [("__missing__", 2), ("x+y", 2), ("x", 1)]
    assert list(outcome.labels) == [0, 1, 1, 0, 2]


def test_a_hierarchy_has_a_node_for_each_prefix_and_labels_the_leaves() -> None:
    outcome = group_by_attributes([["en", "en", "de", "en"], ["a", "b", "a", "a"]], hierarchical=True)
    by_path = {group.path: (number, group) for number, group in enumerate(outcome.groups)}

    assert outcome.leaves == 3
    assert [group.label for group in outcome.groups] == ["en_a", "de_a", "en_b", "en", "de"]
    assert by_path[("en",)][1].size == 3 and not by_path[("en",)][1].is_leaf
    assert by_path[("en", "b")][1].parent == by_path[("en",)][0]
    assert by_path[("de",)][1].parent is None and by_path[("de",)][1].values == ("de",)
    assert list(outcome.labels) == [0, 2, 1, 0]


def test_no_rows_are_no_groups() -> None:
    outcome = group_by_attributes([[], []], hierarchical=True)

    assert list(outcome.groups) == [] and len(outcome.labels) == 0


def test_booleans_and_integers_are_formatted_as_people_write_them() -> None:
    outcome = group_by_attributes([[True, 3.0, 3, 2.5]])

    assert sorted(group.label for group in outcome.groups) == ["2.5", "3", "true"]


@pytest.mark.parametrize(("method", "value"), [("most_frequent", "b"), ("first", "a"), ("last", "c")])
def test_many_values_become_one(method: Aggregation, value: str) -> None:
    assert aggregate([None, "a", "b", "b", "c", None], method) == value
    assert aggregate([None, None], method) is None


def test_the_first_of_equally_frequent_values_wins() -> None:
    assert aggregate(["z", "a", "a", "z"], "most_frequent") == "z"
