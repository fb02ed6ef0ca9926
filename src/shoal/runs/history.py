"""The runs of a cluster."""

from shoal.records.queries.filters import And, Condition, Filter
from shoal.storage.protocols.records import Query

__all__ = ["runs_of"]


def runs_of(cluster_id: str, *more: Filter) -> Query:
    """Query the runs of a cluster, newest first."""
    return Query(filter=And((Condition("cluster_id", "eq", cluster_id, case_sensitive=True), *more)))
