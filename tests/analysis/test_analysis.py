"""From points and words to named clusters."""

import numpy as np
import pytest

from shoal.analysis.analyse import analyse
from shoal.engine.plan import Plan


@pytest.mark.parametrize("blank", ["", "   ", "\n"])
def test_representatives_with_text_come_before_those_without(blank: str) -> None:
    rng = np.random.default_rng(3)
    points = np.eye(6, dtype=np.float32)[:3].repeat(20, axis=0) + rng.normal(0, 0.05, (60, 6)).astype(np.float32)
    ids = [f"d{n:02d}" for n in range(60)]
    plan = Plan(algorithm="kmeans", params={"n_clusters": 3})
    texts = [f"a lost card, {id}" for id in ids]
    near = analyse(ids, points, texts, plan).outcome.representatives
    for rows in near:
        for row in rows.tolist():
            texts[row] = blank

    analysis = analyse(ids, points, texts, plan)

    for cluster in analysis.clusters:
        assert cluster.examples == tuple(f"a lost card, {id}" for id in cluster.representatives)
        assert all(texts[ids.index(str(id))].strip() for id in cluster.representatives)


def test_equal_texts_are_one_example() -> None:
    points = np.eye(6, dtype=np.float32)[:2].repeat(10, axis=0)
    texts = ["A lost card", "a lost card"] * 10

    analysis = analyse([f"d{n}" for n in range(20)], points, texts, Plan(algorithm="kmeans", params={"n_clusters": 2}))

    assert [len(cluster.examples) for cluster in analysis.clusters] == [1, 1]


def test_where_few_have_text_the_others_still_represent_the_cluster() -> None:
    points = np.eye(6, dtype=np.float32)[:2].repeat(10, axis=0)
    points += np.random.default_rng(3).normal(0, 0.05, (20, 6)).astype(np.float32)
    texts = ["a lost card" if n % 10 == 0 else "" for n in range(20)]

    analysis = analyse(
        [f"d{n:02d}" for n in range(20)], points, texts, Plan(algorithm="kmeans", params={"n_clusters": 2})
    )

    assert [
        (len(cluster.representatives), cluster.representatives[0], cluster.examples) for cluster in analysis.clusters
    ] == [
        (5, "d00", ("a lost card",)),
        (5, "d10", ("a lost card",)),
    ]
