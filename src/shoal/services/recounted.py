"""Named clusters whose rows changed, under the names they have."""

from dataclasses import replace

from shoal.engine.outcome import Outcome
from shoal.services.analysis import Analysis

__all__ = ["with_outcome"]


def with_outcome(analysis: Analysis, outcome: Outcome) -> Analysis:
    """The analysis of an outcome with the same clusters and other rows in them: counted anew, named as before."""
    rows, sizes = len(outcome.labels), outcome.sizes.tolist()
    clusters = [
        replace(one, size=size, share=size / rows, mean_similarity=mean, min_similarity=least)
        for one, size, (mean, least) in zip(analysis.clusters, sizes, outcome.cohesion, strict=True)
    ]
    groups = [replace(one, size=sum(sizes[number] for number in one.clusters)) for one in analysis.groups]
    return replace(analysis, outcome=outcome, clusters=clusters, groups=groups)
