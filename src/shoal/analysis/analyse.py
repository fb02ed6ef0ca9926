"""From points and words to named clusters: the middle of every execution, on the server and in the library alike."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shoal.analysis.hierarchy import Node, Tree, grow
from shoal.analysis.layers import FoundLayers
from shoal.analysis.named_clusters import Analysis, Group, NamedCluster, NamedLayer
from shoal.columns import NOISE, Points, Rows
from shoal.engine import compute
from shoal.engine.clusters.centroids import member_rows
from shoal.engine.outcome import Outcome
from shoal.engine.plan import Plan, Progress, StageCache, bypass_cache, ignore_progress
from shoal.labeling import Name, Partition, abridge, main_parents, name_layers

__all__ = ["Analysis", "Group", "NamedCluster", "NamedLayer", "analyse", "weighted_means"]

Nodes = Sequence[Node]
NodeNames = Mapping[tuple[int, ...], Name]


def analyse(
    ids: Sequence[str],
    points: Points,
    texts: Sequence[str] | None,
    plan: Plan,
    progress: Progress = ignore_progress,
    places_before: NDArray[np.float32] | None = None,
    keep: StageCache = bypass_cache,
    *,
    origin: NDArray[np.float64] | None = None,
) -> Analysis:
    """Cluster the points and name the clusters from the texts. `places_before`, `keep` and `origin` are as for
    `compute`.

    `ids` and `texts` are aligned with the (n, d) float32 rows of `points`; without texts the names are "Cluster N".
    Raises InvalidField for parameters or points the algorithm cannot take, Cancelled from `progress`.
    """
    outcome = _shown_by_text(compute(points, plan, progress, places_before, keep, origin=origin), texts)
    progress("name", 0.0)
    levels = list[Nodes]()
    tree = grow(outcome.hierarchy, outcome.sizes, lambda _, nodes: levels.append(nodes))
    found = FoundLayers.of(outcome, points, plan)
    named = _names(texts, found.partitions, found.chosen, progress)
    groups = _groups(tree, _names_of_nodes(texts, outcome, found, named, levels, progress))
    own = tree.clusters()
    above = found.parents(found.chosen, own) if not groups else [tree.parents.get(id) for id in own]
    clusters = [
        _named(number, id, name, above[number], ids, texts, outcome)
        for number, (id, name) in enumerate(zip(own, named[found.chosen], strict=True))
    ]
    return Analysis(ids, outcome, clusters, groups, found.named(clusters, named, ids, texts))


def _shown_by_text(outcome: Outcome, texts: Sequence[str] | None) -> Outcome:
    """Representatives with text before those without: the nearest to the centroid that have one."""
    if texts is None or all(texts[row].strip() for rows in outcome.representatives for row in rows.tolist()):
        return outcome
    blank = np.fromiter((not text.strip() for text in texts), np.bool_, len(texts))
    shown = list[Rows]()
    all_members = member_rows(outcome.labels, outcome.clusters)
    for rows, members in zip(outcome.representatives, all_members, strict=True):
        if blank[rows].any():
            rows = members[np.lexsort((outcome.distances[members], blank[members]))][: len(rows)]
        shown.append(rows)
    return replace(outcome, representatives=shown)


def _names(
    texts: Sequence[str] | None, layers: Sequence[Partition], chosen: int, progress: Progress
) -> list[list[Name]]:
    if texts is None:
        return [[Name.of_number(number) for number in range(layer.clusters)] for layer in layers]
    return name_layers(texts, layers, chosen=chosen, progress=partial(progress, "name"))


def _names_of_nodes(
    texts: Sequence[str] | None,
    outcome: Outcome,
    found: FoundLayers,
    named: Sequence[Sequence[Name]],
    levels: Sequence[Nodes],
    progress: Progress,
) -> NodeNames:
    """What the groups of all levels are called, by the clusters in them: as the layer with such a cluster, else by a
    reading of their own."""
    names: dict[tuple[int, ...], Name] = {}
    for layer, labels in list(zip(found.partitions, named, strict=True))[: found.chosen]:
        parents = main_parents(outcome.labels, layer.labels, outcome.clusters)
        names |= {tuple(np.flatnonzero(parents == number).tolist()): name for number, name in enumerate(labels)}
    if all(node.clusters in names or not node.children for nodes in levels for node in nodes):
        return names
    layers = [_partition(outcome, nodes) for nodes in reversed(levels)]
    layers.append(Partition(outcome.labels, outcome.clusters, outcome.centroids))
    made = _names(texts, layers, len(levels), progress)
    for nodes, labels in zip(reversed(levels), made, strict=False):
        names |= {node.clusters: name for node, name in zip(nodes, labels, strict=True)}
    return names


def _partition(outcome: Outcome, nodes: Nodes) -> Partition:
    """The rows by the nodes of a level."""
    of_cluster = np.empty(outcome.clusters, np.int32)
    for number, node in enumerate(nodes):
        of_cluster[list(node.clusters)] = number
    labels = np.where(outcome.labels >= 0, of_cluster[outcome.labels], NOISE).astype(np.int32)
    middles = weighted_means(outcome.centroids, outcome.sizes, [node.clusters for node in nodes])
    return Partition(labels, len(nodes), middles)


def _groups(tree: Tree, names: NodeNames) -> list[Group]:
    """The groups of the tree above the clusters, nearest to the clusters first."""
    return [
        Group(
            id,
            f"Group {number}" if names[node.clusters].is_number else names[node.clusters].label,
            names[node.clusters].keywords,
            node.level,
            node.size,
            tuple(tree.children(id)),
            tree.parents.get(id),
            node.clusters,
        )
        for number, (id, node) in enumerate(tree.groups())
    ]


def weighted_means(rows: NDArray[np.floating], sizes: Rows, parts: Sequence[Sequence[int]]) -> Points:
    """(p, d) float32: for each part the mean of its rows of (k, d), each counting as its size (k,)."""
    means = [np.average(rows[list(part)], axis=0, weights=np.maximum(sizes[list(part)], 1e-9)) for part in parts]
    return np.array(means, np.float32).reshape(len(parts), rows.shape[1])


def _named(
    number: int,
    id: str,
    name: Name,
    parent: str | None,
    ids: Sequence[str],
    texts: Sequence[str] | None,
    outcome: Outcome,
) -> NamedCluster:
    size = int(outcome.sizes[number])
    chosen = outcome.representatives[number].tolist()
    mean, smallest = outcome.cohesion[number]
    return NamedCluster(
        cluster_id=id,
        label=name.label,
        keywords=name.keywords,
        size=size,
        share=size / len(outcome.labels),
        mean_similarity=mean,
        min_similarity=smallest,
        medoid=ids[int(outcome.medoids[number])],
        representatives=tuple(ids[row] for row in chosen),
        parent=parent,
        examples=() if texts is None else tuple(said for row in chosen if (said := abridge(texts[row]))),
    )
