"""Every method assigns new rows to its clusters, and treats rows that fit none as noise."""

import numpy as np
import pytest

import shoal
from shoal.engine import ALGORITHMS, Plan, compute
from shoal.errors import InvalidField

GROUPS = 3 * np.eye(4, 16)
"""Four directions."""


def rows(seed: int, each: int = 40) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (GROUPS.repeat(each, axis=0) + rng.normal(0, 0.15, (4 * each, 16))).astype(np.float32)


PARAMS: dict[str, dict[str, object]] = {
    "kmeans": {"n_clusters": 4, "n_init": 1},
    "agglomerative": {"n_clusters": 4},
    "spectral": {"n_clusters": 4},
    "gaussian_mixture": {"n_components": 4, "covariance_type": "diag"},
    "dbscan": {"eps": 0.4},
}


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
@pytest.mark.parametrize("normalize", [True, False])
def test_new_rows_join_their_group_and_outliers_are_noise(algorithm: str, normalize: bool) -> None:
    params = PARAMS.get(algorithm, {}) | ({"eps": 1.2} if algorithm == "dbscan" and not normalize else {})
    plan = Plan(algorithm=algorithm, params=params, normalize=normalize, components=0, keep_model=True)
    outcome = compute(rows(0), plan)
    assert outcome.model is not None
    new = rows(1, 25)
    rng = np.random.default_rng(5)
    between = 0 if algorithm == "hdbscan" else 60  # which accepts rows that are nearer than another group
    strangers = np.vstack([-GROUPS, rng.normal(size=(between, 16)) * 3]).astype(np.float32)

    found = outcome.model.assign(new)
    stray = outcome.model.assign(strangers)

    first = outcome.labels.reshape(4, 40)
    home = np.array([np.bincount(group[group >= 0]).argmax() for group in first])
    inside = found.labels >= 0
    assert inside.mean() > 0.75
    assert (found.labels[inside] == home.repeat(25)[inside]).all()
    assert (stray.labels >= 0).mean() < 0.1
    assert (found.strengths[~inside] == 0).all()
    assert ((found.strengths >= 0) & (found.strengths <= 1)).all()
    some = [0, 30, 55, 80]
    alone = [outcome.model.assign(new[row : row + 1]) for row in some]
    assert [int(one.labels[0]) for one in alone] == found.labels[some].tolist()
    assert [float(one.strengths[0]) for one in alone] == found.strengths[some].tolist()


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_fitted_rows_are_assigned_to_their_own_cluster(algorithm: str) -> None:
    points = rows(0)
    plan = Plan(algorithm=algorithm, params=PARAMS.get(algorithm, {}), components=0, keep_model=True)
    outcome = compute(points, plan)
    assert outcome.model is not None

    found = outcome.model.assign(points)

    both = (found.labels >= 0) & (outcome.labels >= 0)
    assert both.mean() > 0.75
    assert (found.labels[both] == outcome.labels[both]).all()


def crowd(seed: int) -> np.ndarray:
    """Rows of which some are noise, some at the edge of a cluster, and a third duplicated several times."""
    rng = np.random.default_rng(seed)
    own = GROUPS[rng.integers(0, 4, 160)] + rng.normal(0, 0.5, (160, 16))
    return np.vstack([own, own[rng.integers(0, 60, 80)], rng.normal(0, 2, (20, 16))]).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("sample", [None, 150])
def test_a_fitted_row_is_assigned_as_it_was_fitted(algorithm: str, normalize: bool, sample: int | None) -> None:
    points = crowd(3)
    params = PARAMS.get(algorithm, {}) | ({"eps": 1.6} if algorithm == "dbscan" and not normalize else {})
    plan = Plan(
        algorithm=algorithm, params=params, normalize=normalize, components=0, keep_model=True, sample_size=sample
    )
    outcome = compute(points, plan)
    assert outcome.model is not None

    found = outcome.model.assign(points)
    some = outcome.model.assign(points[200:210])

    assert found.labels.tolist() == outcome.labels.tolist()
    assert found.strengths.tolist() == outcome.strengths.tolist()
    assert some.labels.tolist() == outcome.labels[200:210].tolist()


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
@pytest.mark.parametrize("sample", [None, 150])
def test_equal_rows_have_equal_labels(algorithm: str, sample: int | None) -> None:
    points = crowd(4)
    plan = Plan(algorithm=algorithm, params=PARAMS.get(algorithm, {}), components=0, sample_size=sample)

    labels = compute(points, plan).labels

    _, where = np.unique(points, axis=0, return_inverse=True)
    assert len(np.unique(np.stack([where.ravel(), labels]), axis=1).T) == where.max() + 1


def test_a_row_beside_a_fitted_one_is_not_denser() -> None:
    rng = np.random.default_rng(0)
    points = np.vstack([rng.normal(0, 0.1, (60, 4)), rng.normal(3, 0.1, (60, 4)), rng.normal(1.5, 1.5, (60, 4))])
    plan = Plan(algorithm="hdbscan", normalize=False, components=0, keep_model=True)
    outcome = compute(points.astype(np.float32), plan)
    assert outcome.model is not None and (outcome.labels < 0).sum() > 15

    beside = outcome.model.assign(points.astype(np.float32) + np.float32(1e-5))

    assert (beside.labels == outcome.labels).mean() > 0.95


def test_clusters_of_a_sample_take_new_rows_under_the_numbers_of_the_whole() -> None:
    points = rows(0, 200)
    plan = Plan(algorithm="auto", sample_size=300, components=0, keep_model=True)
    outcome = compute(points, plan)
    assert outcome.model is not None

    found = outcome.model.assign(points)

    both = (found.labels >= 0) & (outcome.labels >= 0)
    assert both.mean() > 0.8
    assert (found.labels[both] == outcome.labels[both]).mean() > 0.99


def test_without_keep_model_there_is_no_model() -> None:
    assert compute(rows(0), Plan(algorithm="auto", components=0)).model is None


def test_the_library_assigns_later_rows() -> None:
    clustering = shoal.cluster(rows(0), n_clusters=4)

    found = clustering.assign(rows(1).tolist())

    assert found.labels.shape == (160,)
    assert len(set(found.labels.reshape(4, 40)[:, 0].tolist())) == 4
    with pytest.raises(InvalidField, match="has no rows"):
        clustering.assign(np.zeros((0, 16)))
    with pytest.raises(InvalidField, match="16 dimensions"):
        clustering.assign(np.ones((2, 15)))
    with pytest.raises(InvalidField, match="all zeros"):
        clustering.assign(np.zeros((1, 16)))
