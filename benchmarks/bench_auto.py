"""How good are clusters without parameters, and how fast, beside the peers?

"score" is the adjusted Rand index on clustered rows to the power 2/3 times the share of rows that are clustered to the
power 1/3; AMI counts noise as one cluster; rows that belong nowhere count only in "left out". Times include the search
for neighbours.

    python benchmarks/bench_auto.py --json benchmarks/results/auto.json --write docs/performance.md
"""

from collections.abc import Mapping

from measure.command import Benchmark, Task, main
from measure.contenders import Answer
from measure.process import Contender
from measure.quality import coverage
from measure.report import Column
from measure.sets import PointSet

CONTENDERS = (
    Contender("shoal auto", "shoal_auto"),
    Contender("EVoC", "evoc", {"min_cluster_size": 5}),
    Contender("UMAP + HDBSCAN(10)", "umap_hdbscan", {"min_cluster_size": 10}),
)
COARSE = (
    CONTENDERS[0],
    Contender("EVoC (10)", "evoc", {"min_cluster_size": 10}),
    CONTENDERS[2],
)


def judge(points: PointSet, answer: Answer) -> Mapping[str, float]:
    return coverage(answer["labels"], points.truth)


def task(points: str, title: str) -> Task:
    return Task(points, title, points, CONTENDERS, "shoal auto", judge)


def synthetic(points: str, title: str, *, large: bool) -> Task:
    limit = 900.0 if large else 150.0
    return Task(points, title, points, COARSE, "shoal auto", judge, limit_s=limit, large=large)


BENCHMARK = Benchmark(
    name="bench-auto",
    tasks=(
        task("clinc150", "auto, 23,700 sentences of 150 intents, 1,200 of them of none"),
        task("banking77", "auto, 13,083 sentences of 77 intents"),
        task("mnist10k", "auto, 10,000 images of 10 digits"),
        task("fashion900", "auto, 900 images of 10 kinds of clothes"),
        task("movies", "auto, 4,000 descriptions of 15 genres"),
        task("cora", "auto, 2,708 papers of 7 fields"),
        synthetic("synth-100k", "auto, 100,000 synthetic embeddings of 317 groups and a quarter noise", large=False),
        synthetic("synth-1m", "auto, 1,000,000 synthetic embeddings", large=True),
    ),
    columns=(
        Column("score", "score", "{:.3f}"),
        Column("ami", "AMI", "{:.3f}"),
        Column("k", "clusters", "{:.0f}"),
        Column("noise", "noise", "{:.2f}"),
        Column("out", "left out", "{:.2f}"),
    ),
)

if __name__ == "__main__":
    main(BENCHMARK, __doc__)
