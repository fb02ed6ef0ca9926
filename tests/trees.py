"""Spanning trees and edge lists to test with, the clusters of a condensed tree, and a way to run the
NumPy references although a core is built."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal.engine import kernels
from shoal.engine.density.linkage import Linkage, single_linkage

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SHAPES = ("random", "chain", "star", "broom")
HEIGHTS = ([1.0], [0.0], [0.0, 1.0], [0.5, 1.0, 2.0, 4.0], [0.0, 1e-310, 1e-300, 3.0, 1e300])

needs_core = pytest.mark.skipif(kernels.native() is None, reason="this installation has no compiled core")


@contextmanager
def plain() -> Iterator[None]:
    """Run the NumPy references inside the block."""
    with patch.object(kernels, "native", return_value=None):
        yield


@dataclass(frozen=True)
class Tree:
    left: Ints
    right: Ints
    height: Floats

    @property
    def linkage(self) -> Linkage:
        return single_linkage(self.left, self.right, self.height)


def make_tree(count: int, shape: str, heights: list[float] | None, seed: int) -> Tree:
    """A tree over shuffled rows, edges sorted by height; heights all different where None is given."""
    rng = np.random.default_rng(seed)
    own = np.arange(1, count)
    above = {
        "random": rng.integers(0, np.maximum(own, 1)),
        "chain": own - 1,
        "star": np.zeros_like(own),
        "broom": np.minimum(own - 1, count // 2),
    }[shape]
    height = np.sort(rng.random(count - 1) + 0.01 if heights is None else rng.choice(heights, count - 1))
    edges = rng.permutation(count)[rng.permuted(np.stack([own, above], axis=1), axis=1)]
    edges = edges[rng.permutation(count - 1)]
    return Tree(np.ascontiguousarray(edges[:, 0]), np.ascontiguousarray(edges[:, 1]), height)


@st.composite
def trees(draw: st.DrawFn, smallest: int = 1) -> Tree:
    return make_tree(
        draw(st.integers(smallest, 60)),
        draw(st.sampled_from(SHAPES)),
        draw(st.sampled_from([None, *HEIGHTS])),
        draw(st.integers(0, 2**32 - 1)),
    )


def clusters_by_tree(tree: pa.Table) -> dict[int, str]:
    """Map every row of a `condensed_tree` table to its cluster id: that of the first selected cluster above it."""
    chosen = {number: id for id, number in orjson.loads(tree.schema.metadata[b"selected"]).items()}
    root = int(tree.schema.metadata[b"root"])
    above = dict(zip(tree["child"].to_pylist(), tree["parent"].to_pylist(), strict=True))
    named = dict(zip(tree["child"].to_pylist(), tree["cluster_id"].to_pylist(), strict=True))
    assert {number: id for number, id in named.items() if id} == {n: id for n, id in chosen.items() if n != root}
    result = {}
    for row in (child for child in above if child < root):
        node: int | None = above[row]
        while node is not None and node not in chosen:
            node = above.get(node)
        result[row] = "cl_noise" if node is None else chosen[node]
    return result
