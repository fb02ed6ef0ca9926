"""From a run's input to its groups: by the vectors together, by each feature apart, or by the values of fields."""

from shoal.engine.plan import Progress, StageCache, bypass_cache
from shoal.records.clusters.cluster import Cluster
from shoal.records.runs.execution import Execution
from shoal.runs.grouping.attribute_groups import group_by_values
from shoal.runs.grouping.feature_groups import group_apart
from shoal.runs.grouping.groups import NewGroups
from shoal.runs.grouping.vector_groups import group_by_vectors
from shoal.runs.input import RunInput

__all__ = ["group"]


def group(
    source: RunInput,
    cluster: Cluster,
    run: Execution,
    progress: Progress,
    threads: int,
    keep: StageCache = bypass_cache,
) -> NewGroups:
    """Find the groups; `keep` is asked for the stages of each clustering.

    Raises RunFailed, InvalidField, Cancelled.
    """
    if cluster.cluster_type == "attribute":
        return group_by_values(source, cluster)
    if source.parts:
        return group_apart(source, cluster, run, progress, threads, keep)
    return group_by_vectors(source, cluster, run, progress, threads, keep)
