"""Choosing the number of clusters."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from shared_data import load, vectors
from shoal.engine.kmeans.choose_k import choose_k
from shoal.errors import Cancelled, InvalidField

pytestmark = pytest.mark.slow

Points = NDArray[np.float32]


@pytest.mark.parametrize("truth", [3, 12, 40])
def test_separate_groups_are_counted_to_within_a_step_of_the_grid(truth: int) -> None:
    rng = np.random.default_rng(truth)
    centers = rng.normal(size=(truth, 16))
    points = (centers[rng.integers(0, truth, 1600)] + rng.normal(size=(1600, 16)) * 0.15).astype(np.float32)

    found = choose_k(points)

    assert truth / 1.5 <= found.k <= truth * 1.5
    assert found.clear
    assert found.reason.startswith(f"{found.k} clusters: ")


def test_neither_threads_nor_the_order_of_the_rows_change_the_number(blobs: Callable[..., Points]) -> None:
    points = blobs(n=6500, d=3)
    order = np.random.default_rng(1).permutation(len(points))

    assert choose_k(points, threads=1) == choose_k(points[order], threads=3)


def without_groups(kind: str, rows: int, dimensions: int) -> Points:
    rng = np.random.default_rng([rows, dimensions])
    drawn = rng.normal(size=(rows, dimensions)) if kind == "normal" else rng.uniform(size=(rows, dimensions))
    return drawn.astype(np.float32)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("kind", ["normal", "even"])
@pytest.mark.parametrize(
    ("rows", "dimensions"), [(50, 2), (50, 768), (300, 2), (300, 10), (300, 128), (1500, 2), (1500, 32)]
)
def test_rows_without_groups_are_reported_to_have_no_structure(
    rows: int, dimensions: int, kind: str, normalize: bool
) -> None:
    found = choose_k(without_groups(kind, rows, dimensions), normalize=normalize)

    assert not found.clear
    assert found.k == 2
    assert found.reason.startswith("No structure")


def test_the_search_goes_on_where_the_best_number_lies_at_its_end() -> None:
    rng = np.random.default_rng(5)
    points = np.repeat(rng.normal(size=(130, 32)), 8, axis=0) + 0.1 * rng.normal(size=(1040, 32))

    found = choose_k(points)

    assert 1.5 * np.sqrt(len(points)) < 60
    assert 100 <= found.k <= 160


@pytest.mark.parametrize("total", [0, 1, 2, 3, 4, 9])
@pytest.mark.parametrize("normalize", [True, False])
def test_few_or_equal_rows_have_a_result(total: int, normalize: bool) -> None:
    rng = np.random.default_rng(0)

    k = choose_k(rng.normal(size=(total, 3)), normalize=normalize).k

    assert 2 <= k <= 4
    assert choose_k(np.ones((total, 3)), normalize=normalize).k == 2


def test_invalid_rows_are_rejected_and_the_search_can_be_cancelled(blobs: Callable[..., Points]) -> None:
    def stop(stage: str, fraction: float) -> None:
        assert stage == "choose_k"
        raise Cancelled("stop")

    with pytest.raises(InvalidField, match="row 1 is all zeros"):
        choose_k(np.array([[1, 2], [0, 0]]))
    with pytest.raises(Cancelled):
        choose_k(blobs(), progress=stop)


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "column", "truth"), [("fashion900", "pca64", 10), ("mnist10k", "pca64", 10)])
def test_clusters_of_real_pictures_are_counted_to_within_a_factor_of_two(name: str, column: str, truth: int) -> None:
    k = choose_k(vectors(load(name), column)).k

    assert truth / 2 <= k <= truth * 2
