"""The tree above the clusters: ids that tell the way, no level of one, each group where most of its documents are."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.analysis.hierarchy import Tree, grow
from shoal.records.clusters.ids import format_cluster_id


def cluster_ids(tree: Tree) -> list[str]:
    return [format_cluster_id(path) for path in tree.clusters()]


def test_ids_encode_the_path_and_the_size() -> None:
    tree = grow([np.array([0, 0, 1, 1, 1], np.int32)], np.array([9, 1, 5, 4, 2]))

    assert cluster_ids(tree) == ["cl_1_sub_0", "cl_1_sub_1", "cl_0_sub_0", "cl_0_sub_1", "cl_0_sub_2"]
    assert [(format_cluster_id(path), node.size) for path, node in tree.groups()] == [("cl_0", 11), ("cl_1", 10)]


def test_a_group_of_one_is_left_out() -> None:
    tree = grow([np.array([0, 0, 1], np.int32), np.array([0, 0, 1], np.int32)], np.array([3, 2, 1]))

    assert cluster_ids(tree) == ["cl_0_sub_0", "cl_0_sub_1", "cl_1"]
    assert [(format_cluster_id(path), node.level) for path, node in tree.groups()] == [("cl_0", 1)]


def test_without_groups_the_clusters_are_numbered_as_ever() -> None:
    assert cluster_ids(grow([], np.array([3, 2, 2]))) == ["cl_0", "cl_1", "cl_2"]
    assert grow([np.array([0, 1, 2], np.int32)], np.array([3, 2, 2])).groups() == []


@st.composite
def trees(draw: st.DrawFn) -> Any:
    clusters = draw(st.integers(1, 9))
    sizes = sorted(draw(st.lists(st.integers(1, 50), min_size=clusters, max_size=clusters)), reverse=True)
    level = st.lists(st.integers(0, clusters - 1), min_size=clusters, max_size=clusters)
    return [np.array(item, np.int32) for item in draw(st.lists(level, max_size=4))], np.array(sizes)


@settings(max_examples=80, deadline=None)
@given(trees())
def test_every_tree_is_one(case: Any) -> None:
    levels, sizes = case
    tree = grow(levels, sizes)

    assert len(tree.clusters()) == len(set(tree.clusters())) == len(sizes)
    assert {path[:-1] for path in tree.nodes if len(path) > 1} == {path for path, _ in tree.groups()}
    for path, node in tree.groups():
        children = tree.children(path)
        assert len(children) > 1
        assert node.size == sum(tree.nodes[child].size for child in children)
        assert all(format_cluster_id(child).rpartition("_sub_")[0] == format_cluster_id(path) for child in children)
    tops = [path for path in tree.nodes if len(path) == 1]
    assert sum(tree.nodes[path].size for path in tops) == sizes.sum()
    assert len(tops) > 1 or len(sizes) == 1
