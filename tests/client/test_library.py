"""`shoal.cluster`: what it takes, gives and refuses."""

import doctest
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

import shoal
import shoal.library.from_python
from shared_data import load, vectors
from shoal.errors import InvalidField, ShoalError
from trees import clusters_by_tree


def three_groups(seed: int = 0, each: int = 15) -> NDArray[np.float32]:
    """Well-separated rows in order of their group."""
    rng = np.random.default_rng(seed)
    return (np.eye(6)[:3].repeat(each, axis=0) + rng.normal(0, 0.05, (3 * each, 6))).astype(np.float32)


def same_partition(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return (
        len(set(zip(first.tolist(), second.tolist(), strict=True)))
        == len(set(first.tolist()))
        == len(set(second.tolist()))
    )


class Frame:
    """The common interface of data frames: conversion to an array."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values

    def __array__(self, dtype: object = None, copy: object = None) -> NDArray[Any]:
        return self._values


def as_objects(values: NDArray[np.float32]) -> NDArray[Any]:
    rows = np.empty(len(values), object)
    rows[:] = list(values)
    return rows


INPUTS: dict[str, Callable[[NDArray[np.float32]], object]] = {
    "float32": lambda v: v,
    "float64": lambda v: v.astype(np.float64),
    "float16": lambda v: v.astype(np.float16),
    "not contiguous": lambda v: np.repeat(v, 2, axis=1)[:, ::2],
    "read-only": lambda v: np.frombuffer(v.tobytes(), np.float32).reshape(v.shape),
    "lists": lambda v: v.tolist(),
    "a list of arrays": list,
    "a data frame": Frame,
    "a column of vectors": lambda v: Frame(as_objects(v)),
    "an Arrow column": lambda v: pa.array(v.tolist(), pa.list_(pa.float64())),
    "fixed-size lists": lambda v: pa.FixedSizeListArray.from_arrays(pa.array(v.ravel()), v.shape[1]),
    "a chunked column": lambda v: pa.chunked_array([pa.array(v[:7].tolist()), pa.array(v[7:].tolist())]),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_every_form_of_vectors_gives_the_same_clusters(kind: str) -> None:
    vectors = three_groups()

    clustering = shoal.cluster(INPUTS[kind](vectors), algorithm="kmeans", n_clusters=3)

    assert same_partition(clustering.labels, np.arange(45) // 15)
    assert clustering.labels.dtype == np.int32


REFUSED: dict[str, tuple[object, str]] = {
    "NaN": ([[1.0, np.nan], [0.0, 1.0]], "data[0]"),
    "infinity": ([[1.0, 0.0], [np.inf, 1.0]], "data[1]"),
    "too large for float32": ([[1.0, 0.0], [1e39, 1.0]], "data[1]"),
    "one axis": ([1.0, 2.0, 3.0], "One document is a table of one row: [vector]"),
    "three axes": (np.zeros((2, 2, 2)), "two axes"),
    "no columns": (np.zeros((3, 0)), "two axes"),
    "no rows": (np.zeros((0, 3)), "has no rows"),
    "one row": ([[1.0, 2.0]], "at least two"),
    "text": ([["a", "b"], ["c", "d"]], "numbers"),
    "ragged": ([[1.0, 2.0], [3.0]], "data[1]: has 1 numbers where the others have 2"),
    "a ragged Arrow column": (pa.array([[1.0, 2.0], [3.0]]), "data[1]: has 1 numbers where the others have 2"),
    "an Arrow column with gaps": (pa.array([[1.0, 2.0], None]), "missing"),
    "an Arrow column with holes": (pa.array([[1.0, 2.0], [None, 1.0]]), "missing"),
    "an Arrow column of numbers": (pa.array([1.0, 2.0]), "column of lists"),
    "an empty Arrow column": (pa.array([], pa.list_(pa.float32())), "has no rows"),
    "zero rows, which have no direction": ([[0.0, 0.0], [1.0, 0.0]], "zero"),
    "complex numbers": (np.zeros((2, 2), complex), "numbers"),
    "nothing": (None, "data"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_vectors_that_cannot_be_clustered_are_refused_in_words(kind: str) -> None:
    vectors, expected = REFUSED[kind]

    with pytest.raises(ShoalError) as refused:
        shoal.cluster(vectors, n_clusters=2)

    assert expected in refused.value.message


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"id": ["a", "b"]}, "id: must have one value per"),
        ({"id": ["a"] * 45}, "id[1]: repeats id[0]"),
        ({"id": ["a\x00", *map(str, range(44))]}, "id[0]"),
        ({"text": ["a"]}, "text: must have one value per"),
        ({"text": [7, *["a"] * 44]}, "text[0]: must be text"),
        ({"algorithm": "magic"}, "algorithm"),
        ({"n_cluster": 3}, "n_cluster: is neither a parameter of auto"),
        ({"n_clusters": -1}, "n_clusters: must be a whole number of at least 1"),
        ({"n_clusters": 46}, "n_clusters: is more than the 45 documents"),
        ({"algorithm": "hdbscan", "n_clusters": 3}, "neither a parameter of hdbscan"),
        ({"n_clusters": 0}, "n_clusters"),
        ({"n_clusters": True}, "n_clusters"),
        ({"n_clusters": 3, "algorithm": "kmeans", "tol": -1}, "tol"),
    ],
)
def test_invalid_options_are_rejected_in_words(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidField) as refused:
        shoal.cluster(three_groups(), **options)

    assert expected in refused.value.message


def test_clusters_are_named_from_the_texts() -> None:
    texts = ["rain today"] * 15 + ["bread to bake"] * 15 + [None] * 15
    texts = [None if text is None else f"{text} {n}" for n, text in enumerate(texts)]

    clustering = shoal.cluster(three_groups(), text=texts, n_clusters=3)

    by_label = {
        int(clustering.labels[row]): clustering.clusters[int(clustering.labels[row])].label.lower()
        for row in (0, 15, 30)
    }
    assert "rain" in by_label[int(clustering.labels[0])]
    assert "bread" in by_label[int(clustering.labels[15])]
    assert by_label[int(clustering.labels[30])].startswith("cluster")


def test_the_number_of_clusters_is_chosen_and_noted() -> None:
    clustering = shoal.cluster(three_groups(), algorithm="kmeans")

    assert len(clustering.clusters) == 3
    assert clustering.warnings[0].startswith("3 clusters")


@pytest.mark.slow
def test_the_number_that_kmeans_takes_does_not_depend_on_ids_order_or_seed() -> None:
    points = vectors(load("fashion900"), "pca64")[:600]
    order = np.random.default_rng(2).permutation(600)
    ids = [f"d{number}" for number in order]

    plain = shoal.cluster(points, algorithm="kmeans")
    others = [
        shoal.cluster(points, id=ids, algorithm="kmeans"),
        shoal.cluster(points[order], algorithm="kmeans"),
        shoal.cluster(points, algorithm="kmeans", seed=7),
    ]

    assert {len(other.clusters) for other in others} == {len(plain.clusters)}
    assert same_partition(others[0].labels, plain.labels)
    assert same_partition(others[1].labels, plain.labels[order])


@pytest.mark.slow
def test_two_notations_of_few_vectors_give_nearly_the_same_clusters() -> None:
    points = vectors(load("banking77"))[::33][:400]
    written = np.round(points, 4)

    clustering, two = shoal.cluster(points, algorithm="kmeans"), shoal.cluster(written, algorithm="kmeans")

    assert len(clustering.clusters) == len(two.clusters)
    assert adjusted_rand_score(clustering.labels, two.labels) >= 0.7


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["auto", "kmeans"])
def test_pure_noise_is_reported_as_having_no_structure(algorithm: str) -> None:
    for dimensions, normalize in ((2, False), (2, True), (64, True)):
        noise = np.random.default_rng(3).normal(size=(800, dimensions))

        clustering = shoal.cluster(noise, algorithm=algorithm, normalize=normalize)

        assert any("structure" in warning.lower() for warning in clustering.warnings)


def test_the_default_method_needs_no_parameters() -> None:
    clustering = shoal.cluster(three_groups())

    summary: dict[str, Any] = clustering.summary()
    assert summary["algorithm"] == "auto"
    assert len(clustering.clusters) == 3
    assert summary["layers"]["reason"]


def test_the_summary_describes_the_whole_clustering() -> None:
    vectors = three_groups()
    clustering = shoal.cluster(vectors, algorithm="kmeans", n_clusters=3, id=[f"d{n:02d}" for n in range(45)])

    assert len(clustering) == 45
    assert clustering.strengths.shape == clustering.distances.shape == (45,)
    assert clustering.coordinates is not None and clustering.coordinates.shape == (45, 2)
    assert clustering.metrics["silhouette_score"] == pytest.approx(1, abs=0.1)
    assert [cluster.size for cluster in clustering.clusters] == [15, 15, 15]
    assert sum(cluster.share for cluster in clustering.clusters) == pytest.approx(1)
    for number, cluster in enumerate(clustering.clusters):
        assert clustering.labels[list(clustering.ids).index(cluster.medoid)] == number
    assert json.loads(json.dumps(clustering.summary()))["parameters"]["n_init"] == 10


def test_a_clustering_cannot_be_changed() -> None:
    clustering = shoal.cluster(three_groups(), algorithm="kmeans", n_clusters=3)

    with pytest.raises(AttributeError):
        clustering.seconds = 0.0  # type: ignore[misc]


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["auto", "kmeans"])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_results_do_not_depend_on_row_order_if_ids_are_given(algorithm: str, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(40, 5)).astype(np.float32)
    ids = [f"d{n:02d}" for n in range(40)]
    order = np.random.default_rng(seed + 1).permutation(40)

    clustering = shoal.cluster(vectors, id=ids, algorithm=algorithm, n_clusters=4)
    two = shoal.cluster(vectors[order], id=[ids[row] for row in order], algorithm=algorithm, n_clusters=4)

    assert np.array_equal(clustering.labels[order], two.labels)
    assert clustering.clusters == two.clusters
    assert list(two.ids) == [ids[row] for row in order]
    assert np.array_equal(clustering.distances[order], two.distances, equal_nan=True)


def make_groups_and_outliers() -> tuple[NDArray[np.float32], list[str]]:
    """Make groups of 15, 25 and 20 rows and three outliers, shuffled, with shuffled ids."""
    rng = np.random.default_rng(4)
    rows = np.concatenate([np.eye(6)[:3].repeat([15, 25, 20], axis=0), np.eye(6)[3:]])
    order = rng.permutation(len(rows))
    ids = rng.permutation([f"d{number:02d}" for number in range(len(rows))]).tolist()
    return (rows + rng.normal(0, 0.05, rows.shape)).astype(np.float32)[order], ids


def cluster_id(label: int) -> str:
    return "cl_noise" if label < 0 else f"cl_{label}"


@pytest.mark.parametrize("with_ids", [False, True])
@pytest.mark.parametrize("sample", [None, 45])
def test_hdbscan_reports_its_tree_outliers_and_exemplars(with_ids: bool, sample: int | None) -> None:
    vectors, ids = make_groups_and_outliers()

    clustering = shoal.cluster(vectors, id=ids if with_ids else None, algorithm="hdbscan", sample_size=sample)

    tree, scores, exemplars = clustering.condensed_tree(), clustering.outlier_scores, clustering.exemplars
    assert tree is not None and scores is not None and exemplars is not None
    by_tree = clusters_by_tree(tree)
    assert len(clustering.clusters) == 3
    assert by_tree == {row: cluster_id(clustering.labels[row]) for row in by_tree}
    assert sorted(by_tree) == np.flatnonzero(~np.isnan(scores)).tolist()
    assert len(by_tree) == (sample or len(vectors))
    assert np.nanmin(scores[clustering.labels < 0]) > np.nanmax(scores[clustering.labels >= 0])
    assert [cluster.size for cluster in clustering.clusters] == np.bincount(
        clustering.labels[clustering.labels >= 0]
    ).tolist()
    for number, own in enumerate(exemplars):
        rows = [list(clustering.ids).index(id) for id in own]
        assert rows and {int(clustering.labels[row]) for row in rows} == {number}
        assert set(scores[rows].tolist()) == {0.0}
    assert clustering.members()["outlier_score"].to_numpy().tolist() == pytest.approx(scores.tolist(), nan_ok=True)
    assert clustering.members()["outlier_score"].null_count == len(vectors) - len(by_tree)
    assert clustering.centroids()["exemplar_ids"].to_pylist() == [own[:10] for own in exemplars]


def entries_by_id(clustering: shoal.Clustering) -> dict[object, tuple[object, ...]]:
    """Return the tree rows of each document by id and of each cluster by number."""
    tree = clustering.condensed_tree()
    assert tree is not None
    children = [clustering.ids[child] if child < len(clustering) else child for child in tree["child"].to_pylist()]
    columns = ("parent", "lambda_val", "child_size", "cluster_id")
    return dict(zip(children, zip(*(tree[name].to_pylist() for name in columns), strict=True), strict=True))


def test_the_tree_does_not_depend_on_row_order_if_ids_are_given() -> None:
    vectors, ids = make_groups_and_outliers()
    order = np.random.default_rng(9).permutation(len(ids))

    clustering = shoal.cluster(vectors, id=ids, algorithm="hdbscan")
    two = shoal.cluster(vectors[order], id=[ids[row] for row in order], algorithm="hdbscan")

    assert clustering.outlier_scores is not None and two.outlier_scores is not None
    assert np.array_equal(clustering.outlier_scores[order], two.outlier_scores)
    assert clustering.exemplars == two.exemplars
    assert entries_by_id(clustering) == entries_by_id(two)


def test_a_tree_that_is_one_cluster_says_so() -> None:
    vectors = np.random.default_rng(2).normal(1, 0.1, (40, 6)).astype(np.float32)

    clustering = shoal.cluster(vectors, algorithm="hdbscan", allow_single_cluster=True, min_cluster_size=15)

    tree = clustering.condensed_tree()
    assert tree is not None
    assert json.loads(tree.schema.metadata[b"selected"]) == {"cl_0": 40}
    assert {clustering.labels[row] for row, id in clusters_by_tree(tree).items() if id == "cl_0"} >= {0}


def test_kmeans_has_no_tree(tmp_path: Path) -> None:
    clustering = shoal.cluster(three_groups(), algorithm="kmeans", n_clusters=3)

    assert clustering.outlier_scores is None and clustering.exemplars is None and clustering.condensed_tree() is None
    assert "outlier_score" not in clustering.members().column_names
    assert "exemplar_ids" not in clustering.centroids().column_names
    assert not (clustering.save(tmp_path / "results") / "condensed_tree.parquet").exists()


def test_the_tree_is_written_beside_the_members_and_goes_with_them(tmp_path: Path) -> None:
    vectors, ids = make_groups_and_outliers()
    clustering = shoal.cluster(vectors, id=ids, algorithm="hdbscan")

    folder = clustering.save(tmp_path / "results")

    written = pq.read_table(folder / "condensed_tree.parquet")
    assert written.equals(clustering.condensed_tree(), check_metadata=True)
    members = pq.read_table(folder / "members.parquet")["cluster_id"].to_pylist()
    assert clusters_by_tree(written) == dict(enumerate(members))
    shoal.cluster(vectors, algorithm="kmeans", n_clusters=3).save(folder)
    assert not (folder / "condensed_tree.parquet").exists()


def test_what_is_shown_names_the_clusters_and_is_harmless_html() -> None:
    texts = ["<script>alert(1)</script> rain"] * 45
    clustering = shoal.cluster(three_groups(), text=texts, algorithm="kmeans", n_clusters=3)

    assert repr(clustering).startswith("<Clustering of 45 documents: 3 clusters, 0 in none>")
    assert len(repr(clustering).splitlines()) == 4
    page = clustering._repr_html_()
    assert "<script" not in page
    assert page.count("<tr>") == 4


def test_results_are_written_as_a_folder(tmp_path: Path) -> None:
    clustering = shoal.cluster(three_groups(), algorithm="kmeans", n_clusters=3)

    folder = clustering.save(tmp_path / "a" / "results", note="mine")

    assert pq.read_table(folder / "members.parquet").num_rows == 45
    assert pq.read_table(folder / "centroids.parquet")["num_members"].to_pylist() == [15, 15, 15]
    assert json.loads((folder / "summary.json").read_bytes())["note"] == "mine"


def test_a_failed_write_leaves_the_earlier_results(tmp_path: Path) -> None:
    clustering = shoal.cluster(three_groups(), algorithm="kmeans", n_clusters=3)
    folder = clustering.save(tmp_path / "results")
    before = (folder / "summary.json").read_bytes()

    with pytest.raises(TypeError):
        clustering.save(folder, note=object())

    assert (folder / "summary.json").read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["results"]


def test_progress_hears_the_stages_and_can_stop_it() -> None:
    heard: list[str] = []

    shoal.cluster(
        three_groups(),
        text=["a word"] * 45,
        algorithm="kmeans",
        progress=lambda stage, fraction: heard.append(stage),
    )

    assert [stage for stage in dict.fromkeys(heard) if stage in ("choose_k", "cluster", "name")] == [
        "choose_k", "cluster", "name"
    ]  # fmt: skip

    def stop(stage: str, fraction: float) -> None:
        raise shoal.ShoalError("enough")

    with pytest.raises(ShoalError, match="enough"):
        shoal.cluster(three_groups(), progress=stop)


def test_the_example_in_the_docstring_is_true() -> None:
    tested = doctest.testmod(shoal.library.from_python)

    assert tested.attempted > 0
    assert tested.failed == 0


@pytest.mark.slow
def test_ids_in_any_order_give_each_document_its_layers_and_duplicates() -> None:
    rng = np.random.default_rng(4)
    points = np.eye(5, 12).repeat(40, axis=0) + rng.normal(0, 0.1, (200, 12))
    points[7] = points[3]
    ids = [f"d{number:03d}" for number in range(200)]
    order = rng.permutation(200)

    clustering = shoal.cluster(points, id=ids, algorithm="auto")
    two = shoal.cluster(points[order], id=[ids[row] for row in order], algorithm="auto")

    for first, second in (
        (clustering.near_duplicates(), two.near_duplicates()),
        (clustering.layers_table(), two.layers_table()),
    ):
        assert first is not None
        assert second is not None
        assert first.sort_by("document_id").equals(second.sort_by("document_id"))
    near = clustering.near_duplicates()
    assert near is not None
    assert {"d003", "d007"} <= set(near["document_id"].to_pylist())
    of_one, of_two = (json.loads(json.dumps(value.summary())) for value in (clustering, two))
    assert of_one["layers"]["clusters"] == of_two["layers"]["clusters"]
    assert shoal.cluster(points, algorithm="kmeans", n_clusters=3).layers_table() is None


@pytest.mark.slow
def test_a_clustering_like_an_earlier_one_keeps_its_map() -> None:
    rng = np.random.default_rng(8)
    points = np.eye(6, 12).repeat(70, axis=0) + rng.normal(0, 0.1, (420, 12))
    ids = [f"d{number}" for number in rng.permutation(420)]
    earlier = shoal.cluster(points[:400], id=ids[:400], n_clusters=6)

    later = shoal.cluster(points, id=ids, n_clusters=6, like=earlier)
    fresh = shoal.cluster(points, id=ids, n_clusters=6)

    assert earlier.coordinates is not None
    assert later.coordinates is not None
    assert fresh.coordinates is not None
    extent = np.ptp(earlier.coordinates, axis=0).max()
    assert np.linalg.norm(later.coordinates[:400] - earlier.coordinates, axis=1).max() <= 0.01 * extent
    assert np.linalg.norm(fresh.coordinates[:400] - earlier.coordinates, axis=1).max() > 0.01 * extent
