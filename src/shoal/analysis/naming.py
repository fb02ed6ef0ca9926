"""Names for the clusters that were found: what a namer is asked, and which group has which of its answers."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from shoal.analysis.found_clusters import FoundClusters
from shoal.analysis.hierarchy import Node
from shoal.columns import NOISE
from shoal.engine.clusters.centroids import weighted_means
from shoal.engine.outcome import Outcome
from shoal.engine.plan import Progress
from shoal.labeling import Brief, Budget, Name, Namer, Partition, main_parents

__all__ = ["LayerNames", "name_groups", "names_of_layers", "write_briefs", "write_names"]

LayerNames = Sequence[Sequence[Name]]
"""For each layer of a brief the names of its clusters."""
Members = tuple[int, ...]
"""The numbers of the clusters in a group, ascending."""


def write_briefs(found: FoundClusters, texts: Sequence[str] | None) -> list[Brief]:
    """What a namer is asked about one clustering: its layers and, where groups stand above the clusters that no layer
    has, the levels of these groups."""
    layers = Brief(texts, found.partitions(), found.chosen)
    levels = found.levels()
    known = set(_groups_of_layers(found))
    if all(node.clusters in known or not node.children for nodes in levels for node in nodes):
        return [layers]
    outcome = found.outcome
    partitions = [_partition(outcome, nodes) for nodes in reversed(levels)]
    partitions.append(Partition(outcome.labels, outcome.clusters, outcome.centroids))
    return [layers, Brief(texts, partitions, len(levels))]


def write_names(briefs: Sequence[Brief], namer: Namer, budget: Budget, progress: Progress) -> list[LayerNames]:
    """The names of each brief. Raises Cancelled from `progress`."""
    progress("name", 0.0)
    return [namer.name(brief, budget, partial(progress, "name")) for brief in briefs]


def names_of_layers(names: Sequence[LayerNames]) -> LayerNames:
    """Of the names that the briefs of one clustering got, those of its layers."""
    return names[0]


def name_groups(found: FoundClusters, names: Sequence[LayerNames]) -> Mapping[Members, Name]:
    """The names of the groups of all levels, by the clusters in them: as the layer with such a cluster, else from the
    brief about the levels."""
    layers = names_of_layers(names)
    by_members = {members: layers[layer][cluster] for members, (layer, cluster) in _groups_of_layers(found).items()}
    if len(names) > 1:
        for nodes, level in zip(reversed(found.levels()), names[1], strict=False):
            by_members |= {node.clusters: name for node, name in zip(nodes, level, strict=True)}
    return by_members


def _groups_of_layers(found: FoundClusters) -> dict[Members, tuple[int, int]]:
    """For each cluster of a layer above the chosen one its layer and number, by the chosen clusters in it."""
    groups = dict[Members, tuple[int, int]]()
    for number, layer in enumerate(found.partitions()[: found.chosen]):
        parents = main_parents(found.outcome.labels, layer.labels, found.outcome.clusters)
        groups |= {
            tuple(np.flatnonzero(parents == cluster).tolist()): (number, cluster) for cluster in range(layer.clusters)
        }
    return groups


def _partition(outcome: Outcome, nodes: Sequence[Node]) -> Partition:
    """The rows by the nodes of a level."""
    of_cluster = np.empty(outcome.clusters, np.int32)
    for number, node in enumerate(nodes):
        of_cluster[list(node.clusters)] = number
    labels = np.where(outcome.labels >= 0, of_cluster[outcome.labels], NOISE).astype(np.int32)
    middles = weighted_means(outcome.centroids, outcome.sizes, [node.clusters for node in nodes])
    return Partition(labels, len(nodes), middles)
