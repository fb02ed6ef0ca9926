"""How fast is k-means, and how low does its inertia get, beside its peers?

One start and 25 steps for everybody, k = 1,000 and k = 50; each fit has its own seed, the same for all. Inertia is
computed by one function, in float64, from the centers that came back.

    python benchmarks/bench_kmeans.py --json benchmarks/results/kmeans.json --write docs/performance.md
"""

from collections.abc import Mapping

from measure.command import Benchmark, Task, main
from measure.contenders import Answer
from measure.process import Contender
from measure.quality import agreement, inertia
from measure.report import Column
from measure.sets import PointSet

STEPS = 25
NOTE = (
    "faiss starts from random rows and returns no labels, so it makes one pass less; MiniBatchKMeans stops when it "
    "sees no improvement."
)


def contenders(clusters: int) -> tuple[Contender, ...]:
    options = {"clusters": clusters, "steps": STEPS}
    spread, drawn = options | {"init": "k-means++"}, options | {"init": "random"}
    return (
        Contender("shoal, k-means++", "shoal_kmeans", spread),
        Contender("shoal, random starts", "shoal_kmeans", drawn),
        Contender("faiss", "faiss_kmeans", options),
        Contender("scikit-learn, k-means++", "sklearn_kmeans", spread),
        Contender("scikit-learn, random starts", "sklearn_kmeans", drawn),
        Contender("scikit-learn MiniBatchKMeans", "minibatch_kmeans", options),
        Contender("scikit-learn-intelex, k-means++", "intelex_kmeans", spread),
        Contender("scikit-learn-intelex, random starts", "intelex_kmeans", drawn),
    )


def judge(points: PointSet, answer: Answer) -> Mapping[str, float]:
    metrics = {"inertia": inertia(points.load(), answer["centers"]), "k": float(len(answer["centers"]))}
    if "labels" in answer:
        metrics["ari"] = agreement(answer["labels"], points.truth)
    return metrics


def task(points: str, title: str, clusters: int) -> Task:
    name, note = f"{points}-k{clusters}", NOTE if clusters == 1000 else ""
    return Task(name, title, points, contenders(clusters), "shoal, random starts", judge, limit_s=150, note=note)


BENCHMARK = Benchmark(
    name="bench-kmeans",
    tasks=(
        task("synth-100k", "k-means, k = 1,000, 100,000 synthetic embeddings", 1000),
        task("synth-100k", "k-means, k = 50, 100,000 synthetic embeddings", 50),
        task("clinc150", "k-means, k = 150, 23,700 sentences", 150),
        task("synth-wide", "k-means, k = 200, 50,000 synthetic embeddings of 768 dimensions", 200),
        task("mixture", "k-means, k = 200, a Gaussian mixture", 200),
    ),
    columns=(
        Column("inertia", "inertia", "{:,.0f}"),
        Column("k", "centers", "{:.0f}"),
        Column("ari", "ARI to the set's labels", "{:.3f}"),
    ),
)

if __name__ == "__main__":
    main(BENCHMARK, __doc__)
