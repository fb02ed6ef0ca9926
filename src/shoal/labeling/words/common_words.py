"""Detection of function words in any language: frequent, and evenly spread over the clusters."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shoal.columns import Labels
from shoal.elementary import log
from shoal.labeling.words.tokens import TokenTable

__all__ = ["common_words", "evenly_used"]

_SHARE, _EVENNESS, _CLUSTERS = 0.03, 0.85, 8
_MUCH, _TIMES = 0.4, 2.0

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def evenly_used(table: TokenTable, partitions: Sequence[Labels]) -> Bools:
    """Return (t,) the common words, judged by the first clustering with enough clusters."""
    stems = table.vocabulary.stems[table.words]
    for labels in partitions:
        clusters = int(labels.max(initial=-1)) + 1
        if clusters >= _CLUSTERS:
            sizes = np.bincount(labels[labels >= 0], minlength=clusters).astype(np.float64)
            inside = labels[table.documents] >= 0
            common = np.zeros(table.vocabulary.stem_count, np.bool_)
            common[stems[inside]] = common_words(stems[inside], labels[table.documents][inside], sizes)
            return common[stems]
    return np.zeros(len(stems), np.bool_)


def common_words(stems: Ints, clusters: Labels, sizes: NDArray[np.float64]) -> Bools:
    """Return (t,) words that are frequent and evenly spread over the clusters: function words of any language.

    They have more than 3 uses in 100 documents, and an entropy of the rates per cluster above 0.85 of the maximum,
    unless one cluster has the word in 40 of 100 documents and twice as often as the others.
    """
    k = len(sizes)
    if k < _CLUSTERS:
        return np.zeros(len(stems), np.bool_)
    ones = np.ones(len(stems), np.float64)
    uses = sp.csc_matrix((ones, (clusters, stems)), shape=(k, int(stems.max(initial=0)) + 1))
    rates = uses.copy()
    rates.data = uses.data / np.maximum(sizes, 1)[uses.indices]
    telling = _telling(rates, sizes)
    total = np.maximum(np.asarray(rates.sum(0)).ravel(), 1e-12)
    rates.data = rates.data * log(np.maximum(rates.data, 1e-12))
    evenness = (log(total) - np.asarray(rates.sum(0)).ravel() / total) / log(k)
    frequent = np.asarray(uses.sum(0)).ravel() > _SHARE * sizes.sum()
    return np.asarray((frequent & (evenness > _EVENNESS) & ~telling)[stems])


def _telling(rates: "sp.csc_matrix[np.float64]", sizes: NDArray[np.float64]) -> Bools:
    """Return (stems,) words in a large share of one cluster, twice as frequent there as elsewhere, such as "comedy".

    Function words are frequent in all clusters.
    """
    own = sizes[rates.indices]
    column = np.repeat(np.arange(rates.shape[1]), np.diff(rates.indptr))
    whole = np.bincount(column, rates.data * own, minlength=rates.shape[1])
    elsewhere = (whole[column] - rates.data * own) / np.maximum(sizes.sum() - own, 1.0)
    telling = np.zeros(rates.shape[1], np.bool_)
    telling[column[rates.data >= np.maximum(_MUCH, _TIMES * elsewhere)]] = True
    return telling
