"""The tree of groups above the clusters, and the paths of its nodes.

A group with a single child is replaced by the child. Ids are paths: `cl_0` is the largest node at the top, `cl_0_sub_1`
the second largest in it (contract.md#hierarchies). Without groups the clusters are `cl_0`, `cl_1`, …, largest first.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Rows
from shoal.records.clusters.ids import Path

__all__ = ["Node", "Tree", "grow"]

Numbers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Node:
    """A cluster (level 0, no children) or a group. `clusters` are the numbers of the clusters in it, ascending."""

    level: int
    size: int
    clusters: tuple[int, ...]
    children: tuple["Node", ...] = ()


@dataclass(frozen=True, slots=True)
class Tree:
    """The nodes by their paths, largest first at each place. The parent of (3, 0) is (3,)."""

    nodes: dict[Path, Node]

    def clusters(self) -> list[Path]:
        """Return the path of each cluster, by its number."""
        by_number = {node.clusters[0]: path for path, node in self.nodes.items() if not node.children}
        return [by_number[number] for number in range(len(by_number))]

    def groups(self) -> list[tuple[Path, Node]]:
        """Return the groups, nearest to the clusters first."""
        above = [(path, node) for path, node in self.nodes.items() if node.children]
        return sorted(above, key=lambda each: each[1].level)

    def children(self, path: Path) -> list[Path]:
        """Return the children of a group, largest first."""
        return [(*path, number) for number in range(len(self.nodes[path].children))]


def grow(
    levels: Sequence[Numbers], sizes: Rows, on_level: Callable[[int, Sequence[Node]], None] = lambda level, nodes: None
) -> Tree:
    """The tree over clusters of these `sizes` (k,), from the group (k,) of every cluster on each level, nearest first.

    Where a level cuts through groups of the one below, each goes where most of its documents are. `on_level` is called
    with each level and the nodes that partition the clusters there, in order, if there is a new group among them.
    """
    nodes = [Node(0, int(size), (number,)) for number, size in enumerate(sizes.tolist())]
    for level, group in enumerate(levels, start=1):
        nodes, fresh = _join_nodes(nodes, group, sizes, level)
        if fresh:
            on_level(level, nodes)
    if len(nodes) == 1 and nodes[0].children:
        nodes = list(nodes[0].children)  # one group of everything says nothing
    return Tree(dict(_walk(nodes, ())))


def _join_nodes(nodes: Sequence[Node], group: Numbers, sizes: Rows, level: int) -> tuple[list[Node], bool]:
    """Return the nodes of the next level, and whether there is a new group among them."""
    inside: dict[int, list[Node]] = {}
    for node in nodes:
        own = np.array(node.clusters)
        inside.setdefault(int(np.bincount(group[own], sizes[own]).argmax()), []).append(node)
    joined = list[Node]()
    for _, members in sorted(inside.items()):
        if len(members) == 1:
            joined.append(members[0])
            continue
        clusters = tuple(sorted(number for member in members for number in member.clusters))
        joined.append(Node(level, sum(member.size for member in members), clusters, tuple(members)))
    return joined, len(joined) < len(nodes)


def _walk(nodes: Sequence[Node], parent: Path) -> Iterator[tuple[Path, Node]]:
    for number, node in enumerate(sorted(nodes, key=lambda node: (-node.size, node.clusters))):
        yield (*parent, number), node
        yield from _walk(node.children, (*parent, number))
