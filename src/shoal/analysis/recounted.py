"""An analysis of the same clusters with other rows in them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from shoal.analysis.named_clusters import Analysis, NamedCluster, NamedLayer
from shoal.columns import Labels
from shoal.engine.outcome import Outcome

__all__ = ["with_outcome"]


def with_outcome(analysis: Analysis, outcome: Outcome) -> Analysis:
    """The analysis of an outcome with the same clusters and other rows in them: counted anew, named as before."""
    sizes = outcome.sizes.tolist()
    clusters = [
        replace(one, mean_similarity=mean, min_similarity=least)
        for one, (mean, least) in zip(_counted(analysis.clusters, outcome.labels), outcome.cohesion, strict=True)
    ]
    groups = [replace(one, size=sum(sizes[number] for number in one.clusters)) for one in analysis.groups]
    return replace(
        analysis, outcome=outcome, clusters=clusters, groups=groups, layers=_layers(analysis, outcome, clusters)
    )


def _layers(analysis: Analysis, outcome: Outcome, clusters: Sequence[NamedCluster]) -> list[NamedLayer]:
    """The layers with the rows that they have now; the parents stay."""
    found = []
    for number, layer in enumerate(analysis.layers):
        labels = outcome.labels if outcome.layers is None else outcome.layers.layers[number].labels
        own = _counted(layer.clusters, labels)
        if layer.chosen:
            own = [replace(one, parent=old.parent) for one, old in zip(clusters, layer.clusters, strict=True)]
        found.append(replace(layer, labels=labels, clusters=own))
    return found


def _counted(clusters: Sequence[NamedCluster], labels: Labels) -> list[NamedCluster]:
    sizes = np.bincount(labels[labels >= 0], minlength=len(clusters)).tolist()
    return [replace(one, size=size, share=size / len(labels)) for one, size in zip(clusters, sizes, strict=True)]
