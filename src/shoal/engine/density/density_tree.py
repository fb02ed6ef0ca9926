"""Results of a density hierarchy beyond the labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels, Rows
from shoal.engine.density.tree_table import CondensedTreeTable

__all__ = ["Density", "renumber_density", "reorder_density"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """Density results for n rows in k clusters."""

    outlier_scores: NDArray[np.float32]
    """(n,) GLOSH scores in 0..1, near 1 for rows much sparser than the densest around them; NaN for rows that were not
    fitted."""
    exemplars: Sequence[Rows]
    """For each cluster its densest rows, ascending in the order of the fitted rows."""
    tree: CondensedTreeTable
    """Over the fitted rows, with their numbers among all n; clusters are numbered as in the labels."""


def renumber_density(density: Density, fit_labels: NDArray[np.int64], labels: Labels, fitted: Rows | None) -> Density:
    """Extend the results of a fit to all rows, with clusters numbered as in `labels` (n,). `fit_labels` (m,) are those
    of the fit, for the rows `fitted` if these are not all."""
    rows = np.arange(len(labels)) if fitted is None else fitted
    inside = fit_labels >= 0
    number = np.full(len(density.exemplars), -1, np.int64)  # -1 remains for clusters without rows
    number[fit_labels[inside]] = labels[rows[inside]]
    scores = np.full(len(labels), np.nan, np.float32)
    scores[rows] = density.outlier_scores
    exemplars: list[Rows] = [rows[:0]] * int(labels.max(initial=-1) + 1)
    for old, new in enumerate(number.tolist()):
        if new >= 0:
            exemplars[new] = np.sort(rows[density.exemplars[old]])
    return Density(
        outlier_scores=scores, exemplars=exemplars, tree=_renumber_tree(density.tree, number, rows, len(labels))
    )


def reorder_density(density: Density, order: Rows) -> Density:
    """Permute the rows: row i becomes row `order[i]`; `order` (n,) is a permutation."""
    tree, total = density.tree, len(order)
    rows = tree.child < total
    child = tree.child.copy()
    child[rows] = order[child[rows]]
    entries = np.argsort(child)  # rows come first in a tree, ascending
    scores = np.empty_like(density.outlier_scores)
    scores[order] = density.outlier_scores
    return Density(
        outlier_scores=scores,
        exemplars=[order[own] for own in density.exemplars],
        tree=replace(
            tree,
            parent=tree.parent[entries],
            child=child[entries],
            density=tree.density[entries],
            child_size=tree.child_size[entries],
        ),
    )


def _renumber_tree(tree: CondensedTreeTable, number: Rows, rows: Rows, total: int) -> CondensedTreeTable:
    """Replace row and cluster numbers of the tree by the final ones."""
    offset = total - len(rows)
    child = np.where(tree.child < len(rows), rows[np.minimum(tree.child, len(rows) - 1)], tree.child + offset)
    is_used = number[tree.label] >= 0
    return replace(
        tree,
        parent=tree.parent + offset,
        child=child,
        selected=tree.selected[is_used] + offset,
        label=number[tree.label][is_used],
    )
