"""How good are clusters without parameters, and how far do seeds and constants move them?

Prints Markdown: the score is the adjusted Rand index on clustered rows to the power 2/3 times the share of rows that
are clustered to the power 1/3; AMI counts noise as one cluster; rows whose label is oos count in the last column only.

    python benchmarks/bench_auto_stability.py ../shared/data [--constants]
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from shoal.engine.algorithms import auto
from shoal.engine.communities import leiden as communities
from shoal.engine.layers import choice as layer_choice
from shoal.engine.neighbors import graph as neighbor_graph
from shoal.engine.plan import ignore_progress
from shoal.engine.rows.geometry import unit_rows

SETS = {
    "clinc150": "embedding",
    "banking77": "embedding",
    "mnist10k": "pca64",
    "fashion900": "pca64",
    "movies": "embedding",
    "cora": "text_embedding",
}
CONSTANTS = (
    (layer_choice, "_MIN_CONTRAST"),
    (layer_choice, "_NEAR_BEST"),
    (layer_choice, "_MIN_INSIDE"),
    (auto, "_MIN_HOME_SHARE"),
    (auto, "_MAX_DEVIATIONS"),
    (auto, "_DENSITY_NEIGHBORS"),
    (communities, "_RUNS"),
    (communities, "_GROUP_RESOLUTION"),
    (neighbor_graph, "_MIN_UNIT_SHARE"),
)
Labels = NDArray[np.int64]


def load(folder: Path, name: str, column: str) -> tuple[NDArray[np.float32], Labels]:
    table = pq.read_table(folder / f"{name}.parquet", columns=["label", column])
    flat = table[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    points = np.ascontiguousarray(flat.reshape(len(table), -1), np.float32)
    words = table["label"].to_numpy(zero_copy_only=False).astype(str)
    truth = np.where(words == "oos", -1, np.unique(words, return_inverse=True)[1])
    rows = points.any(axis=1)
    return unit_rows(points[rows]), truth[rows]


def cluster(points: NDArray[np.float32], seed: int = 42, **params: int) -> Labels:
    result = auto.fit(points, auto.AutoParams(**params), seed=seed, threads=0, progress=ignore_progress)
    return result.assignments.labels


def ami(truth: Labels, labels: Labels) -> float:
    return float(adjusted_mutual_info_score(truth[truth >= 0], labels[truth >= 0]))


def line(name: str, points: NDArray[np.float32], truth: Labels) -> str:
    begun = time.perf_counter()
    labels = cluster(points)
    seconds = time.perf_counter() - begun
    inside = (labels >= 0) & (truth >= 0)
    scope = truth >= 0
    rand = adjusted_rand_score(truth[inside], labels[inside])
    score = max(rand, 0) ** (2 / 3) * (inside.sum() / scope.sum()) ** (1 / 3)
    other = adjusted_rand_score(labels, cluster(points, seed=7))
    order = np.random.default_rng(0).permutation(len(points))
    shuffled = adjusted_rand_score(labels[order], cluster(points[order]))
    out = f"{(labels[~scope] < 0).mean():.2f}" if (~scope).any() else "-"
    facts = [f"{score:.3f}", f"{ami(truth, labels):.3f}", f"{labels.max() + 1} of {truth.max() + 1}"]
    facts += [f"{(labels[scope] < 0).mean():.2f}", out, f"{other:.3f}", f"{shuffled:.3f}", f"{seconds:.2f}"]
    return f"| {name} | " + " | ".join(facts) + " |"


def sensitivity(points: NDArray[np.float32], truth: Labels) -> dict[str, float]:
    """The largest move of AMI when each constant goes 10 % up or down."""
    baseline, moved = ami(truth, cluster(points)), dict[str, float]()
    for module, name in CONSTANTS:
        value = getattr(module, name)
        result = []
        for factor in (0.9, 1.1):
            changed = round(value * factor) if isinstance(value, int) else value * factor
            setattr(module, name, changed)
            result.append(abs(ami(truth, cluster(points)) - baseline))
        setattr(module, name, value)
        moved[name] = max(result)
    moved["n_neighbors"] = max(abs(ami(truth, cluster(points, n_neighbors=k)) - baseline) for k in (22, 28))
    return moved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--constants", action="store_true", help="10 %% on every constant instead")
    args = parser.parse_args()
    if not args.constants:
        print("| set | score | AMI | clusters | noise | oos left out | other seed | shuffled | s |\n|" + "---|" * 9)
    for name, column in SETS.items():
        points, truth = load(args.folder, name, column)
        if args.constants:
            sensitivities = ", ".join(f"{key} {value:.3f}" for key, value in sensitivity(points, truth).items())
            print(f"{name}: {sensitivities}", flush=True)
        else:
            print(line(name, points, truth), flush=True)


if __name__ == "__main__":
    main()
