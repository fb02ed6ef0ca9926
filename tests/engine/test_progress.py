"""Progress reports of a clustering, each of which can cancel it."""

from collections import Counter

import numpy as np
import pytest

from shoal.engine import ALGORITHMS, Outcome, Plan, clustering, compute
from shoal.engine.algorithms import agglomerative, mean_shift, spectral
from shoal.engine.plan import make_monotonic

PARAMS: dict[str, dict[str, object]] = {
    "kmeans": {"n_clusters": 60, "n_init": 2},
    "agglomerative": {"n_clusters": 6},
    "spectral": {"n_clusters": 6},
    "gaussian_mixture": {"n_components": 6, "covariance_type": "diag"},
    "dbscan": {"eps": 0.6},
}


class Stopped(Exception):
    """Raised to cancel."""


def run(algorithm: str, report: object, *, normalize: bool = True, rows: int = 3000, threads: int = 2) -> Outcome:
    rng = np.random.default_rng(0)
    points = (rng.normal(size=(60, 24))[rng.integers(0, 60, rows)] + rng.normal(size=(rows, 24))).astype(np.float32)
    plan = Plan(algorithm=algorithm, params=PARAMS.get(algorithm, {}), normalize=normalize, threads=threads)
    return compute(points, plan, report)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("few", [True, False], ids=["all rows", "micro-clusters"])
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_progress_never_goes_backwards_and_ends_at_1(
    algorithm: str, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part reports after the one before, so that nothing has to be held back: one thread, no `make_monotonic`."""
    monkeypatch.setattr(clustering, "make_monotonic", lambda progress: progress)
    method = {"agglomerative": agglomerative, "mean_shift": mean_shift, "spectral": spectral}.get(algorithm)
    if method is not None and not few:  # as of many rows
        monkeypatch.setattr(method, "_MAX_EXACT", 200)
        monkeypatch.setattr(method, "_MICRO_CLUSTERS", 100)
    rng = np.random.default_rng(0)
    points = (rng.normal(size=(9, 12))[rng.integers(0, 9, 400)] + 0.3 * rng.normal(size=(400, 12))).astype(np.float32)
    params = {"n_clusters": 9} if algorithm == "kmeans" else {}  # others choose theirs from the data
    heard: list[tuple[str, float]] = []

    plan = Plan(algorithm=algorithm, params=params, normalize=few, threads=1)
    compute(points, plan, lambda *of: heard.append(of))

    stages = list(dict.fromkeys(stage for stage, _ in heard))
    assert stages == ["cluster", "describe", "layout"]
    assert heard == sorted(heard, key=lambda of: (stages.index(of[0]), of[1]))
    for stage in stages:
        fractions = [fraction for of, fraction in heard if of == stage]
        assert fractions[0] == 0 and fractions[-1] == 1


def test_overlapping_parts_of_a_stage_are_reported_in_order() -> None:
    reported: list[tuple[str, float]] = []
    report = make_monotonic(lambda stage, fraction: reported.append((stage, fraction)))

    for fraction in (0.2, 0.1, 0.5, 1.5):
        report("cluster", fraction)
    report("describe", 0.0)

    assert reported == [("cluster", 0.2), ("cluster", 0.2), ("cluster", 0.5), ("cluster", 1.0), ("describe", 0.0)]


@pytest.mark.parametrize("normalize", [True, False])
def test_a_description_reports_each_part_and_can_be_cancelled_there(normalize: bool) -> None:
    reported: Counter[str] = Counter()
    run("kmeans", lambda stage, _: reported.update([stage]), normalize=normalize)
    assert reported["describe"] >= 15

    for last in (1, reported["describe"] // 3, reported["describe"] // 2, reported["describe"] - 1):
        heard: Counter[str] = Counter()

        def stop(stage: str, fraction: float, heard: Counter[str] = heard, last: int = last) -> None:
            heard.update([stage])
            if heard["describe"] == last:
                raise Stopped

        with pytest.raises(Stopped):
            run("kmeans", stop, normalize=normalize)
        assert heard["describe"] == last and not heard["layout"]


@pytest.mark.parametrize("normalize", [True, False])
def test_a_description_is_the_same_on_any_number_of_threads(normalize: bool) -> None:
    one, three = (run("kmeans", lambda *_: None, normalize=normalize, threads=threads) for threads in (1, 3))

    assert one.metrics == three.metrics
    assert one.medoids.tolist() == three.medoids.tolist() and one.cohesion == three.cohesion
    assert one.distances.tolist() == three.distances.tolist()


@pytest.mark.parametrize(("stage", "fewest"), [("cluster", 15), ("layout", 15)])
def test_codes_neighbours_and_maps_report_each_part_and_can_be_cancelled_there(stage: str, fewest: int) -> None:
    """Before there is any fraction to report: rows so many that their codes are worth making."""
    rng = np.random.default_rng(1)
    points = rng.normal(size=(1200, 130)).astype(np.float32)
    plan = Plan(algorithm="kmeans", params={"n_clusters": 120, "n_init": 1, "max_iter": 2}, threads=2)
    heard: list[float] = []
    compute(points, plan, lambda of, fraction: heard.append(fraction) if of == stage else None)
    assert heard.count(0.0) >= fewest

    for last in range(2, fewest):
        count = [0]

        def stop(of: str, _: float, count: list[int] = count, last: int = last) -> None:
            count[0] += of == stage
            if count[0] == last:
                raise Stopped

        with pytest.raises(Stopped):
            compute(points, plan, stop)
        assert count[0] == last
