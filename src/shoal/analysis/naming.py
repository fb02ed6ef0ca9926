"""Names of clusters: the briefs for a namer, and the assignment of its names to groups."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from shoal.analysis.found_clusters import FoundClusters
from shoal.analysis.hierarchy import Node
from shoal.columns import NOISE, Points
from shoal.engine.clusters.centroids import weighted_means
from shoal.engine.outcome import Outcome
from shoal.engine.plan import Progress
from shoal.labeling import Brief, Budget, Name, Namer, Partition, PhraseEncoder, WordNamer, main_parents, readable

__all__ = ["LayerNames", "choose_phrase_encoder", "name_groups", "names_of_layers", "open_word_namer"]
__all__ += ["write_briefs", "write_names"]

LayerNames = Sequence[Sequence[Name]]
"""For each layer of a brief the names of its clusters."""
Members = tuple[int, ...]
"""The numbers of the clusters in a group, ascending."""


def write_briefs(
    clustering: FoundClusters,
    texts: Sequence[str] | None,
    points: Points | None = None,
    encoder: PhraseEncoder | None = None,
) -> list[Brief]:
    """Write the briefs for one clustering: its layers and, if groups above the clusters are in no layer, the levels of
    these groups. `points` (n, d) are the vectors of its documents, in the space of its centroids; the `encoder` made
    them."""
    layers = Brief(texts, clustering.partitions(), clustering.chosen, points, encoder)
    levels = clustering.levels()
    of_layers = set(_groups_of_layers(clustering))
    if all(node.clusters in of_layers or not node.children for nodes in levels for node in nodes):
        return [layers]
    outcome = clustering.outcome
    partitions = [_partition(outcome, nodes) for nodes in reversed(levels)]
    partitions.append(Partition(outcome.labels, outcome.clusters, outcome.centroids))
    return [layers, Brief(texts, partitions, len(levels), points, encoder)]


def choose_phrase_encoder(texts: Sequence[str]) -> PhraseEncoder | None:
    """Return the bundled encoder if these texts are in its language: it compares phrases with documents, whatever
    vectors the documents have."""
    from shoal.encoders import choose_encoder, open_encoder  # not needed without texts

    choice = choose_encoder(texts, readable)
    return open_encoder(choice.uri) if choice.uri == "static" else None


def open_word_namer(stop_words: frozenset[str] = frozenset()) -> WordNamer:
    """Return the namer of every place that names without a model, or where a model fails: the same clusters have the
    same names in the library, on the command line and on a server. `stop_words` (case-folded) are in no name."""
    return WordNamer(stop_words=stop_words, choose_encoder=choose_phrase_encoder)


def write_names(briefs: Sequence[Brief], namer: Namer, budget: Budget, progress: Progress) -> list[LayerNames]:
    """Name the clusters of each brief. Raises Cancelled from `progress`."""
    progress("name", 0.0)
    return [namer.name(brief, budget, partial(progress, "name")) for brief in briefs]


def names_of_layers(names: Sequence[LayerNames]) -> LayerNames:
    """Select the names of the layers from the names for the briefs of one clustering."""
    return names[0]


def name_groups(clustering: FoundClusters, names: Sequence[LayerNames]) -> Mapping[Members, Name]:
    """Return the names of the groups of all levels by their clusters: that of the equal cluster of a layer, else from
    the brief for the levels."""
    layers = names_of_layers(names)
    by_members = {
        members: layers[layer][cluster] for members, (layer, cluster) in _groups_of_layers(clustering).items()
    }
    if len(names) > 1:
        for nodes, level in zip(reversed(clustering.levels()), names[1], strict=False):
            by_members |= {node.clusters: name for node, name in zip(nodes, level, strict=True)}
    return by_members


def _groups_of_layers(clustering: FoundClusters) -> dict[Members, tuple[int, int]]:
    """Map the set of chosen clusters in each cluster of a coarser layer to its layer and number."""
    groups = dict[Members, tuple[int, int]]()
    for number, layer in enumerate(clustering.partitions()[: clustering.chosen]):
        parents = main_parents(clustering.outcome.labels, layer.labels, clustering.outcome.clusters)
        groups |= {
            tuple(np.flatnonzero(parents == cluster).tolist()): (number, cluster) for cluster in range(layer.clusters)
        }
    return groups


def _partition(outcome: Outcome, nodes: Sequence[Node]) -> Partition:
    """Partition the rows by the nodes of a level."""
    of_cluster = np.empty(outcome.clusters, np.int32)
    for number, node in enumerate(nodes):
        of_cluster[list(node.clusters)] = number
    labels = np.where(outcome.labels >= 0, of_cluster[outcome.labels], NOISE).astype(np.int32)
    middles = weighted_means(outcome.centroids, outcome.sizes, [node.clusters for node in nodes])
    return Partition(labels, len(nodes), middles)
