"""From points and words to named clusters: the middle of every execution, on the server and in the library alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Labels, Points
from shoal.engine import compute
from shoal.engine.outcome import Outcome
from shoal.engine.plan import Keep, Plan, Progress, made_now, silent
from shoal.labeling import Name, name_clusters

__all__ = ["NOISE_ID", "Analysis", "Group", "NamedCluster", "analyse"]

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
    medoid: str
    representatives: tuple[str, ...]
    parent: str | None = None
    """The group of clusters it belongs to, where a hierarchy was asked for."""


@dataclass(frozen=True, slots=True)
class Group:
    """Clusters that belong together on some level above them; `children` are clusters on level 1, groups above."""

    group_id: str
    label: str
    keywords: tuple[str, ...]
    level: int
    size: int
    children: tuple[str, ...]
    parent: str | None


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
) -> Analysis:
    """Cluster the points and name the clusters from the texts. `places_before` and `keep` are as for `compute`.

    `ids` and `texts` are aligned with the (n, d) float32 rows of `points`; without texts the names are "Cluster N".
    Raises InvalidField for parameters or points the algorithm cannot take, Cancelled from `progress`.
    """
    outcome = compute(points, plan, progress, places_before, keep)
    progress("name", 0.0)
    names = _names(texts, outcome.labels, outcome.clusters, outcome.centroids, progress)
    groups = _groups(texts, outcome, progress)
    parents = _parents(groups)
    clusters = [_named(number, name, ids, outcome, parents) for number, name in enumerate(names)]
    return Analysis(ids, outcome, clusters, groups)


def _names(
    texts: Sequence[str] | None, labels: Labels, clusters: int, centroids: Points, progress: Progress
) -> Sequence[Name]:
    if texts is None:
        return [Name(f"Cluster {number}", ()) for number in range(clusters)]
    tick: Callable[[float], None] = partial(progress, "name")
    return name_clusters(texts, labels, clusters, centroids=centroids, progress=tick)


def _groups(texts: Sequence[str] | None, outcome: Outcome, progress: Progress) -> list[Group]:
    """The groups of all levels, named by the documents in them."""
    found, below = list[Group](), [f"cl_{number}" for number in range(outcome.clusters)]
    parts = [np.array([number], np.int64) for number in range(outcome.clusters)]
    for level, of_cluster in enumerate(outcome.hierarchy, start=1):
        count = int(of_cluster.max()) + 1
        labels = np.where(outcome.labels >= 0, of_cluster[outcome.labels], NOISE).astype(np.int32)
        sizes = np.bincount(of_cluster, outcome.sizes, count)
        middles = np.zeros((count, outcome.centroids.shape[1]))
        np.add.at(middles, of_cluster, outcome.centroids * outcome.sizes[:, None])
        names = _names(texts, labels, count, (middles / sizes[:, None]).astype(np.float32), progress)
        ids = [f"cl_l{level}_{number}" for number in range(count)]
        inside = [int(of_cluster[rows[0]]) for rows in parts]
        for number, name in enumerate(names):
            children = tuple(child for child, place in zip(below, inside, strict=True) if place == number)
            label = f"Group {number}" if texts is None else name.label
            found.append(Group(ids[number], label, name.keywords, level, int(sizes[number]), children, None))
        below, parts = ids, [np.flatnonzero(of_cluster == number) for number in range(count)]
    parents = _parents(found)
    return [replace(group, parent=parents.get(group.group_id)) for group in found]


def _parents(groups: Sequence[Group]) -> dict[str, str]:
    return {child: group.group_id for group in groups for child in group.children}


def _named(number: int, name: Name, ids: Sequence[str], outcome: Outcome, parents: Mapping[str, str]) -> NamedCluster:
    size = int(outcome.sizes[number])
    mean, smallest = outcome.cohesion[number]
    return NamedCluster(
        cluster_id=f"cl_{number}",
        label=name.label,
        keywords=name.keywords,
        size=size,
        share=size / len(outcome.labels),
        mean_similarity=mean,
        min_similarity=smallest,
        medoid=ids[int(outcome.medoids[number])],
        representatives=tuple(ids[int(row)] for row in outcome.representatives[number]),
        parent=parents.get(f"cl_{number}"),
    )
