"""Numbers that lie far from the origin and near each other keep the digits in which they differ."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

import shoal
from shoal.library.estimators import HDBSCAN, KMeans
from shoal.library.from_columns import ClusterOptions
from shoal.library.from_file import cluster_file
from shoal.library.request import Request
from shoal.precision import center_on_mean, is_rest_significant, split_float32, split_if_significant

CORNERS = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0], [3.0, 3.0]])
OPTIONS: dict[str, dict[str, Any]] = {
    "kmeans": {"n_clusters": 4},
    "hdbscan": {},
    "dbscan": {"eps": 0.4},
    "agglomerative": {"n_clusters": 4},
    "leiden": {"metric": "euclidean", "resolution": 0.2},
    "auto": {},
}


def corners(offset: float, seed: int = 0) -> NDArray[np.float64]:
    """Four groups of 50, a twentieth of their distance wide."""
    return CORNERS.repeat(50, axis=0) + np.random.default_rng(seed).normal(0, 0.1, (200, 2)) + offset


def assert_four_groups(labels: NDArray[np.integer]) -> None:
    assert [len(set(labels[start : start + 50]) - {-1}) for start in range(0, 200, 50)] == [1, 1, 1, 1]
    assert len(set(labels.tolist()) - {-1}) == 4 and (labels >= 0).mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", sorted(OPTIONS))
@pytest.mark.parametrize("offset", [1e6, 1e8, -3e12])
def test_float64_far_from_the_origin_is_clustered_by_its_differences(algorithm: str, offset: float) -> None:
    vectors = np.round(corners(0.0) * 1024) / 1024 + offset  # what float64 holds there, too

    clustering = shoal.cluster(vectors, algorithm=algorithm, normalize=False, **OPTIONS[algorithm])

    near = shoal.cluster(vectors - offset, algorithm=algorithm, normalize=False, **OPTIONS[algorithm])
    assert adjusted_rand_score(clustering.labels, near.labels) > 0.95 and len(clustering.clusters) > 2
    assert any("float32" in warning for warning in clustering.warnings) and not any(
        "float32" in warning for warning in near.warnings
    )
    assert clustering.assign(vectors).labels.tolist() == clustering.labels.tolist()
    new = np.round(corners(0.0, seed=1) * 1024) / 1024
    assert adjusted_rand_score(clustering.assign(new + offset).labels, near.assign(new).labels) > 0.95


def test_centroids_and_similarities_are_in_the_input_coordinates() -> None:
    vectors = corners(1e8)

    clustering = shoal.cluster(vectors, n_clusters=4, normalize=False)

    centers = np.array(clustering.centroids()["vector"].to_pylist())
    expected = np.array([vectors[clustering.labels == label].mean(axis=0) for label in range(4)])
    assert centers == pytest.approx(expected, abs=1e-6, rel=0)
    assert clustering.metrics["mean_cosine_to_centroid"] == pytest.approx(1.0, abs=1e-12)
    assert clustering.clusters[0].mean_similarity == pytest.approx(1.0, abs=1e-12)
    assert np.nanmax(clustering.distances) < 1


def test_seconds_since_1970_are_clustered_as_whole_numbers() -> None:
    days = np.array([0, 40, 90]).repeat(30) * 86_400
    seconds = 1_700_000_000 + days + np.random.default_rng(0).integers(0, 3600, 90)

    clustering = shoal.cluster(seconds[:, None], algorithm="hdbscan", normalize=False)

    assert len(clustering.clusters) == 3 and clustering.noise < 9


@pytest.mark.process
@pytest.mark.parametrize("kind", ["parquet", "npy", "csv", "jsonl"])
def test_files_of_float64_are_clustered_by_their_differences(tmp_path: Path, kind: str) -> None:
    vectors, path = corners(1e8), tmp_path / f"far.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"embedding": vectors.tolist()}), path)
    elif kind == "npy":
        np.save(path, vectors)
    elif kind == "csv":
        path.write_text("id,embedding\n" + "".join(f'{i},"{row.tolist()}"\n' for i, row in enumerate(vectors)))
    else:
        path.write_text("".join(f'{{"id": "{i}", "embedding": {row.tolist()}}}\n' for i, row in enumerate(vectors)))

    result = cluster_file(Request(path=path, cluster_options=ClusterOptions(n_clusters=4, normalize=False))).clustering

    assert_four_groups(result.labels)
    assert any("float32" in warning for warning in result.warnings)


def test_a_warning_reports_directions_that_float32_cannot_distinguish() -> None:
    clustering = shoal.cluster(corners(1e8), n_clusters=4)

    assert any("normalize=False" in warning for warning in clustering.warnings)


def test_embeddings_in_float64_are_what_they_are_in_float32() -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 32)) + 5

    wide = shoal.cluster(vectors, n_clusters=5, normalize=False)
    narrow = shoal.cluster(vectors.astype(np.float32), n_clusters=5, normalize=False)

    assert wide.labels.tolist() == narrow.labels.tolist() and list(wide.warnings) == list(narrow.warnings)


@pytest.mark.parametrize("estimator", [KMeans(n_clusters=4, normalize=False), HDBSCAN(normalize=False)])
def test_estimators_keep_the_digits_of_float64(estimator: KMeans | HDBSCAN) -> None:
    vectors = corners(1e8)

    labels = estimator.fit(vectors).labels_

    assert_four_groups(labels)
    assert estimator.predict(vectors).tolist() == labels.tolist()
    expected = np.array([vectors[labels == label].mean(axis=0) for label in range(4)])
    assert estimator.cluster_centers_ == pytest.approx(expected, abs=1e-6, rel=0)


def test_what_rounding_leaves_adds_up_to_the_number() -> None:
    values = np.random.default_rng(1).normal(size=(50, 3)) * 1e-3 + [1e9, -7.0, 0.0]

    points, rest = split_float32(values)

    assert rest is not None and points.dtype == rest.dtype == np.float32
    assert points.astype(np.float64) + rest == pytest.approx(values, rel=2**-47)
    assert is_rest_significant(points, rest)
    moved, origin = center_on_mean(points, rest)
    assert moved + origin == pytest.approx(values, abs=1e-6)
    assert split_float32(values.astype(np.float32)).rest is None
    assert split_if_significant(np.random.default_rng(2).normal(size=(50, 3))).rest is None
