"""The clusters of all layers as a tree in the terminal: broad groups and their subdivisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from shoal.cli.output.table import strip_controls

__all__ = ["build_tree", "parse_layers", "print_tree"]

_GUIDE: Final = 4
"""Indentation per level, in columns."""
_MOST: Final = 12
"""The maximum number of children shown per cluster."""
_WIDEST: Final = 120
_ROOM_FOR_KEYWORDS: Final = 16


class _Cluster(Protocol):
    """The attributes of a cluster that a tree shows."""

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
class _ParsedCluster:
    cluster_id: str
    label: str
    keywords: Sequence[str]
    size: int
    parent: str | None


@dataclass(frozen=True, slots=True)
class _ParsedLayer:
    clusters: Sequence[_Cluster]
    chosen: bool


@dataclass(slots=True)
class _Node:
    cluster: _Cluster
    children: list["_Node"]


def parse_layers(summary: Mapping[str, Any]) -> Sequence[_Layer]:
    """Return the layers of a summary, coarse to fine; one where the method finds a single one."""
    if summary.get("layers") is None:
        return [_ParsedLayer(_parse_clusters(summary["clusters"]), chosen=True)]
    keywords = {cluster["cluster_id"]: cluster["keywords"] for cluster in summary["clusters"]}
    named_layers = enumerate(summary["layers"]["named"])
    return [
        _ParsedLayer(_parse_clusters(clusters, keywords), number == summary["layers"]["chosen"])
        for number, clusters in named_layers
    ]


def _parse_clusters(
    clusters: Sequence[Mapping[str, Any]], keywords: Mapping[str, Sequence[str]] | None = None
) -> list[_Cluster]:
    keywords_by_id = keywords or {}
    return [
        _ParsedCluster(
            cluster["cluster_id"],
            cluster["label"],
            cluster.get("keywords") or keywords_by_id.get(cluster["cluster_id"], ()),
            cluster["size"],
            cluster.get("parent"),
        )
        for cluster in clusters
    ]


def print_tree(console: Console, layers: Sequence[_Layer], *, every: bool = False) -> None:
    """Print the layers down to the chosen one."""
    console.print(build_tree(layers, console.width, every=every), soft_wrap=True)


def build_tree(layers: Sequence[_Layer], width: int, *, every: bool = False) -> Tree:
    """Build a tree of the clusters down to the chosen layer, largest first: size, name, and keywords where they fit.

    A cluster that stays unchanged from layer to layer is shown once. `every` shows all children of a cluster, else the
    twelve largest.
    """
    chosen = next(number for number, layer in enumerate(layers) if layer.chosen)
    tree = Tree("", hide_root=True, guide_style="dim")
    _add_nodes(tree, _build_nodes(layers[: chosen + 1]), min(width, _WIDEST), every)
    return tree


def _build_nodes(layers: Sequence[_Layer]) -> list[_Node]:
    """Return the clusters of the coarsest layer with their descendants, and those without a parent."""
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


def _add_nodes(tree: Tree, nodes: Sequence[_Node], width: int, every: bool) -> None:
    shown = nodes if every or len(nodes) <= _MOST + 1 else nodes[:_MOST]
    digits = max((len(f"{node.cluster.size:,}") for node in shown), default=1)
    for node in shown:
        branch = tree.add(_format_node(node, digits, width - _GUIDE))
        _add_nodes(branch, node.children, width - _GUIDE, every)
    if len(shown) < len(nodes):
        hidden = nodes[len(shown) :]
        documents = sum(node.cluster.size for node in hidden)
        tree.add(Text(f"… and {len(hidden):,} more with {documents:,} documents", "dim"))


def _format_node(node: _Node, digits: int, room: int) -> Text:
    cluster = node.cluster
    size, label = f"{cluster.size:>{digits},}", strip_controls(cluster.label)
    room -= digits + 2
    if cell_len(label) > room:
        return Text.assemble((size, "cyan"), "  ", (f"{set_cell_size(label, room - 1).rstrip()}…", "bold"))
    others = ", ".join(
        word for word in map(strip_controls, cluster.keywords) if word.casefold() not in label.casefold()
    )
    room -= cell_len(label) + 2
    keywords = others if cell_len(others) <= room else f"{set_cell_size(others, max(room - 1, 0)).rstrip(', ')}…"
    if not others or room < _ROOM_FOR_KEYWORDS:
        return Text.assemble((size, "cyan"), "  ", (label, "bold"))
    return Text.assemble((size, "cyan"), "  ", (label, "bold"), "  ", (keywords, "dim"))
