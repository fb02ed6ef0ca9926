"""A program that clusters the same rows with every algorithm and prints digests of the results as JSON."""

import json
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

import shoal
from shoal.engine import ALGORITHMS

GIVEN: dict[str, dict[str, Any]] = {
    "kmeans": {"n_clusters": 9},
    "agglomerative": {"n_clusters": 6},
    "spectral": {"n_clusters": 6},
    "gaussian_mixture": {"n_components": 6, "covariance_type": "diag"},
    "dbscan": {"eps": 0.6},
}
WORDS = ["wire transfer bank", "card stolen blocked", "weather rain snow", "music song play", "flight hotel booking"]


def digest(values: NDArray[Any] | None) -> str:
    return "none" if values is None else sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


def found(vectors: NDArray[np.float32], texts: list[str] | None, algorithm: str, **params: Any) -> dict[str, Any]:
    results = shoal.cluster(vectors, text=texts, algorithm=algorithm, normalize=texts is not None, **params)
    return {
        "labels": digest(results.labels),
        "clusters": len(results.clusters),
        "map": digest(results.coordinates),
        "names": [cluster.label for cluster in results.clusters],
        "assigned": digest(results.assign(vectors + np.float32(1 / 256)).labels),
    }


def main() -> None:
    rng = np.random.default_rng(5)
    group = rng.integers(0, 5, 500)
    texts = [" ".join(rng.permutation(WORDS[own].split())) + " please" for own in group]
    points = rng.normal(size=(5, 48))[group] + rng.normal(size=(500, 48)) * rng.uniform(0.5, 1.6, (500, 1))
    points[350:] = np.round(points[350:] * 2) / 2
    # Hardly any distances on a grid differ, so only tie-breaking decides.
    grid = np.unique(rng.integers(0, 13, (400, 2)), axis=0).astype(np.float32)
    results: dict[str, Any] = {}
    for algorithm in sorted(ALGORITHMS):
        params = GIVEN.get(algorithm, {})
        results[algorithm] = found(points.astype(np.float32), texts, algorithm, **params)
        params = {"eps": 1.0, "min_samples": 3} if algorithm == "dbscan" else params
        results[f"{algorithm} on a grid"] = found(grid, None, algorithm, **params)
    print(json.dumps(results))  # noqa: T201


if __name__ == "__main__":
    main()
