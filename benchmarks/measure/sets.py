"""The points, and the labels they came with.

Real and synthetic sets of `../shared/data` (of unit length), a synthetic set of other width and seed, and a Gaussian
mixture that is made here. Each is written as float32 .npy, so that a contender's process only has to read it.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from measure.contenders import Points

__all__ = ["SETS", "Absent", "PointSet", "Sources"]

SHARED: Final = Path(__file__).resolve().parents[3] / "shared" / "data"


class Absent(Exception):
    """A set cannot be made here."""


@dataclass(frozen=True, slots=True)
class PointSet:
    """`points` is an (n, d) float32 .npy, `truth` (n,) int64, -1 for rows that belong nowhere."""

    name: str
    points: Path
    truth: NDArray[np.int64]
    shape: tuple[int, int]

    def load(self) -> Points:
        """The points as a memory map."""
        points: Points = np.load(self.points, mmap_mode="r")
        return points


@dataclass(frozen=True, slots=True)
class Sources:
    """`folder` keeps what was made; `rows` cuts every set, to try a benchmark out."""

    folder: Path
    shared: Path = SHARED
    rows: int | None = None

    def get(self, name: str) -> PointSet:
        """The set of this name, made where it is not there yet. Raises Absent."""
        home = self.folder / (name if self.rows is None else f"{name}-first-{self.rows}")
        if not (home / "truth.npy").exists():
            home.mkdir(parents=True, exist_ok=True)
            points, truth = SETS[name](self)
            np.save(home / "points.npy", points)
            np.save(home / "truth.npy", truth)
        truth = np.load(home / "truth.npy")
        width = np.load(home / "points.npy", mmap_mode="r").shape[1]
        return PointSet(name, home / "points.npy", truth, (len(truth), width))

    def cut(self, rows: int) -> int:
        return rows if self.rows is None else min(rows, self.rows)


Made = tuple[Points, NDArray[np.int64]]


def _parquet(
    sources: Sources, name: str, rows: int = 1 << 62, nowhere: str | None = None, column: str = "embedding"
) -> Made:
    """Rows of the labelled set whose vector is not all zeros, scaled to unit length."""
    import pyarrow.parquet as pq

    path = sources.shared / f"{name}.parquet"
    if not path.exists():
        raise Absent(f"{path.name} is not in {path.parent.name}")
    table = pq.read_table(path, columns=["label", column]).slice(0, sources.cut(rows))
    flat = table.column(column).combine_chunks().flatten().to_numpy()
    points = flat.reshape(len(table), -1).astype(np.float32)
    present = points.any(axis=1)
    points, table = points[present], table.filter(present)
    points /= np.linalg.norm(points, axis=1, keepdims=True)  # float16 left them a little off
    names, truth = np.unique(np.array(table.column("label").to_pylist()), return_inverse=True)
    truth = truth.astype(np.int64)
    if nowhere is not None:
        truth[names[truth] == nowhere] = -1
    return points, truth


def _synth(sources: Sources, rows: int, width: int, seed: int) -> Made:
    program = sources.shared / "synth.py"
    if not program.exists():
        raise Absent(f"{program.name} is not in {program.parent.name}")
    rows = sources.cut(rows)
    home = sources.folder / f"synth-{rows}-{width}-{seed}"
    options = {"n": rows, "d": width, "seed": seed, "out": home}
    command = [sys.executable, str(program), *(f"--{name}={value}" for name, value in options.items())]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return np.load(home / "X.npy", mmap_mode="r"), np.load(home / "y.npy")[:, 0].astype(np.int64)


def _first_half(sources: Sources, name: str) -> Made:
    whole = sources.get(name)
    rows = len(whole.truth) // 2
    return whole.load()[:rows], whole.truth[:rows]


def _mixture(sources: Sources, rows: int, width: int, groups: int, seed: int) -> Made:
    """Gaussians of uneven size and spread, not of unit length, and a fifth of the rows spread over the box of them."""
    rows = sources.cut(rows)
    rng = np.random.default_rng(seed)
    sizes = rng.pareto(1.5, groups) + 0.5
    middles = rng.normal(0, 10, (groups, width)).astype(np.float32)
    spreads = rng.lognormal(0.8, 0.4, groups).astype(np.float32)
    truth = rng.choice(groups, rows, p=sizes / sizes.sum())
    points = middles[truth] + spreads[truth, None] * rng.standard_normal((rows, width), dtype=np.float32)
    nowhere = rng.random(rows) < 0.2
    points[nowhere] = rng.uniform(-25, 25, (int(nowhere.sum()), width))
    return points, np.where(nowhere, -1, truth).astype(np.int64)


SETS: Final[Mapping[str, Callable[[Sources], Made]]] = {
    "clinc150-10k": partial(_parquet, name="clinc150", rows=10_000, nowhere="oos"),
    "clinc150": partial(_parquet, name="clinc150", nowhere="oos"),
    "banking77": partial(_parquet, name="banking77"),
    "mnist10k": partial(_parquet, name="mnist10k", column="pca64"),
    "fashion900": partial(_parquet, name="fashion900", column="pca64"),
    "movies": partial(_parquet, name="movies"),
    "cora": partial(_parquet, name="cora", column="text_embedding"),
    "synth-100k": partial(_synth, rows=100_000, width=384, seed=11),
    "synth-50k": partial(_first_half, name="synth-100k"),
    "synth-1m": partial(_synth, rows=1_000_000, width=384, seed=11),
    "synth-wide": partial(_synth, rows=50_000, width=768, seed=29),
    "mixture": partial(_mixture, rows=50_000, width=128, groups=200, seed=5),
}
"""The synth sets and the mixture are made from a seed, the same everywhere."""
