"""How near do learned feature weights come to the best ones, which only the labels reveal?

    python benchmarks/bench_features.py ../shared/data [--sets "cora;pairs"] [--metrics silhouette] [--step 0.1]

NMI of k-means with the true number of classes in the joined space, mean of three seeds; "best" is the largest on a grid
of weights, chosen with the labels, which the learning never sees. Besides two real sets: features that are noise or
copies, halves of one feature, and pairs made by joining rows of two sets, either of the same class (two views of one
thing) or of all pairs of classes (each feature contributes half). Prints Markdown.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.metrics import normalized_mutual_info_score

from shoal.engine import Plan, compute
from shoal.engine.features.spaces import concatenate_features
from shoal.engine.features.weights import Metric, WeightLearning, learn_weights

Points = NDArray[np.float32]
Labels = NDArray[np.int64]
Weights = Mapping[str, float]
SEEDS = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Set:
    blocks: Mapping[str, Points]
    truth: Labels


@cache
def column(folder: Path, name: str, column_name: str) -> tuple[Points, Labels]:
    table = pq.read_table(folder / f"{name}.parquet", columns=["label", column_name])
    flat = table[column_name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    words = table["label"].to_numpy(zero_copy_only=False).astype(str)
    points = np.ascontiguousarray(flat.reshape(len(table), -1), np.float32)
    inside = words != "oos"
    return points[inside], np.unique(words[inside], return_inverse=True)[1].astype(np.int64)


def real(folder: Path, name: str, first: str, second: str) -> Set:
    truth = column(folder, name, first)[1]
    return Set({left_rows: column(folder, name, left_rows)[0] for left_rows in (first, second)}, truth)


def noise(rows: int, width: int) -> Points:
    return np.random.default_rng(5).standard_normal((rows, width), np.float32)


def beside_noise(folder: Path, name: str, column_name: str, every: int, width: int) -> Set:
    points, truth = column(folder, name, column_name)
    return Set({"real": points[::every], "noise": noise(len(points[::every]), width)}, truth[::every])


def with_third(whole: Set, third: Callable[[Set], Points], name: str) -> Set:
    return Set({**whole.blocks, name: third(whole)}, whole.truth)


def halves(folder: Path, name: str, column_name: str, every: int) -> Set:
    points, truth = column(folder, name, column_name)
    cut = points.shape[1] // 2
    return Set({"first": points[::every, :cut], "second": points[::every, cut:]}, truth[::every])


def one_view_worse(folder: Path, name: str, column_name: str, every: int) -> Set:
    """A feature, and the same with noise three times its length added."""
    points, truth = column(folder, name, column_name)
    rows = points[::every] / np.linalg.norm(points[::every], axis=1, keepdims=True)
    added = noise(*rows.shape)
    worse = rows + 3 * added / np.linalg.norm(added, axis=1, keepdims=True)
    return Set({"clean": rows, "worse": worse}, truth[::every])


def combine_sets(
    folder: Path, left: str, right: str, classes: tuple[int, int], *, crossed: bool, rows: int = 2000
) -> Set:
    """Rows of `left` beside rows of `right`: of the class with the same number, or, if `crossed`, of any."""
    rng = np.random.default_rng(9)
    left_rows, right_rows = column(folder, left, "embedding"), column(folder, right, "pca64")
    own = [
        rng.permutation(np.unique(side[1]))[:count]
        for side, count in zip((left_rows, right_rows), classes, strict=True)
    ]
    first = rng.integers(classes[0], size=rows)
    second = rng.integers(classes[1], size=rows) if crossed else first % classes[1]
    blocks = {
        name: side[0][[rng.choice(np.flatnonzero(side[1] == label)) for label in query]]
        for name, side, query in (("text", left_rows, own[0][first]), ("image", right_rows, own[1][second]))
    }
    return Set(blocks, first * classes[1] + second if crossed else first)


SETS: Mapping[str, Callable[[Path], Set]] = {
    "cora": lambda at: real(at, "cora", "text_embedding", "link_embedding"),
    "pairs": lambda at: real(at, "pairs", "text_embedding", "image_pca64"),
    "pairs + noise": lambda at: with_third(SETS["pairs"](at), lambda own: noise(len(own.truth), 64), "noise"),
    "pairs + copy": lambda at: with_third(SETS["pairs"](at), lambda own: own.blocks["image_pca64"], "image again"),
    "cora + noise": lambda at: with_third(SETS["cora"](at), lambda own: noise(len(own.truth), 32), "noise"),
    "banking77 + noise": lambda at: beside_noise(at, "banking77", "embedding", 4, 24),
    "clinc150 + noise": lambda at: beside_noise(at, "clinc150", "embedding", 6, 384),
    "mnist10k + noise": lambda at: beside_noise(at, "mnist10k", "pca64", 3, 64),
    "banking77 + noise, 3-d": lambda at: beside_noise(at, "banking77", "embedding", 4, 3),
    "banking77, halves": lambda at: halves(at, "banking77", "embedding", 4),
    "mnist10k, halves": lambda at: halves(at, "mnist10k", "pca64", 3),
    "clinc150, one view worse": lambda at: one_view_worse(at, "clinc150", "embedding", 6),
    "clinc150 | mnist10k, same class": lambda at: combine_sets(at, "clinc150", "mnist10k", (10, 10), crossed=False),
    "banking77 | mnist10k, same class": lambda at: combine_sets(at, "banking77", "mnist10k", (30, 10), crossed=False),
    "clinc150 x fashion900": lambda at: combine_sets(at, "clinc150", "fashion900", (12, 8), crossed=True),
    "banking77 x mnist10k": lambda at: combine_sets(at, "banking77", "mnist10k", (6, 10), crossed=True),
}


def quality(own: Set, weights: Weights) -> float:
    space = concatenate_features(own.blocks, weights, normalize=True)
    present = space.any(axis=1)
    results = []
    for seed in SEEDS:
        params = {"n_clusters": int(own.truth.max()) + 1, "n_init": 3, "max_iter": 100}
        outcome = compute(space[present], Plan(algorithm="kmeans", params=params, components=0, seed=seed))
        results.append(float(normalized_mutual_info_score(own.truth[present], outcome.labels)))
    return float(np.mean(results))


def simplex(names: list[str], step: float) -> Iterator[Weights]:
    steps = round(1 / step)

    def parts(left: int, places: int) -> Iterator[tuple[int, ...]]:
        if places == 1:
            yield (left,)
            return
        for own in range(left + 1):
            yield from ((own, *rest) for rest in parts(left - own, places - 1))

    for place in parts(steps, len(names)):
        yield dict(zip(names, (part / steps for part in place), strict=True))


def format_weights(weights: Weights) -> str:
    return ", ".join(f"{weight:.2f}" for weight in weights.values())


def measure(name: str, own: Set, metrics: list[Metric], step: float) -> None:
    names = list(own.blocks)
    equal = quality(own, dict.fromkeys(names, 1 / len(names)))
    coarse = step if len(names) == 2 else max(step, 0.2)
    best, at = max(
        ((quality(own, weights), weights) for weights in simplex(names, coarse)), key=lambda left_rows: left_rows[0]
    )
    print(f"| {name}: {', '.join(names)} | equal | | {equal:.3f} | {equal / best:.0%} | |", flush=True)
    print(f"| | best | {format_weights(at)} | {best:.3f} | 100% | |", flush=True)
    for method in ("bayesian", "grid_search"):
        for metric in metrics:
            begun = time.perf_counter()
            learned = learn_weights(own.blocks, WeightLearning(method=method, metric=metric))
            seconds = time.perf_counter() - begun
            result = quality(own, learned.weights)
            row = f"{format_weights(learned.weights)} | {result:.3f} | {result / best:.0%} | {seconds:.1f}"
            print(f"| | {method}, {metric} | {row} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", default=";".join(SETS), help="names with a semicolon between; all if not given")
    parser.add_argument("--metrics", default=",".join(get_args(Metric)))
    parser.add_argument("--step", type=float, default=0.1, help="of the grid on which the best weights are looked for")
    args = parser.parse_args()
    chosen: list[Metric] = [metric for metric in get_args(Metric) if metric in args.metrics.split(",")]
    print("| set | weights | are | NMI | of the best | s |\n|" + "---|" * 6)
    for name in [left_rows for left_rows in SETS if left_rows in args.sets.split(";")]:
        measure(name, SETS[name](args.folder), chosen, args.step)


if __name__ == "__main__":
    main()
