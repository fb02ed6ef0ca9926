"""Names for the groups of a run: a separate stage, so that a resumed run does not call the namer again."""

from collections.abc import Sequence

from shoal.analysis.naming import LayerNames, write_briefs, write_names
from shoal.engine.plan import Progress
from shoal.labeling import Brief, Budget, Namer
from shoal.runs.grouping.groups import Groups
from shoal.runs.input import RunInput

__all__ = ["briefs_of", "name"]


def briefs_of(groups: Groups, source: RunInput) -> list[list[Brief]]:
    """Write the briefs for each clustering of a run.

    There are none for groups named by their values, or named as in an earlier run.
    """
    return [write_briefs(each.found, each.source.texts) for each in groups.clusterings(source)]


def name(
    briefs: Sequence[Sequence[Brief]], namer: Namer, budget: Budget, progress: Progress
) -> list[Sequence[LayerNames]]:
    """Name the clusters of each clustering. Raises Cancelled from `progress`."""
    return [write_names(own, namer, budget, _share(progress, number, len(briefs))) for number, own in enumerate(briefs)]


def _share(progress: Progress, number: int, count: int) -> Progress:
    """Scale the progress of one clustering to its share of the stage."""
    return lambda stage, fraction: progress(stage, (number + fraction) / count)
