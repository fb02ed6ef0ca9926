"""The tree above the clusters: which groups there are, and what they and the clusters are called.

A group that would hold a single cluster or group is left out, and what it held stands in its place. Ids tell the way:
`cl_0` is the largest at the top, `cl_0_sub_1` the second largest in it (contract.md#hierarchies). Without groups the
clusters are `cl_0`, `cl_1`, …, largest first.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Rows
from shoal.records.cluster_ids import Path

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
        """The path of each cluster, by its number."""
        found = {node.clusters[0]: path for path, node in self.nodes.items() if not node.children}
        return [found[number] for number in range(len(found))]

    def groups(self) -> list[tuple[Path, Node]]:
        """The groups, nearest to the clusters first."""
        above = [(path, node) for path, node in self.nodes.items() if node.children]
        return sorted(above, key=lambda each: each[1].level)

    def children(self, path: Path) -> list[Path]:
        """What stands directly below a group, largest first."""
        return [(*path, number) for number in range(len(self.nodes[path].children))]


def grow(
    levels: Sequence[Numbers], sizes: Rows, made: Callable[[int, Sequence[Node]], None] = lambda level, nodes: None
) -> Tree:
    """The tree over clusters of these `sizes` (k,), from the group (k,) of every cluster on each level, nearest first.

    Where a level cuts through groups of the one below, each goes where most of its documents are. `made` is called with
    each level and the nodes that partition the clusters there, in order, if there is a new group among them.
    """
    nodes = [Node(0, int(size), (number,)) for number, size in enumerate(sizes.tolist())]
    for level, group in enumerate(levels, start=1):
        nodes, fresh = _joined(nodes, group, sizes, level)
        if fresh:
            made(level, nodes)
    if len(nodes) == 1 and nodes[0].children:
        nodes = list(nodes[0].children)  # one group of everything says nothing
    return Tree(dict(_walk(nodes, ())))


def _joined(nodes: Sequence[Node], group: Numbers, sizes: Rows, level: int) -> tuple[list[Node], bool]:
    """The nodes of the next level, and whether there is a group among them that was not there."""
    inside: dict[int, list[Node]] = {}
    for node in nodes:
        own = np.array(node.clusters)
        inside.setdefault(int(np.bincount(group[own], sizes[own]).argmax()), []).append(node)
    found = list[Node]()
    for _, members in sorted(inside.items()):
        if len(members) == 1:
            found.append(members[0])
            continue
        clusters = tuple(sorted(number for member in members for number in member.clusters))
        found.append(Node(level, sum(member.size for member in members), clusters, tuple(members)))
    return found, len(found) < len(nodes)


def _walk(nodes: Sequence[Node], parent: Path) -> Iterator[tuple[Path, Node]]:
    for number, node in enumerate(sorted(nodes, key=lambda node: (-node.size, node.clusters))):
        yield (*parent, number), node
        yield from _walk(node.children, (*parent, number))
