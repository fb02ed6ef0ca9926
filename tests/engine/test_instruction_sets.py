"""Every instruction set of this processor gives the defined results, bit for bit."""

from collections.abc import Iterator
from functools import cache
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from native_fuzz import DIMENSIONS, KINDS, Case, distances, mismatches, require_core, run_on
from shoal.engine import kernels
from shoal.engine.neighbors import lists as neighbor_lists
from shoal.engine.neighbors.lists import find_neighbors
from shoal.engine.parallel import one_blas_thread
from shoal.engine.plan import ignore_progress
from shoal.engine.rows import coding
from shoal.engine.rows.coding import encode, fit_frame, pair_blocks

Points = NDArray[np.float32]

pytestmark = pytest.mark.skipif(kernels.native() is None, reason="needs the compiled core; this installation has none")

SETS = [] if kernels.native() is None else require_core().available_instructions()
HARD = {"rank 1": (1000, 256), "dominant column": (1000, 256), "low rank": (400, 1536)}  # codes say least of these


@pytest.mark.slow
@pytest.mark.parametrize(("number", "kind"), list(enumerate(KINDS)))
def test_every_instruction_set_and_the_reference_give_the_defined_result(number: int, kind: str) -> None:
    """Two dimensions a kind; `make fuzz-native` takes all, with many seeds."""
    for step in (0, 7):
        d = DIMENSIONS[(number * 4 + step) % len(DIMENSIONS)]
        assert mismatches(Case(kind, d, seed=1)) == []


@pytest.fixture(autouse=True)
def _one_blas_thread() -> Iterator[None]:
    with one_blas_thread():
        yield


@cache
def hard_rows(kind: str) -> tuple[Points, NDArray[np.int64]]:
    """Rows, and the 10 nearest others of each by float64 differences, equal distances by position."""
    made = KINDS[kind](np.random.default_rng(5), *HARD[kind])
    points = np.ascontiguousarray(made.astype(np.float32))
    away = distances(points, points)
    np.fill_diagonal(away, np.inf)
    return points, np.argsort(away, axis=1, kind="stable")[:, :10]


@pytest.mark.parametrize(("kind", "instructions"), list(product(HARD, SETS)))
def test_neighbours_reported_as_exact_are_exact_even_if_codes_are_uninformative(kind: str, instructions: str) -> None:
    points, nearest = hard_rows(kind)
    with run_on(instructions):
        found = find_neighbors(points, np.arange(len(points)), 10, threads=2, progress=ignore_progress)

    assert found.exact
    assert np.array_equal(found.rows, nearest)


@pytest.mark.parametrize("share", [0.0, 0.35])
def test_a_smaller_margin_would_lose_neighbours_of_these_rows(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the test above can fail: with less than the whole error of the codes, it does."""
    monkeypatch.setattr(neighbor_lists, "CERTAINTY", share)
    points, nearest = hard_rows("rank 1")
    found = find_neighbors(points, np.arange(len(points)), 10, threads=2, progress=ignore_progress)

    assert coding.CERTAINTY == 1.0
    assert (found.rows != nearest).any()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normalised", "heavy tails", "low rank"])
def test_approximate_lists_do_not_depend_on_the_instruction_set(kind: str) -> None:
    rng = np.random.default_rng(8)
    points = np.ascontiguousarray(KINDS[kind](rng, 6200, 64).astype(np.float32))
    found = {}
    for instructions in SETS:
        with run_on(instructions):
            rows = np.arange(len(points))
            found[instructions] = find_neighbors(points, rows, 8, threads=2, progress=ignore_progress, approximate=True)

    assert not found["portable"].exact
    for lists in found.values():
        assert np.array_equal(lists.rows, found["portable"].rows)
        assert np.array_equal(lists.distances, found["portable"].distances)


def scan_hits(points: Points) -> int:
    """Pairs that the scan lets through when the 15 nearest of each row are sought."""
    order = np.arange(len(points), dtype=np.int32)
    codes = encode(points, fit_frame(points, require_core().levels()), order, 2)
    pairs = pair_blocks(len(points), require_core().BLOCK)
    return int(require_core().nearest_rows(codes, points, order, order, 15, 1.0, pairs, 2, None)[2])


@pytest.mark.parametrize("instructions", SETS)
def test_a_few_rows_far_away_do_not_spoil_the_codes_of_all(instructions: str) -> None:
    rng = np.random.default_rng(9)
    points = KINDS["normalised"](rng, 3000, 64)
    far = rng.permutation(len(points))[:30]
    scattered = points.copy()
    scattered[far] *= 1000
    with run_on(instructions):
        before, after = (scan_hits(rows.astype(np.float32)) for rows in (points, scattered))

    assert after < before + 2 * len(far) * len(points)  # each far row may have to be compared with all others


def code_error(points: Points) -> float:
    """How far rows are from their codes on average, as a share of their length."""
    frame = fit_frame(points, require_core().levels())
    codes = encode(points, frame, np.arange(len(points), dtype=np.int32), 1)
    return float(codes.mean_error() / np.linalg.norm(points - frame.mean, axis=1).mean())


def test_wide_rows_are_coded_about_as_well_as_narrow_ones() -> None:
    """Up to 1,024 dimensions all directions are turned, beyond the leading ones: neither is to be much worse."""
    rng = np.random.default_rng(10)
    spectrum = (np.arange(1100) + 12.0) ** -0.55
    middles = rng.standard_normal((60, 1100)) * spectrum
    points = (middles[rng.integers(0, 60, 800)] + rng.standard_normal((800, 1100)) * spectrum).astype(np.float32)
    narrow = code_error(np.ascontiguousarray(points[:, :1000]))

    assert code_error(points) < 1.5 * narrow


def test_rows_and_centers_for_different_instructions_are_rejected() -> None:
    if len(SETS) < 2:
        pytest.skip("this processor has one instruction set")
    points = np.random.default_rng(1).standard_normal((40, 16)).astype(np.float32)
    order = np.arange(40, dtype=np.int32)
    codes = []
    for instructions in SETS[-2:]:
        with run_on(instructions):
            codes.append(encode(points, fit_frame(points, 63), order, 1))

    with pytest.raises(ValueError, match="for the same instructions"):
        require_core().two_nearest(codes[0], points, order, codes[1], points, order, 1, None)
