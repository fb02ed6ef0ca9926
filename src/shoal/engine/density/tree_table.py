"""The condensed tree as a table, in the numbering that scikit-learn and hdbscan use."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Rows
from shoal.engine.density.condensed_tree import CondensedTree

__all__ = ["CondensedTreeTable", "tabulate"]


@dataclass(frozen=True, slots=True)
class CondensedTreeTable:
    """One entry for each row and each cluster but the root: it leaves `parent` at `density`.

    Numbers below n are rows, n is the root, those above are clusters; a child cluster has a larger number than its
    parent. Entries ascend by `child`: first the rows, all n or the m that were fitted, then the clusters. All arrays of
    entries are (m + c - 1,).
    """

    parent: Rows
    child: Rows
    density: NDArray[np.float64]
    """lambda = 1 / distance; infinite for rows that never part. "lambda_val" in other libraries."""
    child_size: Rows
    selected: Rows
    """(k,) the numbers of the clusters chosen."""
    label: Rows
    """(k,) what each of them is called in the labels of the rows."""


def tabulate(tree: CondensedTree, selected: Rows, label: Rows) -> CondensedTreeTable:
    """The table of a tree; its clusters `selected` (k,), the root being 0, are called `label` (k,)."""
    total = len(tree.cluster)
    return CondensedTreeTable(
        parent=np.concatenate([tree.cluster, tree.parent[1:]]) + total,
        child=np.concatenate([np.arange(total), np.arange(total + 1, total + len(tree.parent))]),
        density=np.concatenate([tree.leaving, tree.birth[1:]]),
        child_size=np.concatenate([np.ones(total, np.int64), tree.size[1:]]),
        selected=selected + total,
        label=label,
    )
