"""How many clusters, for somebody who does not say."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from shared_data import load, vectors
from shoal.engine.choose_k import choose_k
from shoal.errors import Cancelled, InvalidField

Points = NDArray[np.float32]


@pytest.mark.parametrize("truth", [3, 12, 40])
def test_separate_groups_are_counted_to_within_a_step_of_the_grid(truth: int) -> None:
    rng = np.random.default_rng(truth)
    centers = rng.normal(size=(truth, 16))
    points = (centers[rng.integers(0, truth, 1600)] + rng.normal(size=(1600, 16)) * 0.15).astype(np.float32)

    k, reason = choose_k(points, 42)

    assert truth / 1.5 <= k <= truth * 1.5
    assert reason.startswith(f"{k} clusters: ")


def test_the_same_seed_gives_the_same_number_on_any_threads(blobs: Callable[..., Points]) -> None:
    points = blobs(n=6500, d=3)

    assert choose_k(points, 5, threads=1) == choose_k(points, 5, threads=3)


@pytest.mark.parametrize("total", [0, 1, 2, 3, 4, 9])
@pytest.mark.parametrize("normalize", [True, False])
def test_few_or_equal_rows_have_an_answer(total: int, normalize: bool) -> None:
    rng = np.random.default_rng(0)

    k, _ = choose_k(rng.normal(size=(total, 3)), 1, normalize=normalize)

    assert 2 <= k <= 4
    assert choose_k(np.ones((total, 3)), 1, normalize=normalize)[0] == 2


def test_bad_rows_are_refused_and_the_search_can_be_stopped(blobs: Callable[..., Points]) -> None:
    def stop(stage: str, fraction: float) -> None:
        assert stage == "choose_k"
        raise Cancelled("stop")

    with pytest.raises(InvalidField, match="row 1 is all zeros"):
        choose_k(np.array([[1, 2], [0, 0]]), 1)
    with pytest.raises(Cancelled):
        choose_k(blobs(), 1, progress=stop)


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "column", "truth"), [("fashion900", "pca64", 10), ("mnist10k", "pca64", 10)])
def test_real_pictures_are_counted_to_within_a_factor_of_two(name: str, column: str, truth: int) -> None:
    k, _ = choose_k(vectors(load(name), column), 42)

    assert truth / 2 <= k <= truth * 2
