"""Fields of source documents that more than one cluster writes its results into."""

from collections.abc import Sequence
from typing import Final

from shoal.records.clusters.cluster import Cluster
from shoal.records.queries.filters import Condition
from shoal.records.scope import Scope
from shoal.repositories.repository import RepositoryReads
from shoal.runs.config.cluster_config import DEFAULT_MAPPINGS, feature_name, of_feature
from shoal.storage.protocols.records import Query

__all__ = ["find_shared_fields"]

_NAMED: Final = 3


def find_shared_fields(records: RepositoryReads[Cluster], scope: Scope, cluster: Cluster) -> list[str]:
    """Warn if other clusters write into the same fields of documents: the later run replaces what the earlier wrote."""
    if not cluster.enrich_source:
        return []
    own, shared, names = _targets(cluster), list[str](), list[str]()
    for other in records.all(scope, Query(filter=Condition("enrich_source", "eq", True))):
        theirs = _targets(other) if _may_meet(cluster, other) else []
        common = [field for field in own if any(_overlap(field, their) for their in theirs)]
        shared += common
        names += [repr(other.cluster_name)] if common else []
    if not shared:
        return []
    fields = _join_names(list(dict.fromkeys(shared)))
    writers = (
        f"the cluster {names[0]} writes" if len(names) == 1 else f"the clusters {_join_names(sorted(names))} write"
    )
    return [
        f"{fields}: {writers} into the same fields of documents, and the later run replaces what the earlier one wrote "
        "there. To use separate fields, create a cluster with source_enrichment_config: "
        '{"field_mappings": [{"source_field": "cluster_label", "target_field": "topic.label"}, …]}.'
    ]


def _may_meet(cluster: Cluster, other: Cluster) -> bool:
    """Whether two clusters may write into the same document."""
    shared = not set(cluster.input_collections).isdisjoint(other.input_collections)
    return shared and other.cluster_id != cluster.cluster_id


def _targets(cluster: Cluster) -> list[str]:
    """Return the fields of documents that hold results of a cluster."""
    config = cluster.source_enrichment_config
    fields = [mapping.target_field for mapping in (config.field_mappings if config else None) or DEFAULT_MAPPINGS]
    if cluster.multi_feature_strategy != "independent":
        return fields
    features = [feature_name(uri, {}) for uri in cluster.feature_uris or []]
    features += [facet.name for facet in cluster.facets or []]
    return [of_feature(field, feature) for field in fields for feature in features]


def _overlap(field: str, other: str) -> bool:
    """Whether two fields are equal, or one contains the other."""
    return f"{field}.".startswith(f"{other}.") or f"{other}.".startswith(f"{field}.")


def _join_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
