"""An analysis with the same clusters and different rows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from shoal.analysis.named_clusters import Analysis, NamedCluster, NamedLayer
from shoal.columns import Labels
from shoal.engine.outcome import Outcome

__all__ = ["with_outcome"]


def with_outcome(analysis: Analysis, outcome: Outcome) -> Analysis:
    """Return the analysis of an outcome with the same clusters and different rows: counted again, named as before."""
    sizes = outcome.sizes.tolist()
    clusters = [
        replace(item, mean_similarity=mean, min_similarity=least)
        for item, (mean, least) in zip(_recount(analysis.clusters, outcome.labels), outcome.cohesion, strict=True)
    ]
    groups = [replace(item, size=sum(sizes[number] for number in item.clusters)) for item in analysis.groups]
    return replace(
        analysis, outcome=outcome, clusters=clusters, groups=groups, layers=_layers(analysis, outcome, clusters)
    )


def _layers(analysis: Analysis, outcome: Outcome, clusters: Sequence[NamedCluster]) -> list[NamedLayer]:
    """Return the layers with their new rows; the parents stay."""
    layers = []
    for number, layer in enumerate(analysis.layers):
        labels = outcome.labels if outcome.layers is None else outcome.layers.layers[number].labels
        own = _recount(layer.clusters, labels)
        if layer.chosen:
            own = [replace(item, parent=old.parent) for item, old in zip(clusters, layer.clusters, strict=True)]
        layers.append(replace(layer, labels=labels, clusters=own))
    return layers


def _recount(clusters: Sequence[NamedCluster], labels: Labels) -> list[NamedCluster]:
    sizes = np.bincount(labels[labels >= 0], minlength=len(clusters)).tolist()
    return [
        replace(cluster, size=size, share=size / len(labels)) for cluster, size in zip(clusters, sizes, strict=True)
    ]
