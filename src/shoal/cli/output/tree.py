"""The clusters of all layers as a tree in the terminal: broad groups, and what they divide into."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from shoal.cli.output.table import plain

__all__ = ["clusters_tree", "layers_of", "print_tree"]

_GUIDE: Final = 4
"""Columns that each level is indented by."""
_MOST: Final = 12
"""Children that are shown of one cluster."""
_WIDEST: Final = 120
_ROOM_FOR_KEYWORDS: Final = 16


class _Cluster(Protocol):
    """What a tree shows of a cluster."""

    @property
    def cluster_id(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def keywords(self) -> Sequence[str]: ...

    @property
    def size(self) -> int: ...

    @property
    def parent(self) -> str | None: ...


class _Layer(Protocol):
    @property
    def clusters(self) -> Sequence[_Cluster]: ...

    @property
    def chosen(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class _ReadCluster:
    cluster_id: str
    label: str
    keywords: Sequence[str]
    size: int
    parent: str | None


@dataclass(frozen=True, slots=True)
class _ReadLayer:
    clusters: Sequence[_Cluster]
    chosen: bool


@dataclass(slots=True)
class _Node:
    cluster: _Cluster
    children: list["_Node"]


def layers_of(summary: Mapping[str, Any]) -> Sequence[_Layer]:
    """The layers that a summary describes, coarse to fine; one where the method finds one."""
    if summary.get("layers") is None:
        return [_ReadLayer(_read(summary["clusters"]), chosen=True)]
    keywords = {one["cluster_id"]: one["keywords"] for one in summary["clusters"]}
    described = enumerate(summary["layers"]["named"])
    return [
        _ReadLayer(_read(clusters, keywords), number == summary["layers"]["chosen"]) for number, clusters in described
    ]


def _read(clusters: Sequence[Mapping[str, Any]], keywords: Mapping[str, Sequence[str]] | None = None) -> list[_Cluster]:
    known = keywords or {}
    return [
        _ReadCluster(
            one["cluster_id"],
            one["label"],
            one.get("keywords") or known.get(one["cluster_id"], ()),
            one["size"],
            one.get("parent"),
        )
        for one in clusters
    ]


def print_tree(console: Console, layers: Sequence[_Layer], *, every: bool = False) -> None:
    """Print the layers down to the chosen one."""
    console.print(clusters_tree(layers, console.width, every=every), soft_wrap=True)


def clusters_tree(layers: Sequence[_Layer], width: int, *, every: bool = False) -> Tree:
    """A tree of the clusters down to the chosen layer, largest first: how many documents, the name, keywords as far as
    there is room. A cluster that stays whole from layer to layer is shown once. `every` shows all children of a
    cluster, else the twelve largest."""
    chosen = next(number for number, layer in enumerate(layers) if layer.chosen)
    tree = Tree("", hide_root=True, guide_style="dim")
    _grow(tree, _nodes(layers[: chosen + 1]), min(width, _WIDEST), every)
    return tree


def _nodes(layers: Sequence[_Layer]) -> list[_Node]:
    """The clusters of the coarsest layer with what is below them. One without a parent stands beside these."""
    below: Mapping[str, list[_Node]] = {}
    top = list[_Node]()
    for layer in reversed(layers):
        above: dict[str, list[_Node]] = {}
        for cluster in layer.clusters:
            children = below.get(cluster.cluster_id, [])
            node = children[0] if len(children) == 1 else _Node(cluster, children)
            if cluster.parent is None:
                top.append(node)
            else:
                above.setdefault(cluster.parent, []).append(node)
        below = above
    return sorted(top, key=lambda node: -node.cluster.size)


def _grow(tree: Tree, nodes: Sequence[_Node], width: int, every: bool) -> None:
    shown = nodes if every or len(nodes) <= _MOST + 1 else nodes[:_MOST]
    digits = max((len(f"{node.cluster.size:,}") for node in shown), default=1)
    for node in shown:
        branch = tree.add(_line(node, digits, width - _GUIDE))
        _grow(branch, node.children, width - _GUIDE, every)
    if len(shown) < len(nodes):
        left = nodes[len(shown) :]
        documents = sum(node.cluster.size for node in left)
        tree.add(Text(f"… and {len(left):,} more with {documents:,} documents", "dim"))


def _line(node: _Node, digits: int, room: int) -> Text:
    cluster = node.cluster
    size, label = f"{cluster.size:>{digits},}", plain(cluster.label)
    room -= digits + 2
    if cell_len(label) > room:
        return Text.assemble((size, "cyan"), "  ", (f"{set_cell_size(label, room - 1).rstrip()}…", "bold"))
    others = ", ".join(word for word in map(plain, cluster.keywords) if word.casefold() not in label.casefold())
    room -= cell_len(label) + 2
    keywords = others if cell_len(others) <= room else f"{set_cell_size(others, max(room - 1, 0)).rstrip(', ')}…"
    if not others or room < _ROOM_FOR_KEYWORDS:
        return Text.assemble((size, "cyan"), "  ", (label, "bold"))
    return Text.assemble((size, "cyan"), "  ", (label, "bold"), "  ", (keywords, "dim"))
