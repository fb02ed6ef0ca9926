"""Numerals and codes that characterise a topic: form 1099, HTTP 404, the report of 2024, error 0x80070057, the A320."""

import re
from collections.abc import Sequence

import numpy as np

from shoal.columns import Labels

__all__ = ["topical_numerals"]

_DIGIT = re.compile(r"(?a)\d")
_NUMERAL = re.compile(
    r"(?a)(?<![\w.,:/#@-])(?:\d{2,5}|0x[0-9a-fA-F]{2,8}|[A-Za-z]{1,6}-?\d{1,5}[A-Za-z]?|\d{1,4}-?[A-Za-z]{1,4})"
    r"(?!\w|[.,:/-]\d|-\w)"
)
_READ = 20_000
"""Characters of a text."""
_FEWEST = 2
_SHARE_OF_CLUSTER, _SHARE_OF_NUMERAL = 0.3, 0.6


def topical_numerals(texts: Sequence[str], labels: Labels, clusters: int) -> frozenset[str]:
    """Find the numerals and codes that characterise a cluster, case-folded.

    One of two to five digits, or a short one of letters and digits, does if at least two documents, and 30 %, of a
    cluster contain it, and at least 60 % of all documents that contain it are in that cluster. Parts of dates, times
    and amounts never do, nor do hashes and long numbers.

    Parameters
    ----------
    texts : sequence of str, length n
        One text a document.
    labels : int32 array of shape (n,)
        The cluster of each document, 0..clusters-1; no noise.
    clusters : int
        How many clusters there are.
    """
    sizes = np.bincount(labels, minlength=clusters)
    counts: dict[str, dict[int, int]] = {}
    for text, cluster in zip(texts, labels.tolist(), strict=True):
        if not _DIGIT.search(text):
            continue
        for numeral in {code.casefold() for code in _NUMERAL.findall(text[:_READ])}:
            of_cluster = counts.setdefault(numeral, {})
            of_cluster[cluster] = of_cluster.get(cluster, 0) + 1
    return frozenset(numeral for numeral, of_cluster in counts.items() if _is_topical(of_cluster, sizes.tolist()))


def _is_topical(of_cluster: dict[int, int], sizes: Sequence[int]) -> bool:
    cluster, held = max(of_cluster.items(), key=lambda item: (item[1], -item[0]))
    enough = held >= max(_FEWEST, _SHARE_OF_CLUSTER * sizes[cluster])
    return enough and held >= _SHARE_OF_NUMERAL * sum(of_cluster.values())
