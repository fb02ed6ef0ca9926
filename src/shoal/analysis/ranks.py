"""Cluster ids by rank: those of a clustering without a previous one."""

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.analysis.found_clusters import FoundClusters
from shoal.records.clusters.ids import SERIES, format_cluster_id, format_layer_id

__all__ = ["ClusterIds", "rank_clusters"]


@dataclass(frozen=True, slots=True)
class ClusterIds:
    """The ids of clusters by number."""

    clusters: Sequence[str]
    groups: Sequence[str]
    """Ids of the groups above the clusters, nearest first."""
    layers: Sequence[Sequence[str]]
    """For each layer, coarse to fine, the ids of its clusters; the chosen layer has those in `clusters`."""


def rank_clusters(clustering: FoundClusters) -> ClusterIds:
    """Assign ids by rank, largest first, within the group or the series of layers."""
    ids = [format_cluster_id(path) for path in clustering.paths()]
    clusters, groups = ids[: clustering.outcome.clusters], ids[clustering.outcome.clusters :]
    layers, counts = list[Sequence[str]](), dict.fromkeys(SERIES, 0)
    for number, layer in enumerate(clustering.partitions()):
        if number == clustering.chosen:
            layers.append(clusters)
            continue
        series = clustering.series(number)
        first = counts[series]
        layers.append([format_layer_id(series, first + cluster) for cluster in range(layer.clusters)])
        counts[series] += layer.clusters
    return ClusterIds(clusters, groups, layers)
