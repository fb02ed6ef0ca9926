"""Documents in no cluster, put into the nearest one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

import shoal
from shared_data import load, vectors
from shoal.errors import InvalidField

GROUPS = 4
LOOSE = 12


def made_rows() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Dense groups with loose rows around each, in no order; and the group of each row."""
    rng = np.random.default_rng(0)
    middles = np.eye(8)[:GROUPS]
    dense = middles.repeat(40, axis=0) + rng.normal(0, 0.02, (GROUPS * 40, 8))
    loose = middles.repeat(LOOSE, axis=0) + rng.normal(0, 0.3, (GROUPS * LOOSE, 8))
    rows = np.concatenate([dense, loose]).astype(np.float32)
    groups = np.concatenate([np.repeat(np.arange(GROUPS), 40), np.repeat(np.arange(GROUPS), LOOSE)])
    order = rng.permutation(len(rows))
    return rows[order], groups[order]


ROWS, TRUE = made_rows()
TEXTS = [f"{['refund', 'password', 'parcel', 'invoice'][group]} question {row}" for row, group in enumerate(TRUE)]
METHODS: dict[str, dict[str, Any]] = {
    "auto": {}, "hdbscan": {"min_cluster_size": 15}, "dbscan": {"eps": 0.1}, "optics": {"min_samples": 15},
}  # fmt: skip


@pytest.fixture(scope="module", params=METHODS)
def clustering(request: pytest.FixtureRequest) -> shoal.Clustering:
    clusters = shoal.cluster(ROWS, text=TEXTS, algorithm=request.param, **METHODS[request.param])
    assert clusters.noise > 5, "the case has documents in no cluster"
    return clusters


def test_everything_is_in_a_cluster_and_nothing_that_was_has_moved(clustering: shoal.Clustering) -> None:
    before = clustering.labels.copy()
    reduced = clustering.reduce_outliers()

    assert reduced.noise == 0
    assert np.array_equal(reduced.labels[before >= 0], before[before >= 0])
    assert np.array_equal(clustering.labels, before) and clustering.noise > 0
    assert adjusted_rand_score(TRUE, reduced.labels) > adjusted_rand_score(TRUE, clustering.labels)


def test_names_ids_and_representatives_stay(clustering: shoal.Clustering) -> None:
    reduced = clustering.reduce_outliers()

    for after, before in zip(reduced.clusters, clustering.clusters, strict=True):
        assert (after.cluster_id, after.label, after.keywords) == (before.cluster_id, before.label, before.keywords)
        assert (after.medoid, after.representatives) == (before.medoid, before.representatives)
        assert after.size >= before.size


def test_counts_include_the_reassigned_documents(clustering: shoal.Clustering) -> None:
    reduced = clustering.reduce_outliers()

    assert [cluster.size for cluster in reduced.clusters] == np.bincount(reduced.labels).tolist()
    assert sum(cluster.share for cluster in reduced.clusters) == pytest.approx(1)
    assert reduced.metrics["noise_ratio"] == 0
    assert not np.isnan(reduced.distances).any()
    assert all(cluster.min_similarity <= cluster.mean_similarity for cluster in reduced.clusters)
    assert (
        reduced.warnings[-1] == f"{clustering.noise} documents that were in no cluster were put into the nearest one."
    )
    assert reduced.to_arrow()["cluster_label"].null_count == 0
    assert reduced.summary()["noise"] == 0


def test_a_document_that_joined_is_assigned_where_it_joined(clustering: shoal.Clustering) -> None:
    reduced = clustering.reduce_outliers()

    assert np.array_equal(reduced.assign(ROWS).labels, reduced.labels)
    assert np.array_equal(reduced.reduce_outliers().labels, reduced.labels)


def test_the_order_of_the_rows_and_the_threads_change_nothing() -> None:
    ids = [f"d{row:03d}" for row in range(len(ROWS))]
    order = np.random.default_rng(1).permutation(len(ROWS))
    how: dict[str, Any] = {"algorithm": "hdbscan", "min_cluster_size": 15}

    first = shoal.cluster(ROWS, id=ids, threads=1, **how).reduce_outliers()
    two = shoal.cluster(ROWS[order], id=[ids[row] for row in order], threads=2, **how).reduce_outliers()

    assert np.array_equal(first.labels[order], two.labels)


def test_layers_hold_the_documents_that_came() -> None:
    rng = np.random.default_rng(3)
    broad = np.eye(12)[:3].repeat(4, axis=0)
    middles = broad + np.eye(12) * 0.5
    rows = middles.repeat(40, axis=0) + rng.normal(0, 0.06, (480, 12))
    clustering = shoal.cluster(rows, algorithm="auto", noise_level=0.7)
    assert clustering.noise > 0

    reduced = clustering.reduce_outliers()

    layers, before = reduced.analysis.outcome.layers, clustering.analysis.outcome.layers
    assert layers is not None and before is not None
    assert np.array_equal(layers.layers[layers.chosen].labels, reduced.labels)
    for own, earlier in zip(layers.layers[: layers.chosen + 1], before.layers, strict=False):
        assert (own.labels >= 0).all()
        assert np.array_equal(own.labels[earlier.labels >= 0], earlier.labels[earlier.labels >= 0])
    for fine, coarse in zip(layers.layers[1:], layers.layers, strict=False):
        inside = fine.labels >= 0
        pairs = set(zip(fine.labels[inside].tolist(), coarse.labels[inside].tolist(), strict=True))
        assert len(pairs) == fine.clusters


def test_without_noise_nothing_changes_and_without_clusters_there_is_nowhere_to_go() -> None:
    whole = shoal.cluster(ROWS, algorithm="kmeans", n_clusters=4)
    assert np.array_equal(whole.reduce_outliers().labels, whole.labels)
    assert whole.reduce_outliers().warnings == whole.warnings
    none = shoal.cluster(ROWS, algorithm="dbscan", eps=1e-6)
    assert none.reduce_outliers().noise == none.noise == len(ROWS)


def test_other_rows_than_those_clustered_are_refused() -> None:
    clustering = shoal.cluster(ROWS, algorithm="hdbscan", min_cluster_size=15)

    assert clustering.reduce_outliers(ROWS).noise == 0
    with pytest.raises(InvalidField, match=r"vectors: must be the 208 documents that were clustered, not 100"):
        clustering.reduce_outliers(ROWS[:100])


def test_a_clustering_that_was_loaded_takes_the_vectors_again(tmp_path: Path) -> None:
    clustering = shoal.cluster(ROWS, algorithm="hdbscan", min_cluster_size=15)

    loaded = shoal.load(clustering.save(tmp_path / "found"))

    with pytest.raises(InvalidField, match="vectors: were not kept with this clustering"):
        loaded.reduce_outliers()
    assert np.array_equal(loaded.reduce_outliers(ROWS).labels, clustering.reduce_outliers().labels)
    assert np.array_equal(loaded.probabilities(ROWS), clustering.probabilities())


@pytest.mark.shared_data
def test_outliers_of_real_questions_mostly_go_where_they_belong() -> None:
    table = load("banking77")
    table = table.take(np.random.default_rng(0).permutation(len(table))[:3000])
    truth = table["label"].to_numpy(zero_copy_only=False).astype(str)
    clustering = shoal.cluster(vectors(table), algorithm="hdbscan", min_cluster_size=10)

    reduced = clustering.reduce_outliers()

    assert clustering.noise > 0.3 * len(truth)
    assert adjusted_rand_score(truth, reduced.labels) > 0.2 + adjusted_rand_score(truth, clustering.labels)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("saved", [False, True])
def test_other_rows_and_another_order_are_refused(normalize: bool, saved: bool, tmp_path: Path) -> None:
    """Also far from the origin, where the rows differ little from each other."""
    rows = ROWS + (0 if normalize else 1000)
    ids = [f"id-{n * 7 % len(rows)}" for n in range(len(rows))]
    clusters = shoal.cluster(rows, id=ids, algorithm="hdbscan", min_cluster_size=15, normalize=normalize)
    expected = clusters.reduce_outliers().labels
    if saved:
        clusters = shoal.load(clusters.save(tmp_path / "found"))

    swapped = rows.copy()
    swapped[[3, 90]] = swapped[[90, 3]]
    others = np.random.default_rng(1).normal(rows.mean(0), rows.std(0), rows.shape).astype(np.float32)
    for wrong, message in (
        (swapped, r"vectors\[3\].*2 of 208 rows differ"),
        (rows[::-1], "rows differ"),
        (others, "rows"),
    ):
        with pytest.raises(InvalidField, match=message):
            clusters.reduce_outliers(wrong)
    same = [rows, rows.astype(np.float64), 2 * rows, rows.astype(np.float16)] if normalize else [rows, rows.tolist()]
    for right in same:
        assert np.mean(clusters.reduce_outliers(right).labels == expected) > 0.99


def test_rows_of_a_single_number_are_distinguished(tmp_path: Path) -> None:
    rows = np.eye(6, dtype=np.float32).repeat(5, axis=0)
    clusters = shoal.load(shoal.cluster(rows, algorithm="kmeans", n_clusters=6).save(tmp_path / "found"))

    assert clusters.reduce_outliers(rows).noise == 0
    for column in range(1, 6):
        other = rows.copy()
        other[0] = np.eye(6)[column]
        with pytest.raises(InvalidField, match=r"vectors\[0\].*1 of 30"):
            clusters.reduce_outliers(other)
