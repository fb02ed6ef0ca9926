"""Every method and every multi-feature strategy has a defined result on every degenerate set (reliability, A15)."""

import warnings
from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from degenerate import DEGENERATE
from shoal.engine import ALGORITHMS, check_params
from shoal.engine.plan import ignore_progress
from shoal.labeling import Budget, WordNamer
from shoal.records.clusters.cluster import Cluster
from shoal.records.runs.execution import Execution
from shoal.runs.grouping.group import group
from shoal.runs.grouping.groups import GroupTables
from shoal.runs.identity.identify import identify
from shoal.runs.input import RunInput
from shoal.runs.naming import briefs_of, name

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARAMS = {"kmeans": {"n_clusters": 3, "n_init": 1}, "gaussian_mixture": {"n_components": 3}}
SETS = sorted(name for name, make in DEGENERATE.items() if len(make()) >= 2)
"""A run with fewer documents is rejected."""


def clustered(points: NDArray[np.float32], algorithm: str, strategy: str, normalize: bool) -> GroupTables:
    ids, where = [f"d{row:03d}" for row in range(len(points))], ["col"] * len(points)
    other = np.ascontiguousarray(points[::-1, :1] + 1)
    blocks = {"a": points, "b": other}
    params, _ = check_params(algorithm, PARAMS.get(algorithm, {}))
    cluster = Cluster(
        cluster_id="clust_a",
        cluster_name="a",
        namespace_id="ns_a",
        organization_id="org_a",
        input_collections=["col"],
        cluster_type="vector",
        algorithm=algorithm,
        algorithm_params=dict(params),
        multi_feature_strategy=strategy,
        weight_learning_config={"max_iterations": 5} if strategy == "weighted" else None,
        normalize_features=normalize,
        created_at=NOW,
        updated_at=NOW,
    )
    parts = {name: RunInput(ids, where, None, {name: block}) for name, block in blocks.items()}
    source = RunInput(ids, where, None, {} if strategy == "independent" else blocks)
    if strategy == "independent":
        source = RunInput(ids, where, None, parts=parts)
    run = Execution(run_id="run_a", cluster_id="clust_a", namespace_id="ns_a", task_id="task_a", created_at=NOW)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = group(source, cluster, run, ignore_progress, 1)
        identity = identify(result.rank(source), None)
        names = name(briefs_of(result, source), WordNamer(), Budget(), ignore_progress)
        return result.tables(source, identity.ids, names)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["concatenate", "weighted", "independent"])
@pytest.mark.parametrize("set_name", SETS)
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_degenerate_features_have_a_defined_result(algorithm: str, set_name: str, strategy: str) -> None:
    points = DEGENERATE[set_name]()
    normalize = set_name not in ("subnormal", "blobs and one far away")

    result = clustered(points, algorithm, strategy, normalize)

    features = 2 if strategy == "independent" else 1
    assert result.members.num_rows == features * len(points)
    assert result.labels.shape == (len(points),)
    assert sum(row["num_members"] for row in result.summary()) <= features * len(points)
    for column in result.members.column_names:
        if column in ("x", "y", "membership_strength"):
            assert np.isfinite(result.members[column].to_numpy()).all(), column
    assert all(value is None or np.isfinite(value) for value in _numbers(result))
    assert all(np.isfinite(column.values).all() for column in result.vectors.values())


def _numbers(found: GroupTables) -> list[float | None]:
    return [value for value in found.metrics.values() if value is None or isinstance(value, float)]
