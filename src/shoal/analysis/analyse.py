"""Points and texts to named clusters in one call, for the library."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shoal.analysis.build import build_analysis
from shoal.analysis.found_clusters import find_clusters
from shoal.analysis.named_clusters import Analysis
from shoal.analysis.naming import open_word_namer, write_briefs, write_names
from shoal.analysis.ranks import rank_clusters
from shoal.columns import Points
from shoal.engine.plan import Plan, Progress, ignore_progress
from shoal.labeling import Budget, Namer, PhraseEncoder

__all__ = ["analyse"]


def analyse(
    ids: Sequence[str],
    points: Points,
    texts: Sequence[str] | None,
    plan: Plan,
    progress: Progress = ignore_progress,
    places_before: NDArray[np.float32] | None = None,
    *,
    origin: NDArray[np.float64] | None = None,
    namer: Namer | None = None,
    budget: Budget | None = None,
    stop_words: frozenset[str] = frozenset(),
    encoder: PhraseEncoder | None = None,
) -> Analysis:
    """Cluster the points, number the clusters by rank, and name them from the texts.

    A run on a server takes the same steps one by one (`runs.run`), with lasting ids between finding and naming.

    Parameters
    ----------
    ids : sequence of str, length n
        The documents of the rows.
    points : float32 array of shape (n, d)
    texts : sequence of str, length n
        Without texts the names are "Cluster N".
    places_before, origin
        As for `compute`.
    namer, budget
        What names the clusters, and what it may cost. None counts the documents' own words, which is free.
    stop_words : frozenset of str
        Case-folded words that no name from the documents' words contains.
    encoder : PhraseEncoder, optional
        What made the points from the texts; it compares names with documents.

    Raises
    ------
    InvalidField
        For parameters or points that the algorithm cannot take.
    Cancelled
        From `progress`.
    """
    clusters = find_clusters(points, texts, plan, progress, places_before, origin=origin)
    own = namer or open_word_namer(stop_words)
    names = write_names(write_briefs(clusters, texts, points, encoder), own, budget or Budget(), progress)
    return build_analysis(ids, texts, clusters, rank_clusters(clusters), names)
