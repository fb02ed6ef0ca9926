"""Clusterings of two features: which clusters share rows, and how well the clusterings agree."""

import numpy as np
import pytest

from shoal.engine.features.overlap import ABSENT, find_overlaps, measure_agreement
from shoal.errors import InvalidField


def labels(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def test_a_cluster_inside_another_and_an_equal_one_are_found() -> None:
    left = labels(0, 0, 0, 0, 0, 0, 1, 1, 1, -1, 2)
    right = labels(0, 0, 0, 1, 1, 1, 2, 2, 2, -1, -1)

    found = find_overlaps(left, right)

    assert list(zip(found.left, found.right, found.rows, strict=True)) == [(0, 0, 3), (0, 1, 3), (1, 2, 3)]
    assert found.share_of_left.tolist() == [0.5, 0.5, 1.0]
    assert found.share_of_right.tolist() == [1.0, 1.0, 1.0]


def test_noise_counts_for_the_size_and_absent_rows_do_not() -> None:
    left = labels(0, 0, 0, 0, 0, 0)
    right = labels(0, 0, 0, -1, ABSENT, ABSENT)

    assert find_overlaps(left, right).share_of_left.tolist() == [0.75]
    assert find_overlaps(left, right).share_of_right.tolist() == [1.0]


def test_every_pair_above_the_share_is_found_and_no_other() -> None:
    rng = np.random.default_rng(1)
    left = rng.integers(-1, 6, 400).astype(np.int32)
    right = np.where(rng.random(400) < 0.6, left, rng.integers(-2, 6, 400)).astype(np.int32)

    found = find_overlaps(left, right, least=0.6)

    known = right > ABSENT
    wanted = {
        (a, b)
        for a in range(6)
        for b in range(6)
        if (both := np.sum(known & (left == a) & (right == b)))
        >= 0.6 * min(np.sum(known & (left == a)), np.sum(right == b))
        and both
    }
    assert set(zip(found.left.tolist(), found.right.tolist(), strict=True)) == wanted
    assert 0 < len(wanted) < 36


def test_agreement_is_full_for_renamed_clusters_and_about_none_for_shuffled_ones() -> None:
    left = np.repeat(np.arange(5, dtype=np.int32), 60)
    shuffled = np.random.default_rng(0).permutation(left)

    assert measure_agreement(left, (left + 2) % 5).ari == pytest.approx(1)
    assert measure_agreement(left, (left + 2) % 5).nmi == pytest.approx(1)
    assert abs(measure_agreement(left, shuffled).ari or 0) < 0.02
    assert measure_agreement(np.where(left == 0, -1, left).astype(np.int32), left).rows == 240


def test_disjoint_clusterings_have_a_result() -> None:
    none = labels(-1, -1, ABSENT)

    assert measure_agreement(none, labels(0, 0, 1)).nmi is None
    assert find_overlaps(none, labels(0, 0, 1)).rows.tolist() == []
    assert find_overlaps(labels(), labels()).rows.tolist() == []


def test_labels_of_different_length_and_invalid_shares_are_rejected() -> None:
    with pytest.raises(InvalidField, match="labels"):
        find_overlaps(labels(0), labels(0, 0))
    with pytest.raises(InvalidField, match="least"):
        find_overlaps(labels(0), labels(0), least=0)
