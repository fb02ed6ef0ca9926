"""The condensed tree as a table, numbered as in scikit-learn and hdbscan."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Rows
from shoal.engine.density.condensed_tree import CondensedTree

__all__ = ["CondensedTreeTable", "tabulate"]


@dataclass(frozen=True, slots=True)
class CondensedTreeTable:
    """One entry for each row and each cluster except the root: it leaves `parent` at `density`.

    Numbers below n are rows, n is the root, larger ones are clusters; a child has a larger number than its parent.
    Entries ascend by `child`: first the rows (all n or the m fitted ones), then the clusters. All entry arrays are (m +
    c - 1,).
    """

    parent: Rows
    child: Rows
    density: NDArray[np.float64]
    """lambda = 1 / distance, infinite for rows that never leave; "lambda_val" in other libraries."""
    child_size: Rows
    selected: Rows
    """(k,) the numbers of the selected clusters."""
    label: Rows
    """(k,) their labels."""


def tabulate(tree: CondensedTree, selected: Rows, label: Rows) -> CondensedTreeTable:
    """Tabulate a tree; the clusters `selected` (k,), the root being 0, get the labels `label` (k,)."""
    total = len(tree.cluster)
    return CondensedTreeTable(
        parent=np.concatenate([tree.cluster, tree.parent[1:]]) + total,
        child=np.concatenate([np.arange(total), np.arange(total + 1, total + len(tree.parent))]),
        density=np.concatenate([tree.leaving, tree.birth[1:]]),
        child_size=np.concatenate([np.ones(total, np.int64), tree.size[1:]]),
        selected=selected + total,
        label=label,
    )
