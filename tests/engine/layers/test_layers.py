"""Layers of granularity."""

import numpy as np

from shoal.engine.layers.layers import find_nearest_parts


def test_a_row_joins_the_nearest_of_the_parts_of_its_own_cluster() -> None:
    rng = np.random.default_rng(0)
    clusters, parts, rows = 6, 17, 300
    parents = np.concatenate([[-1, 5], rng.integers(0, clusters - 1, parts - 2)]).astype(np.int32)
    means = rng.normal(size=(parts, 4)).astype(np.float32)
    points = rng.normal(size=(2 * rows, 4)).astype(np.float32)
    chosen = np.sort(rng.choice(2 * rows, rows, replace=False)).astype(np.int64)
    labels = rng.integers(-1, clusters + 1, rows).astype(np.int32)  # the last has no part, -1 is noise

    found = find_nearest_parts(parents, means, labels, points, chosen, 2)

    for row, cluster, part in zip(chosen, labels, found, strict=True):
        own = np.flatnonzero(parents == cluster) if cluster >= 0 else np.array([], np.int64)
        away = ((points[row] - means[own]) ** 2).sum(axis=1)
        assert part == (own[int(np.argmin(away))] if len(own) else -1)
