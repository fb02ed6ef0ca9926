"""Reference implementation of `native/communities.cpp` in Python, for installations without the compiled core: same
results, slowly."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["agreed_graph", "common_groups", "groups_of_vertices", "joined_groups", "layers_of_communities"]
__all__ += ["runs_of_communities", "weights_within"]

_LEAST_GAIN = 1e-12
_STRETCH = 16384
_SWEEPS = 2
_INSIDE = 0.5
_SHRUNK = 0.9
_FEW_GROUPS = 4096
_ALL = (1 << 64) - 1

Graph = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]


Starts = NDArray[np.int64]
Places = NDArray[np.int32]
Weights = NDArray[np.float32]


def groups_of_vertices(
    start: Starts,
    to: Places,
    weight: Weights,
    strength: NDArray[np.float64],
    total: float,
    resolution: float,
    most: int,
    threads: int,
    tick: Callable[[float], None],
) -> Places:
    """See `_native.pyi`; `threads` has no effect."""
    graph = _Graph(start.tolist(), to.tolist(), weight.tolist(), strength.tolist(), total)
    part = list[int]()
    for first in range(0, graph.count, _STRETCH):
        last = min(first + _STRETCH, graph.count)
        part += [first * 2 + label for label in _group_stretch(graph, first, last, resolution)]
        tick(last / graph.count)
    parts = _renumber(part)
    if parts > most:
        _join_groups(_contract(graph, part, parts), resolution, most, part)
    _renumber(part)
    return np.array([part], np.int32)


def layers_of_communities(
    start: Starts,
    to: Places,
    weight: Weights,
    strength: NDArray[np.float64],
    total: float,
    groups: Places | None,
    resolutions: NDArray[np.float64],
    seed: int,
    threads: int,
    tick: Callable[[float], None],
) -> Places:
    """See `_native.pyi`; `threads` has no effect."""
    count = len(start) - 1
    layers = np.empty((len(resolutions), count), np.int32)
    if count == 0 or len(resolutions) == 0:
        return layers
    graph = _Graph(start.tolist(), to.tolist(), weight.tolist(), strength.tolist(), total)
    part, small = _build_start(graph, groups, None)
    own = list(range(small.count))
    parts = _join_groups(small, float(resolutions.max()), _FEW_GROUPS, own)
    part, small = [own[place] for place in part], _contract(small, own, parts)
    for number, resolution in enumerate(resolutions.tolist()):
        own = list(range(parts))
        _iterate(small, resolution, _mix_bits(seed), own)
        labels = [own[place] for place in part]
        _renumber(labels)
        layers[number] = labels
        tick((number + 1) / len(resolutions))
    return layers


def runs_of_communities(
    start: Starts,
    to: Places,
    weight: Weights,
    strength: NDArray[np.float64],
    total: float,
    groups: Places | None,
    within: Places | None,
    resolution: float,
    seeds: NDArray[np.uint64],
    rounds: int,
    threads: int,
    tick: Callable[[float], None],
) -> Places:
    """See `_native.pyi`; `threads` has no effect."""
    count = len(start) - 1
    runs = np.empty((len(seeds), count), np.int32)
    graph = _Graph(start.tolist(), to.tolist(), weight.tolist(), strength.tolist(), total)
    part = list(range(count))
    if groups is not None or within is not None:
        part, graph = _build_start(graph, groups, within)
    for number, seed in enumerate(seeds.tolist()):
        own = list(range(graph.count))
        for round in range(max(rounds, 1)):
            _iterate(graph, resolution, _mix_bits((seed + round) & _ALL), own)
        labels = [own[place] for place in part]
        _renumber(labels)
        runs[number] = labels
        tick((number + 1) / len(seeds))
    return runs


def common_groups(labels: Places) -> Places:
    """See `_native.pyi`."""
    groups = [0] * labels.shape[1]
    for layer in labels.tolist():
        numbers: dict[tuple[int, int], int] = {}
        groups = [numbers.setdefault(pair, len(numbers)) for pair in zip(groups, layer, strict=True)]
    return np.array(groups, np.int32)


def joined_groups(start: Starts, to: Places, weight: Weights, groups: Places, threads: int) -> Graph:
    """See `_native.pyi`; `threads` has no effect."""
    part, parts = groups.tolist(), int(groups.max(initial=-1)) + 1
    graph = _Graph(start.tolist(), to.tolist(), weight.tolist(), [0.0] * len(part), 0.0)
    small = _contract(graph, part, parts)
    ends = np.array(small.to, np.int64)
    order = np.lexsort((ends, np.repeat(np.arange(parts), np.diff(small.start))))
    return (
        np.array(small.start, np.int64),
        np.ascontiguousarray(ends[order], np.int32),
        np.ascontiguousarray(np.array(small.weight)[order], np.float32),
    )


def agreed_graph(
    start: Starts, to: Places, weight: Weights, labels: Places, threads: int
) -> tuple[Starts, Places, Weights, int, int]:
    """See `_native.pyi`; `threads` has no effect."""
    row = np.repeat(np.arange(len(start) - 1), np.diff(start))
    same = np.zeros(len(to), np.int64)
    for own in labels:
        same += own[row] == own[to]
    is_kept = same > 0
    starts = np.concatenate([[0], np.cumsum(is_kept)])[start].astype(np.int64)
    share = same.astype(np.float32) / np.float32(len(labels))
    return starts, to[is_kept], (weight * share)[is_kept], int(same.sum()), int((same * (same - 1)).sum())


def weights_within(
    start: NDArray[np.int64],
    to: NDArray[np.int32],
    weight: NDArray[np.float32],
    labels: NDArray[np.int32],
    threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """See `_native.pyi`; `threads` has no effect."""
    count = len(start) - 1
    row = np.repeat(np.arange(count), np.diff(start))
    weights, edges = np.zeros(len(labels)), np.zeros(len(labels), np.int64)
    for layer, own in enumerate(labels):
        inside = own[row] == own[to]
        sums = np.bincount(row[inside], weight[inside], count)
        weights[layer], edges[layer] = np.cumsum(sums)[-1] if count else 0.0, inside.sum()
    return weights, edges


@dataclass(frozen=True, slots=True)
class _Graph:
    start: list[int]
    to: list[int]
    weight: list[float]
    strength: list[float]
    total: float

    @property
    def count(self) -> int:
        return len(self.start) - 1

    def neighbors(self, vertex: int) -> range:
        return range(self.start[vertex], self.start[vertex + 1])


def _mix_bits(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _ALL
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _ALL
    return value ^ (value >> 31)


def _shuffle(count: int, seed: int) -> list[int]:
    order, state = list(range(count)), seed
    for left in range(count, 1, -1):
        state = (state + 0x9E3779B97F4A7C15) & _ALL
        other = _mix_bits(state) % left
        order[left - 1], order[other] = order[other], order[left - 1]
    return order


def _renumber(labels: list[int]) -> int:
    number: dict[int, int] = {}
    for place, label in enumerate(labels):
        labels[place] = number.setdefault(label, len(number))
    return len(number)


class _Steps:
    def __init__(self, graph: _Graph, resolution: float) -> None:
        self.graph = graph
        self.rate = resolution / max(graph.total, 1e-300)

    def toward(self, vertex: int, labels: list[int], only: list[int] | None = None) -> dict[int, float]:
        """The weight from a vertex to each community, in order of encounter; with `only` within its own whole."""
        weights: dict[int, float] = {}
        to, weight = self.graph.to, self.graph.weight
        for at in self.graph.neighbors(vertex):
            if only is None or only[to[at]] == only[vertex]:
                weights[labels[to[at]]] = weights.get(labels[to[at]], 0.0) + weight[at]
        return weights

    def move(self, labels: list[int], seed: int, visits: int = _ALL) -> None:
        graph = self.graph
        masses, sizes = [0.0] * graph.count, [0] * graph.count
        for vertex, label in enumerate(labels):
            masses[label] += graph.strength[vertex]
            sizes[label] += 1
        empty = [label for label in range(graph.count - 1, -1, -1) if sizes[label] == 0]
        queue, waiting, head = _shuffle(graph.count, seed), [True] * graph.count, 0
        while head < min(len(queue), visits):
            vertex = queue[head]
            head += 1
            waiting[vertex] = False
            own, strength = labels[vertex], graph.strength[vertex]
            masses[own] -= strength
            best = self._best(vertex, labels, masses, sizes, empty)
            masses[best] += strength
            if best == own:
                continue
            if sizes[best] == 0:
                empty.pop()
            sizes[best] += 1
            sizes[own] -= 1
            if sizes[own] == 0:
                empty.append(own)
            labels[vertex] = best
            for at in graph.neighbors(vertex):
                other = graph.to[at]
                if not waiting[other] and labels[other] != best:
                    waiting[other] = True
                    queue.append(other)

    def _best(self, vertex: int, labels: list[int], masses: list[float], sizes: list[int], empty: list[int]) -> int:
        own, price = labels[vertex], self.rate * self.graph.strength[vertex]
        toward = self.toward(vertex, labels)
        best, gain = own, toward.get(own, 0.0) - price * masses[own]
        for community, weight in toward.items():
            here = weight - price * masses[community]
            if here > gain + _LEAST_GAIN:
                best, gain = community, here
        return empty[-1] if gain < -_LEAST_GAIN and sizes[own] > 1 else best

    def refine(self, labels: list[int], seed: int) -> list[int]:
        graph = self.graph
        whole, masses, rest = [0.0] * graph.count, list(graph.strength), [0.0] * graph.count
        sizes, part = [1] * graph.count, list(range(graph.count))
        for vertex, label in enumerate(labels):
            whole[label] += graph.strength[vertex]
            for at in graph.neighbors(vertex):
                if labels[graph.to[at]] == label:
                    rest[vertex] += graph.weight[at]
        for vertex in _shuffle(graph.count, seed):
            strength, whole_mass = graph.strength[vertex], whole[labels[vertex]]
            if sizes[part[vertex]] > 1 or rest[vertex] < self.rate * strength * (whole_mass - strength):
                continue
            toward = self.toward(vertex, part, labels)
            best, gain = part[vertex], 0.0
            for community, weight in toward.items():
                if rest[community] < self.rate * masses[community] * (whole_mass - masses[community]):
                    continue
                here = weight - self.rate * strength * masses[community]
                if here > gain + _LEAST_GAIN:
                    best, gain = community, here
            if best != part[vertex]:
                sizes[part[vertex]] = 0
                sizes[best] += 1
                rest[best] += rest[vertex] - 2 * toward[best]
                masses[best] += strength
                part[vertex] = best
        return part


def _group(graph: _Graph, resolution: float, seed: int) -> tuple[list[int], int]:
    steps, part = _Steps(graph, resolution), list(range(graph.count))
    steps.move(part, _mix_bits(seed ^ 0x5851F42D4C957F2D), _SWEEPS * graph.count)
    _renumber(part)
    part = steps.refine(part, _mix_bits(seed ^ 0x14057B7EF767814F))
    return part, _renumber(part)


def _group_stretch(graph: _Graph, first: int, last: int, resolution: float) -> list[int]:
    start, to, weight = [0], list[int](), list[float]()
    for vertex in range(first, last):
        inner_edges = [at for at in graph.neighbors(vertex) if first <= graph.to[at] < last]
        to.extend(graph.to[at] - first for at in inner_edges)
        weight.extend(graph.weight[at] for at in inner_edges)
        start.append(len(to))
    own = _Graph(start, to, weight, graph.strength[first:last], graph.total)
    part, parts = _group(own, resolution, 0)
    for vertex in range(own.count):
        inside = 0.0
        for at in own.neighbors(vertex):
            inside += weight[at]
        if inside < _INSIDE * own.strength[vertex]:
            part[vertex] = parts
            parts += 1
    return part


def _join_groups(graph: _Graph, resolution: float, most: int, part: list[int]) -> int:
    parts = graph.count
    while parts > most:
        own, fewer = _group(graph, resolution, 0)
        if fewer > _SHRUNK * parts:
            break
        part[:] = [own[place] for place in part]
        graph, parts = _contract(graph, own, fewer), fewer
    return parts


def _build_start(graph: _Graph, groups: Places | None, within: Places | None) -> tuple[list[int], _Graph]:
    part: list[int] = list(range(graph.count)) if groups is None else groups.tolist()
    return part, _contract(graph, part, max(part, default=-1) + 1, None if within is None else within.tolist())


def _contract(graph: _Graph, part: list[int], parts: int, within: list[int] | None = None) -> _Graph:
    members: list[list[int]] = [[] for _ in range(parts)]
    strength = [0.0] * parts
    for vertex, own in enumerate(part):
        members[own].append(vertex)
        strength[own] += graph.strength[vertex]
    start, to, weight = [0], list[int](), list[float]()
    for own in range(parts):
        toward: dict[int, float] = {}
        for vertex in members[own]:
            for at in graph.neighbors(vertex):
                other = part[graph.to[at]]
                if other != own and (within is None or within[graph.to[at]] == within[vertex]):
                    toward[other] = toward.get(other, 0.0) + graph.weight[at]
        to.extend(toward)
        weight.extend(np.array(list(toward.values()), np.float32).tolist())
        start.append(len(to))
    return _Graph(start, to, weight, strength, graph.total)


def _iterate(graph: _Graph, resolution: float, seed: int, labels: list[int]) -> None:
    steps = _Steps(graph, resolution)
    steps.move(labels, _mix_bits(seed))
    if _renumber(labels) == graph.count:
        return
    part = steps.refine(labels, _mix_bits((seed + 1) & _ALL))
    parts = _renumber(part)
    if parts == graph.count:
        return
    own = [0] * parts
    for vertex, place in enumerate(part):
        own[place] = labels[vertex]
    _iterate(_contract(graph, part, parts), resolution, (seed + 2) & _ALL, own)
    labels[:] = [own[place] for place in part]
    _renumber(labels)
