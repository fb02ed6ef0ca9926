"""Matching clusters one to one by shared rows, independently of the order of rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.engine.clusters.matching import count_shared_rows, match_clusters


def matched(old: list[int], new: list[int]) -> dict[int, int]:
    return match_clusters(count_shared_rows(np.array(old, np.int32), np.array(new, np.int32)))


def test_renumbered_clusters_are_recognised() -> None:
    assert matched([0, 0, 0, 1, 1, 2], [2, 2, 2, 0, 0, 1]) == {2: 0, 0: 1, 1: 2}


def test_when_a_cluster_splits_the_majority_part_inherits_its_number() -> None:
    assert matched([0] * 10, [1] * 6 + [0] * 4) == {1: 0}
    assert matched([0] * 10, [0] * 4 + [1] * 3 + [2] * 3) == {}


def test_when_clusters_merge_the_largest_passes_on_its_number_if_it_is_the_majority() -> None:
    assert matched([0] * 4 + [1] * 6, [0] * 10) == {0: 1}
    assert matched([0] * 4 + [1] * 3 + [2] * 3, [0] * 10) == {}


def test_exact_halves_are_decided_by_the_smaller_number() -> None:
    assert matched([0] * 4, [0, 0, 1, 1]) == {0: 0}
    assert matched([0, 0, 1, 1], [0] * 4) == {0: 0}


def test_noise_in_either_clustering_counts_for_nothing() -> None:
    assert matched([0, 0, -1, -1, -1], [0, 0, 0, 0, 0]) == {0: 0}
    assert matched([0, 0, 0, 0, 0], [-1, -1, -1, 0, 0]) == {0: 0}
    assert matched([0, -1], [-1, 0]) == {}


def test_labels_that_are_not_aligned_are_rejected() -> None:
    with pytest.raises(ValueError, match="aligned"):
        count_shared_rows(np.zeros(3, np.int32), np.zeros(4, np.int32))


@st.composite
def labellings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    rows, clusters = draw(st.integers(1, 60)), draw(st.integers(1, 6))
    label = st.lists(st.integers(-1, clusters - 1), min_size=rows, max_size=rows)
    return np.array(draw(label), np.int32), np.array(draw(label), np.int32)


@settings(max_examples=100, deadline=None)
@given(labellings(), st.integers(0, 9))
def test_every_pair_that_shares_more_than_half_is_matched_and_no_other(
    case: tuple[np.ndarray, np.ndarray], seed: int
) -> None:
    old, new = case
    found = match_clusters(count_shared_rows(old, new))
    shuffled = np.random.default_rng(seed).permutation(len(old))

    assert match_clusters(count_shared_rows(old[shuffled], new[shuffled])) == found
    assert len(set(found.values())) == len(found)
    both = (old >= 0) & (new >= 0)
    for before in set(old[both].tolist()):
        for after in set(new[both].tolist()):
            shared = int(((old == before) & (new == after)).sum())
            sizes = int(((old == before) & both).sum()), int(((new == after) & both).sum())
            if all(2 * shared > size for size in sizes):
                assert found[after] == before
            if any(2 * shared < size for size in sizes):
                assert found.get(after) != before
            if shared >= 0.5 * (sum(sizes) - shared) and shared:  # the Jaccard index is at least .5
                assert found.get(after) == before or before in found.values() or after in found
