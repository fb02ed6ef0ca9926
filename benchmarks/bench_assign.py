"""How fast do new rows find the nearest of 1,000 centroids, in a batch and one by one, beside the peers?

Preparing the centroids counts. Of one by one, "p99" is the time within which 99 of 100 rows have their answer. "right"
is the share of 2,000 rows whose centroid is the nearest in float64.

    python benchmarks/bench_assign.py --json benchmarks/results/assign.json --write docs/performance.md
"""

from collections.abc import Mapping

import numpy as np

from measure.command import Benchmark, Task, main
from measure.contenders import Answer
from measure.process import Contender
from measure.report import Column
from measure.sets import PointSet

CLUSTERS = 1000
SINGLES = 2000
LOOKED_AT = 2000


def contenders(**arguments: int) -> tuple[Contender, ...]:
    options = {"clusters": CLUSTERS, **arguments}
    return (
        Contender("shoal", "shoal_assign", options),
        Contender("NumPy, brute", "numpy_assign", options),
        Contender("scikit-learn, argmin", "sklearn_assign", options),
        Contender("faiss IndexFlatL2", "faiss_assign", options),
    )


def judge(points: PointSet, answer: Answer) -> Mapping[str, float]:
    labels = answer["labels"]
    rows = points.load()
    centroids = np.asarray(rows[answer["targets"]], np.float64)
    some = np.linspace(0, len(labels) - 1, min(LOOKED_AT, len(labels))).astype(np.int64)
    right = 0
    for row in some:
        squares = ((rows[row].astype(np.float64) - centroids) ** 2).sum(axis=1)
        right += int(squares[labels[row]] == squares.min())
    metrics = {"right": right / len(some)}
    if "took" in answer:
        metrics |= {f"p{share}_ms": float(np.percentile(answer["took"], share) * 1e3) for share in (50, 99)}
    return metrics


def task(name: str, title: str, **arguments: int) -> Task:
    return Task(name, title, "synth-100k", contenders(**arguments), "shoal", judge)


BENCHMARK = Benchmark(
    name="bench-assign",
    tasks=(
        task("batch", "100,000 rows to the nearest of 1,000 centroids"),
        task("singles", "2,000 rows, one by one, to the nearest of 1,000 centroids", singles=SINGLES),
    ),
    columns=(
        Column("right", "right", "{:.4f}"),
        Column("p50_ms", "p50, ms", "{:.2f}"),
        Column("p99_ms", "p99, ms", "{:.2f}"),
    ),
)

if __name__ == "__main__":
    main(BENCHMARK, __doc__)
