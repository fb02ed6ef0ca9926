"""The figures behind three choices in docs/decisions.md: starts of k-means, defaults that fit no data, probabilities.

`python benchmarks/bench_choices.py` prints

- how far two writings of the same 400 rows, which differ in the last digits alone, agree (adjusted Rand index): by
  k-means with one start, and with several, as the library takes them;
- the share of rows that DBSCAN leaves out with the contract's eps 0.5, on real embeddings;
- how far probabilities of clusters are from how often they come true (expected calibration error), on rows that were
  not fitted: with the dimensions in which members really differ, with all, and with one.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from shared_data import load, vectors
from shoal.engine import Plan, compute
from shoal.engine.cluster_probabilities import Mixture
from shoal.engine.rows.geometry import unit_rows

ROWS, CLUSTERS, SETS = 400, 20, 5
BINS = 10

Floats = NDArray[np.floating]


def labels(points: Floats, **params: object) -> NDArray[np.int32]:
    return compute(np.asarray(points, np.float32), Plan(algorithm="kmeans", params=params, components=0)).labels


def two_writings() -> None:
    points_ = vectors(load("banking77"))
    for starts in (1, 10):
        results = []
        for number in range(SETS):
            rows = np.random.default_rng(number).choice(len(points_), ROWS, replace=False)
            own = points_[rows]
            written = np.round(own.astype(np.float64), 6)
            first, second = (labels(value, n_clusters=CLUSTERS, n_init=starts) for value in (own, written))
            results.append(adjusted_rand_score(first, second))
        print(
            f"k-means, {starts:>2} starts, two writings agree: {min(results):.2f} to {max(results):.2f} on {SETS} sets"
        )


def left_out() -> None:
    for name, column in (("banking77", "embedding"), ("clinc150", "embedding"), ("movies", "embedding")):
        points = vectors(load(name), column)
        out = float((compute(points, Plan(algorithm="dbscan", params={"eps": 0.5}, components=0)).labels < 0).mean())
        print(f"DBSCAN with eps 0.5 leaves {out:.0%} of {name} out")


def calibration() -> None:
    for name in ("banking77", "clinc150"):
        table = load(name)
        classes = table["label"].to_numpy(zero_copy_only=False).astype(str)
        inside = classes != "oos"  # no class, but what is in none
        truth = np.unique(classes[inside], return_inverse=True)[1]
        points = unit_rows(vectors(table)[inside])
        order = np.random.default_rng(0).permutation(len(points))
        learned_, held_out = order[::2], order[1::2]
        centroids = np.stack(
            [points[learned_][truth[learned_] == item].mean(axis=0) for item in range(truth.max() + 1)]
        )
        squares = ((points[learned_] - centroids[truth[learned_]]) ** 2).sum(axis=1).astype(np.float64)
        variances = {
            "those that differ": squares.var() / (2 * squares.mean()),
            "all": squares.mean() / points.shape[1],
            "one": squares.mean(),
        }
        for kind, variance in variances.items():
            probabilities = Mixture(centroids.astype(np.float64), float(variance)).probabilities(points[held_out])
            error = calibration_error(probabilities, truth[held_out])
            print(f"probabilities of {name}, dimensions counted: {kind}: expected calibration error {error:.2f}")


def calibration_error(predicted: Floats, truth: NDArray[np.int64]) -> float:
    sure, right = predicted.max(axis=1), predicted.argmax(axis=1) == truth
    part = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [abs(sure[part == n].mean() - right[part == n].mean()) * np.mean(part == n) for n in np.unique(part)]
    return float(sum(gaps))


def main() -> None:
    two_writings()
    left_out()
    calibration()


if __name__ == "__main__":
    main()
