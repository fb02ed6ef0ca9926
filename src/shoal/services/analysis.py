"""From points and words to named clusters: the middle of every execution, on the server and in the library alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Labels, Points, Rows
from shoal.engine import compute
from shoal.engine.outcome import Outcome
from shoal.engine.plan import Keep, Plan, Progress, made_now, silent
from shoal.labeling import Name, abridge, name_clusters
from shoal.services.hierarchy import Node, Tree, grow

__all__ = ["NOISE_ID", "Analysis", "Group", "NamedCluster", "analyse", "weighted_means"]

NOISE_ID = "cl_noise"
"""The cluster id of documents that belong to no cluster (contract 6, row 9)."""


@dataclass(frozen=True, slots=True)
class NamedCluster:
    """One cluster as people see it. `share` is of all rows, noise included; similarities are cosines to the
    centroid."""

    cluster_id: str
    label: str
    keywords: tuple[str, ...]
    size: int
    share: float
    mean_similarity: float
    min_similarity: float
    medoid: str | int
    representatives: tuple[str | int, ...]
    parent: str | None = None
    """The group of clusters it belongs to, where a hierarchy was asked for."""
    examples: tuple[str, ...] = ()
    """What each of the representatives says, on one line and short; none without texts."""


@dataclass(frozen=True, slots=True)
class Group:
    """Clusters that belong together on some level above them. `children` are the ids of the clusters and groups
    directly in it, `clusters` the numbers of all clusters below."""

    group_id: str
    label: str
    keywords: tuple[str, ...]
    level: int
    size: int
    children: tuple[str, ...]
    parent: str | None
    clusters: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """A clustering with names. `ids[i]` is the document of row i of `outcome.labels`."""

    ids: Sequence[str]
    outcome: Outcome
    clusters: Sequence[NamedCluster]
    groups: Sequence[Group] = ()
    """Of all levels, nearest to the clusters first."""

    @property
    def noise(self) -> int:
        """Rows that belong to no cluster."""
        return int(np.count_nonzero(self.outcome.labels == NOISE))


def analyse(
    ids: Sequence[str],
    points: Points,
    texts: Sequence[str] | None,
    plan: Plan,
    progress: Progress = silent,
    places_before: NDArray[np.float32] | None = None,
    keep: Keep = made_now,
    *,
    origin: NDArray[np.float64] | None = None,
) -> Analysis:
    """Cluster the points and name the clusters from the texts. `places_before`, `keep` and `origin` are as for
    `compute`.

    `ids` and `texts` are aligned with the (n, d) float32 rows of `points`; without texts the names are "Cluster N".
    Raises InvalidField for parameters or points the algorithm cannot take, Cancelled from `progress`.
    """
    outcome = compute(points, plan, progress, places_before, keep, origin=origin)
    progress("name", 0.0)
    names = _names(texts, outcome.labels, outcome.clusters, outcome.centroids, progress)
    tree, groups = _groups(texts, outcome, progress)
    named = zip(tree.clusters(), names, strict=True)
    clusters = [_named(number, id, name, ids, texts, outcome, tree) for number, (id, name) in enumerate(named)]
    return Analysis(ids, outcome, clusters, groups)


def _names(
    texts: Sequence[str] | None, labels: Labels, clusters: int, centroids: Points, progress: Progress
) -> Sequence[Name]:
    if texts is None:
        return [Name(f"Cluster {number}", ()) for number in range(clusters)]
    tick: Callable[[float], None] = partial(progress, "name")
    return name_clusters(texts, labels, clusters, centroids=centroids, progress=tick)


def _groups(texts: Sequence[str] | None, outcome: Outcome, progress: Progress) -> tuple[Tree, list[Group]]:
    """The tree above the clusters, and its groups, each named by its documents beside those of the same level."""
    names: dict[tuple[int, ...], Name] = {}

    def name_level(level: int, nodes: Sequence[Node]) -> None:
        of_cluster = np.empty(outcome.clusters, np.int32)
        for number, node in enumerate(nodes):
            of_cluster[list(node.clusters)] = number
        labels = np.where(outcome.labels >= 0, of_cluster[outcome.labels], NOISE).astype(np.int32)
        middles = weighted_means(outcome.centroids, outcome.sizes, [node.clusters for node in nodes])
        found = _names(texts, labels, len(nodes), middles, progress)
        names.update({node.clusters: name for node, name in zip(nodes, found, strict=True) if node.level == level})

    tree = grow(outcome.hierarchy, outcome.sizes, name_level)
    groups = [
        Group(
            id,
            f"Group {number}" if texts is None else names[node.clusters].label,
            names[node.clusters].keywords,
            node.level,
            node.size,
            tuple(tree.children(id)),
            tree.parents.get(id),
            node.clusters,
        )
        for number, (id, node) in enumerate(tree.groups())
    ]
    return tree, groups


def weighted_means(rows: NDArray[np.floating], sizes: Rows, parts: Sequence[Sequence[int]]) -> Points:
    """(p, d) float32: for each part the mean of its rows of (k, d), each counting as its size (k,)."""
    means = [np.average(rows[list(part)], axis=0, weights=np.maximum(sizes[list(part)], 1e-9)) for part in parts]
    return np.array(means, np.float32).reshape(len(parts), rows.shape[1])


def _named(
    number: int,
    id: str,
    name: Name,
    ids: Sequence[str],
    texts: Sequence[str] | None,
    outcome: Outcome,
    tree: Tree,
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
        parent=tree.parents.get(id),
        examples=() if texts is None else tuple(abridge(texts[row]) for row in chosen),
    )
