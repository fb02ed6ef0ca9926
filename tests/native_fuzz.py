"""Compare every instruction set and the NumPy reference with the definition, on data that are hard for codes.

    python -m native_fuzz [--seeds N] [--first SEED]

Each case takes rows of one kind and dimension. Neighbours, nearest centers, starts and the walk of HDBSCAN must be the
bit-identical on every instruction set of this processor and in the NumPy reference; neighbours and
centers must be those of float64 differences over all pairs. Prints each kind and dimension with its mismatches.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Final
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from shoal.engine import kernels
from shoal.engine.density.merge_order import walk
from shoal.engine.density.reachability import find_reachability
from shoal.engine.kmeans import centers
from shoal.engine.neighbors.lists import find_neighbors
from shoal.engine.parallel import one_blas_thread
from shoal.engine.plan import ignore_progress
from shoal.engine.rows.row_keys import sort_by_key

__all__ = ["DIMENSIONS", "KINDS", "Case", "distances", "list_sides", "mismatches", "require_core", "run_on"]

Points = NDArray[np.float32]
Floats = NDArray[np.float64]
Make = Callable[[np.random.Generator, int, int], Floats]

DIMENSIONS: Final = (1, 2, 3, 8, 31, 96, 128, 130, 384, 768, 1024, 1025, 1536, 3072, 8448)
PLAIN: Final = "plain"


def _blobs(rng: np.random.Generator, n: int, d: int) -> Floats:
    means = rng.standard_normal((max(2, n // 30), d))
    return means[rng.integers(0, len(means), n)] + 0.3 * rng.standard_normal((n, d))


def _of_rank(rng: np.random.Generator, n: int, d: int, rank: int) -> Floats:
    return rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d))


def _scale_rows(points: Floats, rng: np.random.Generator, share: float, factor: float) -> Floats:
    chosen = rng.permutation(len(points))[: max(1, round(share * len(points)))]
    points[chosen] *= factor
    return points


def _dominant(rng: np.random.Generator, n: int, d: int) -> Floats:
    points = _blobs(rng, n, d)
    points[:, rng.integers(d)] = 1000 * rng.standard_normal(n)
    return points


def _duplicates(rng: np.random.Generator, n: int, d: int) -> Floats:
    return _blobs(rng, n, d)[rng.integers(0, max(2, n // 3), n)]


def _with_zeros(rng: np.random.Generator, n: int, d: int) -> Floats:
    points = _blobs(rng, n, d)
    points[rng.random(n) < 0.3] = 0
    return points


def _near_duplicates(rng: np.random.Generator, n: int, d: int) -> Floats:
    points = _blobs(rng, n, d)[rng.integers(0, max(2, n // 3), n)]
    return points * (1 + 1e-6 * rng.standard_normal((n, d)))


def _unit_rows(rng: np.random.Generator, n: int, d: int) -> Floats:
    points = _blobs(rng, n, d)
    unit: Floats = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-30)
    return unit


KINDS: Final[dict[str, Make]] = {
    "low rank": lambda rng, n, d: _of_rank(rng, n, d, 5),
    "rank 1": lambda rng, n, d: _of_rank(rng, n, d, 1),
    "dominant column": _dominant,
    "heavy tails": lambda rng, n, d: _blobs(rng, n, d) * np.exp(2 * rng.standard_normal((n, 1))),
    "offset": lambda rng, n, d: _blobs(rng, n, d) + 1e4 * rng.standard_normal(d),
    "duplicates": _duplicates,
    "zeros": _with_zeros,
    "1 % far": lambda rng, n, d: _scale_rows(_blobs(rng, n, d), rng, 0.01, 1000),
    "tiny": lambda rng, n, d: 1e-21 * _blobs(rng, n, d),
    "huge": lambda rng, n, d: 1e14 * _blobs(rng, n, d),
    "integers": lambda rng, n, d: rng.integers(-3, 4, (n, d)).astype(np.float64),
    "sparse": lambda rng, n, d: rng.standard_normal((n, d)) * (rng.random((n, d)) < 0.05),
    "one-hot": lambda rng, n, d: np.eye(d)[rng.integers(0, d, n)] if d < 4000 else _blobs(rng, n, d).round(),
    "normalised": _unit_rows,
    "near duplicates": _near_duplicates,
}


class Case:
    """Rows of one kind: 20 to 260, sometimes over two blocks of codes, fewer if they are wide."""

    def __init__(self, kind: str, d: int, seed: int) -> None:
        rng = np.random.default_rng([seed, d, *map(ord, kind)])
        most = 90 if d > 4000 else 260
        n = int(rng.integers(20, most))
        if d <= 400 and rng.random() < 0.15:
            n = int(rng.integers(800, 1700))
        self.points = np.ascontiguousarray(KINDS[kind](rng, n, d).astype(np.float32))
        self.count = int(rng.integers(1, 18))
        self.min_samples = int(rng.integers(1, min(n, 25)))
        self.centers = self.points[rng.permutation(n)[: int(rng.integers(1, 19))]]
        self.name = f"{kind}, {d} dimensions, seed {seed}, {n} rows"


def require_core() -> ModuleType:
    native = kernels.native()
    assert native is not None, "the fuzz test needs the compiled core"
    return native


def list_sides() -> list[str]:
    """List the instruction sets of this processor, and the NumPy reference."""
    return [*require_core().available_instructions(), PLAIN]


@contextmanager
def run_on(side: str) -> Iterator[None]:
    """Run the engine on this instruction set, or the reference, inside the block."""
    if side == PLAIN:
        with mock.patch.object(kernels, "native", return_value=None):
            yield
        return
    before = require_core().instructions()
    require_core().use_instructions(side)
    try:
        yield
    finally:
        require_core().use_instructions(before)


def mismatches(case: Case) -> list[str]:
    """What is not as defined, or not the same everywhere: nothing, if all is well."""
    answers = {}
    for side in list_sides():
        with run_on(side), one_blas_thread(), mock.patch.object(centers, "MIN_CODED_PRODUCTS", 0):
            answers[side] = _answers(case)
    first = next(iter(answers))
    wrong = [f"{case.name}: {problem}" for problem in _against_definition(case, answers[first])]
    for side, answer in answers.items():
        wrong += [
            f"{case.name}: {side}, {name} not as from {first}"
            for name, array in answer.items()
            if not np.array_equal(array, answers[first][name])
        ]
    return wrong


def _answers(case: Case) -> dict[str, NDArray[np.generic]]:
    points, own = case.points, np.arange(len(case.points))
    lists = find_neighbors(points, own, case.count, threads=2, progress=ignore_progress)
    two = centers.find_two_nearest(points, case.centers, 2, None)
    by_key, rows, where = sort_by_key(points, 1)
    copies = np.bincount(where)
    edges = find_reachability(
        points, rows, copies, case.min_samples, approximate=False, threads=2, progress=ignore_progress
    )
    reached, steps = walk(edges)
    assert lists.exact
    return {
        "neighbours": lists.rows,
        "distances": lists.distances,
        "labels": two.labels,
        "squares": two.squares,
        "core distances": edges.core,
        "walk": reached,
        "steps": steps,
        "keys": by_key,
    }


def _against_definition(case: Case, results: dict[str, NDArray[np.generic]]) -> Iterator[str]:
    """Compare lists and centers with all distances in float64."""
    all_distances = distances(case.points, case.points)
    np.fill_diagonal(all_distances, np.inf)
    rows, lengths = np.asarray(results["neighbours"]), np.asarray(results["distances"], np.float64)
    if not _close(lengths, np.take_along_axis(all_distances, rows, axis=1)):
        yield "distances are not those of the rows listed"
    if not _close(lengths, np.sort(all_distances, axis=1)[:, : rows.shape[1]]):
        yield "neighbours are not the nearest"
    if any(len(np.unique(row)) < len(row) for row in rows):
        yield "a neighbour is listed twice"
    to_centers = distances(case.points, case.centers)
    squares = np.asarray(results["squares"], np.float64)
    if not _close(np.sqrt(squares[:, 0]), to_centers.min(axis=1)):
        yield "centers are not the nearest"
    if not _close(np.sqrt(squares[:, 0]), to_centers[np.arange(len(all_distances)), np.asarray(results["labels"])]):
        yield "labels are not of the nearest centers"
    nearest = np.sort(all_distances, axis=1)[:, : max(case.min_samples - 1, 0)]
    radius = nearest[:, -1] if nearest.shape[1] else np.zeros(len(all_distances))
    by_row = np.empty(len(all_distances))
    _, _, where = sort_by_key(case.points, 1)
    by_row[np.asarray(results["keys"])] = np.asarray(results["core distances"], np.float64)[where]
    if not _close(by_row, radius):
        yield "core distances are not the radius that holds min_samples rows"


def _close(actual: Floats, expected: Floats) -> bool:
    return bool(np.allclose(actual, expected, rtol=1e-12, atol=0))


def distances(left: Points, right: Points) -> Floats:
    own, other = left.astype(np.float64), right.astype(np.float64)
    return np.stack([np.sqrt(((other - row) ** 2).sum(axis=1)) for row in own])


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz every instruction set and the reference against the definition.")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    args = parser.parse_args()
    start, total, wrong = time.perf_counter(), 0, 0
    print(f"{', '.join(list_sides())}; {len(KINDS)} kinds, {len(DIMENSIONS)} dimensions, {args.seeds} seeds")
    for kind in KINDS:
        for d in DIMENSIONS:
            problems = [
                problem
                for seed in range(args.first, args.first + args.seeds)
                for problem in mismatches(Case(kind, d, seed))
            ]
            total, wrong = total + args.seeds, wrong + len(problems)
            print(*problems, sep="\n" if problems else "", end="\n" if problems else "", flush=True)
        print(f"{kind}: {total} cases, {wrong} mismatches, {time.perf_counter() - start:.0f} s", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
