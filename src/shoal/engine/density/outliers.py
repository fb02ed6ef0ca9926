"""Outlier scores and exemplars from the condensed tree."""

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Rows
from shoal.engine import kernels
from shoal.engine.density.condensed_tree import ROOT, CondensedTree

__all__ = ["find_exemplars", "score_outliers"]


def score_outliers(tree: CondensedTree) -> NDArray[np.float32]:
    """(n,) GLOSH in 0..1: 1 - leaving / the largest lambda in the cluster that a row leaves or below it.

    Near 0 for rows that stay as long as the densest around them, near 1 for rows that leave long before. Rows that
    never leave score 0, and only finite lambdas count for the others, otherwise a single pair of equal rows would make
    the rest of its cluster outliers. Campello, Moulavi, Zimek and Sander, "Hierarchical density estimates for data
    clustering, visualization, and outlier detection", 2015.
    """
    if native := kernels.native():
        scores: NDArray[np.float32] = native.outlier_scores(tree.parent, tree.cluster, tree.leaving)
        return scores
    finite = np.isfinite(tree.leaving)
    densest = np.zeros(len(tree.parent))
    np.maximum.at(densest, tree.cluster[finite], tree.leaving[finite])
    for cluster in range(len(densest) - 1, ROOT, -1):
        parent = tree.parent[cluster]
        densest[parent] = max(densest[parent], densest[cluster])
    top = densest[tree.cluster]
    scored = np.flatnonzero(finite & (top > 0))
    result = np.zeros(len(tree.leaving), np.float32)
    result[scored] = (top[scored] - tree.leaving[scored]) / top[scored]
    return result


def find_exemplars(tree: CondensedTree, labels: Rows, count: int) -> list[Rows]:
    """The densest rows, ascending, of each of `count` clusters: those that leave a leaf of the tree last, for every
    leaf below the cluster, so a cluster of several dense parts has several. `labels` is (n,), -1 for noise."""
    last = np.zeros(len(tree.parent))
    np.maximum.at(last, tree.cluster, tree.leaving)
    is_leaf = np.ones(len(tree.parent), np.bool_)
    is_leaf[tree.parent[1:]] = False
    rows = np.flatnonzero(is_leaf[tree.cluster] & (tree.leaving == last[tree.cluster]) & (labels >= 0))
    rows = rows[np.argsort(labels[rows], kind="stable")]
    ends = np.cumsum(np.bincount(labels[rows], minlength=count))
    return np.split(rows, ends[:-1]) if count else []
