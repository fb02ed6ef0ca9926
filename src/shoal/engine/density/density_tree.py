"""What a hierarchy of densities tells beside the labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels, Rows
from shoal.engine.density.tree_table import CondensedTreeTable

__all__ = ["Density", "renumber_density", "reorder_density"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """Of n rows in k clusters."""

    outlier_scores: NDArray[np.float32]
    """(n,) GLOSH in 0..1, 1 for rows far sparser than the densest around them; NaN for rows that were not fitted."""
    exemplars: Sequence[Rows]
    """For each cluster its densest rows, in the order in which they were clustered."""
    tree: CondensedTreeTable
    """Over the rows that were fitted, under their numbers among all n; clusters are called as in the labels."""


def renumber_density(density: Density, found: NDArray[np.int64], labels: Labels, fitted: Rows | None) -> Density:
    """The same among all rows, with clusters numbered as in `labels` (n,). `found` (m,) are the labels of the fit, of
    the rows `fitted` where these are not all."""
    rows = np.arange(len(labels)) if fitted is None else fitted
    inside = found >= 0
    number = np.full(len(density.exemplars), -1, np.int64)  # -1 stays with clusters that hold no row
    number[found[inside]] = labels[rows[inside]]
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
    """The same where what was row i is row `order[i]`; `order` (n,) is a permutation."""
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
    """Rows and clusters of the tree under their final numbers."""
    further = total - len(rows)
    child = np.where(tree.child < len(rows), rows[np.minimum(tree.child, len(rows) - 1)], tree.child + further)
    held = number[tree.label] >= 0
    return replace(
        tree,
        parent=tree.parent + further,
        child=child,
        selected=tree.selected[held] + further,
        label=number[tree.label][held],
    )
