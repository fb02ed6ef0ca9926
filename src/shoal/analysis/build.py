"""Builds the analysis from numbered clusters, their ids and their names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shoal.analysis.found_clusters import FoundClusters
from shoal.analysis.named_clusters import Analysis, Group, NamedCluster, NamedLayer, Provenance
from shoal.analysis.naming import LayerNames, name_groups, names_of_layers
from shoal.analysis.ranks import ClusterIds
from shoal.columns import Rows
from shoal.labeling import Name, abridge, readable
from shoal.records.clusters.ids import format_number, parse_cluster_id, parse_layer_id

__all__ = ["build_analysis"]

_UNNAMED = {"broad": "Group", "fine": "Part"}


def build_analysis(
    documents: Sequence[str],
    texts: Sequence[str] | None,
    clustering: FoundClusters,
    ids: ClusterIds,
    names: Sequence[LayerNames],
) -> Analysis:
    """Build the analysis.

    Parameters
    ----------
    documents : sequence of str, length n
        The ids of the rows.
    texts : sequence of str, length n
        The source of the examples of clusters.
    ids : ClusterIds
    names : sequence of LayerNames
        The names for the briefs of `write_briefs`.
    """
    rows = _Rows(documents, texts)
    groups = _groups(clustering, ids, names, rows)
    parents = _parents_above(clustering, ids)
    own = names_of_layers(names)[clustering.chosen]
    clusters = [
        _cluster(
            _Members.of(clustering, clustering.chosen, number),
            id,
            _label(name, _number_of("Cluster", id)),
            name,
            up,
            rows,
        )
        for number, (id, name, up) in enumerate(zip(ids.clusters, own, parents, strict=True))
    ]
    layers = _layers(clustering, ids, names_of_layers(names), clusters, rows)
    return Analysis(documents, clustering.outcome, clusters, groups, layers)


def _parents_above(clustering: FoundClusters, ids: ClusterIds) -> list[str | None]:
    """Return for each cluster the id of its group or, without groups, of its cluster in the layer above."""
    if not ids.groups:
        return _parents_in_layer(clustering, ids, clustering.chosen)
    by_path = dict(zip(clustering.paths(), [*ids.clusters, *ids.groups], strict=True))
    return [by_path.get(path[:-1]) for path in clustering.tree().clusters()]


def _parents_in_layer(clustering: FoundClusters, ids: ClusterIds, layer: int) -> list[str | None]:
    return [ids.layers[layer - 1][parent] if parent >= 0 else None for parent in clustering.parents(layer).tolist()]


def _groups(clustering: FoundClusters, ids: ClusterIds, names: Sequence[LayerNames], rows: "_Rows") -> list[Group]:
    """Return the groups of the tree above the clusters, nearest to the clusters first."""
    if not ids.groups:
        return []
    tree, by_members = clustering.tree(), name_groups(clustering, names)
    by_path = dict(zip(clustering.paths(), [*ids.clusters, *ids.groups], strict=True))
    return [
        Group(
            id,
            _label(by_members[node.clusters], _number_of("Group", id)),
            by_members[node.clusters].keywords,
            node.level,
            node.size,
            tuple(by_path[child] for child in tree.children(path)),
            by_path.get(path[:-1]),
            node.clusters,
            by_members[node.clusters].summary,
            rows.provenance(by_members[node.clusters]),
        )
        for id, (path, node) in zip(ids.groups, tree.groups(), strict=True)
    ]


def _label(name: Name, unnamed: str) -> str:
    return unnamed if name.is_number else name.label


@dataclass(frozen=True, slots=True)
class _Members:
    """A summary of the members of a cluster: their number, the mean and the smallest cosine to the centroid, and
    representative rows."""

    size: int
    cohesion: tuple[float, float]
    medoid: int
    near: Rows

    @staticmethod
    def of(clustering: FoundClusters, layer: int, number: int) -> "_Members":
        outcome, members = clustering.outcome, clustering.members[layer]
        if members is None:
            medoid, near = int(outcome.medoids[number]), outcome.representatives[number]
            return _Members(int(outcome.sizes[number]), outcome.cohesion[number], medoid, near)
        near = members.representatives[number]
        return _Members(int(members.sizes[number]), members.cohesion[number], int(near[0]), near)


def _cluster(members: _Members, id: str, label: str, name: Name, parent: str | None, rows: "_Rows") -> NamedCluster:
    return NamedCluster(
        cluster_id=id,
        label=label,
        keywords=name.keywords,
        size=members.size,
        share=members.size / len(rows.documents),
        mean_similarity=members.cohesion[0],
        min_similarity=members.cohesion[1],
        medoid=rows.documents[members.medoid],
        representatives=tuple(rows.documents[row] for row in members.near.tolist()),
        parent=parent,
        examples=rows.examples(members.near),
        summary=name.summary,
        provenance=rows.provenance(name),
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    documents: Sequence[str]
    texts: Sequence[str] | None

    def examples(self, rows: Rows) -> tuple[str, ...]:
        """Return the beginnings of the texts, each once."""
        shown = dict[str, str]()
        for text in () if self.texts is None else map(self.texts.__getitem__, rows.tolist()):
            short = abridge(readable(text))
            shown.setdefault(short.casefold(), short)
        return tuple(short for short in shown.values() if short)

    def provenance(self, name: Name) -> Provenance:
        return Provenance(
            source=name.source,
            model=name.model,
            score=name.score,
            coverage=name.coverage,
            evidence=tuple(self.documents[row] for row in name.evidence),
            error=name.error,
            details=name.details,
        )


def _layers(
    clustering: FoundClusters, ids: ClusterIds, names: LayerNames, clusters: Sequence[NamedCluster], rows: _Rows
) -> list[NamedLayer]:
    layers = list[NamedLayer]()
    for number, partition in enumerate(clustering.partitions()):
        parents = _parents_in_layer(clustering, ids, number)
        if number == clustering.chosen:
            nested = [replace(cluster, parent=parent) for cluster, parent in zip(clusters, parents, strict=True)]
            layers.append(NamedLayer(partition.labels, nested if number else clusters, True))
            continue
        described = [
            _cluster(
                _Members.of(clustering, number, cluster), id, _label(name, _number_in_layer(id)), name, parent, rows
            )
            for cluster, (id, name, parent) in enumerate(zip(ids.layers[number], names[number], parents, strict=True))
        ]
        layers.append(NamedLayer(partition.labels, described, False))
    return layers


def _number_in_layer(id: str) -> str:
    """Return the numbered name of a cluster of a layer: `Group 2` for `broad_2`, `Part 2` for `fine_2`."""
    series, number = parse_layer_id(id)
    return f"{_UNNAMED[series]} {number}"


def _number_of(kind: str, id: str) -> str:
    """Return the numbered name of a cluster or group: `Cluster 3.0` for `cl_3_sub_0`."""
    return f"{kind} {format_number(parse_cluster_id(id))}"
