"""The layers of a clustering: what there is to name, and the named clusters of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from shoal.analysis.named_clusters import BROAD, FINE, NamedCluster, NamedLayer
from shoal.columns import Points
from shoal.engine.layers.members import LayerMembers, describe_layers
from shoal.engine.outcome import Outcome
from shoal.engine.plan import Plan
from shoal.labeling import Name, Partition, abridge, main_parents

__all__ = ["FoundLayers"]

_UNNAMED = {BROAD: "Group", FINE: "Part"}


@dataclass(frozen=True, slots=True)
class FoundLayers:
    """The layers of a clustering from coarse to fine, not yet named; `members` by the position of each that was not
    chosen."""

    partitions: Sequence[Partition]
    chosen: int
    members: Mapping[int, LayerMembers]

    @classmethod
    def of(cls, outcome: Outcome, points: Points, plan: Plan) -> "FoundLayers":
        """The layers of an outcome for these points (n, d): the clusters alone where the method has no others."""
        own = Partition(outcome.labels, outcome.clusters, outcome.centroids)
        if outcome.layers is None:
            return cls([own], 0, {})
        labels = {n: layer.labels for n, layer in enumerate(outcome.layers.layers) if n != outcome.layers.chosen}
        described = describe_layers(
            points, list(labels.values()), normalize=plan.normalize, origin=outcome.origin, threads=plan.threads
        )
        members = dict(zip(labels, described, strict=True))
        partitions = [
            Partition(labels[n], len(members[n].means), members[n].means) if n in members else own
            for n in range(len(outcome.layers.layers))
        ]
        return cls(partitions, outcome.layers.chosen, members)

    def ids(self, own: Sequence[str]) -> list[list[str]]:
        """The ids of the clusters of each layer; `own` are those of the chosen one."""
        found, counts = list[list[str]](), {BROAD: 0, FINE: 0}
        for number, layer in enumerate(self.partitions):
            series = BROAD if number < self.chosen else FINE
            if number == self.chosen:
                found.append(list(own))
                continue
            found.append([f"{series}_{counts[series] + cluster}" for cluster in range(layer.clusters)])
            counts[series] += layer.clusters
        return found

    def parents(self, number: int, own: Sequence[str]) -> list[str | None]:
        """For each cluster of a layer the id of the one in the layer before that holds most of it, where there is one;
        `own` are the ids of the chosen layer."""
        layer = self.partitions[number]
        if number == 0:
            return [None] * layer.clusters
        before = self.ids(own)[number - 1]
        parents = main_parents(layer.labels, self.partitions[number - 1].labels, layer.clusters)
        return [before[parent] if parent >= 0 else None for parent in parents.tolist()]

    def named(
        self,
        clusters: Sequence[NamedCluster],
        names: Sequence[Sequence[Name]],
        ids: Sequence[str],
        texts: Sequence[str] | None,
    ) -> list[NamedLayer]:
        """The layers under their `names`; `clusters` are those of the chosen one, `ids` and `texts` of the rows."""
        own = [one.cluster_id for one in clusters]
        layers = list[NamedLayer]()
        for number, of_layer in enumerate(self.ids(own)):
            parents, labels = self.parents(number, own), self.partitions[number].labels
            if number == self.chosen:
                nested = [replace(one, parent=parent) for one, parent in zip(clusters, parents, strict=True)]
                layers.append(NamedLayer(labels, nested if number else clusters, True))
                continue
            members = self.members[number]
            described = [
                _described(id, name, members, place, len(labels), parent, ids, texts)
                for place, (id, name, parent) in enumerate(zip(of_layer, names[number], parents, strict=True))
            ]
            layers.append(NamedLayer(labels, described, False))
        return layers


def _described(
    id: str,
    name: Name,
    members: LayerMembers,
    place: int,
    rows: int,
    parent: str | None,
    ids: Sequence[str],
    texts: Sequence[str] | None,
) -> NamedCluster:
    near = members.representatives[place].tolist()
    mean, smallest = members.cohesion[place]
    series, _, count = id.partition("_")
    size = int(members.sizes[place])
    return NamedCluster(
        cluster_id=id,
        label=f"{_UNNAMED[series]} {count}" if name.is_number else name.label,
        keywords=name.keywords,
        size=size,
        share=size / rows,
        mean_similarity=mean,
        min_similarity=smallest,
        medoid=ids[near[0]],
        representatives=tuple(ids[row] for row in near),
        parent=parent,
        examples=() if texts is None else tuple(said for row in near if (said := abridge(texts[row]))),
    )
