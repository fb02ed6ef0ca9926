"""Cost estimates of a clustering before it runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shoal.engine import Plan
from shoal.engine.cost import Cost, estimate_cost

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "bench_plan_shapes.py"


def planned(rows: int, dimensions: int, algorithm: str = "hdbscan", **params: object) -> Cost:
    return estimate_cost(Plan(algorithm=algorithm, params=params, normalize=False, components=0), rows, dimensions)


@pytest.mark.process
@pytest.mark.parametrize(
    ("rows", "dimensions", "method", "params"),
    [
        (5000, 16, "hdbscan", {"min_samples": 1500}),
        (5000, 64, "hdbscan", {"min_samples": 60}),
        (1200, 1536, "kmeans", {"n_clusters": 700, "n_init": 1}),
    ],
)
def test_a_clustering_takes_no_more_memory_than_estimated(
    rows: int, dimensions: int, method: str, params: dict[str, object]
) -> None:
    given = json.dumps([rows, dimensions, method, params])
    done = subprocess.run([sys.executable, str(BENCHMARK), given], capture_output=True, text=True, check=True)

    measured = json.loads(done.stdout)

    assert 0 < measured["peak"] <= measured["planned"]


def test_more_samples_are_estimated_to_take_longer() -> None:
    few, many, most = (
        planned(12_000, 384),
        planned(12_000, 384, min_samples=500),
        planned(12_000, 384, min_samples=5000),
    )

    assert 2 * few.cpu_seconds < many.cpu_seconds < most.cpu_seconds
    assert few.bytes < many.bytes


def test_the_estimate_of_approximate_lists_grows_with_min_samples() -> None:
    lists = planned(400_000, 64, min_samples=3000)

    assert lists.bytes > 400_000 * 3000 * 80
    assert planned(12_000, 64, min_samples=3000, approximate=True).bytes > 12_000 * 3000 * 80


def test_a_core_distance_never_holds_more_rows_than_there_are() -> None:
    assert planned(1000, 16, min_samples=10**9).bytes == planned(1000, 16, min_samples=1000).bytes


MEASURED: dict[tuple[str, int], float] = {
    ("auto", 5_000): 0.97,
    ("auto", 50_000): 11.4,
    ("auto", 200_000): 64.6,
    ("hdbscan", 5_000): 0.72,
    ("hdbscan", 50_000): 9.8,
    ("kmeans", 5_000): 2.0,
    ("kmeans", 50_000): 8.7,
    ("kmeans", 200_000): 37.9,
}
"""Seconds of CPU that clustering, describing and drawing real embeddings of 384 dimensions took, on the machine of the
constants: `benchmarks/bench_plan_time.py --stages`."""


@pytest.mark.parametrize(("algorithm", "rows"), MEASURED)
def test_the_time_of_embeddings_is_estimated_to_within_a_factor_of_one_and_a_half(algorithm: str, rows: int) -> None:
    params = {"n_clusters": 50, "n_init": 10 if rows <= 5_000 else 1} if algorithm == "kmeans" else {}

    ratio = estimate_cost(Plan(algorithm=algorithm, params=params), rows, 384).cpu_seconds / MEASURED[algorithm, rows]

    assert 1 / 1.5 < ratio < 1.5
