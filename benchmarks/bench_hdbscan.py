"""How fast, how large and how good is HDBSCAN, exact and approximate, beside its peers?

Every contender has a process of its own; they fit in turns, and what counts is the fits after the first one. All look
for clusters of at least 10 rows; other parameters are their defaults. Quality is measured against the labels of the set
(noise as one label, or only over the rows that are in a cluster) and as ARI to the exact answer of the same run.

    python benchmarks/bench_hdbscan.py --json benchmarks/results/hdbscan.json --write docs/performance.md
    python benchmarks/bench_hdbscan.py --tasks synth-1m --json ... --write ...
"""

from collections.abc import Mapping

from measure.command import Benchmark, Task, main
from measure.contenders import Answer
from measure.process import Contender
from measure.quality import grouping
from measure.report import Column
from measure.sets import PointSet

SIZE = {"min_cluster_size": 10}
EXACT = Contender("shoal exact", "shoal_hdbscan", SIZE | {"approximate": False})
APPROXIMATE = Contender("shoal approximate", "shoal_hdbscan", SIZE | {"approximate": True})
SKLEARN = Contender("scikit-learn, brute", "sklearn_hdbscan", SIZE)
KEYED = Contender("scikit-learn, float64, rows in Shoal's order", "sklearn_hdbscan_keyed", SIZE)
GENERIC = Contender("hdbscan, generic", "hdbscan_package", SIZE | {"algorithm": "generic"})
BEST = Contender("hdbscan", "hdbscan_package", SIZE | {"algorithm": "best"})
FAST = Contender("fast_hdbscan", "fast_hdbscan", SIZE)
EVOC = Contender("EVoC", "evoc", SIZE)
BERTOPIC = Contender("UMAP + HDBSCAN", "umap_hdbscan", SIZE)

EMBEDDED = (EXACT, APPROXIMATE, EVOC, FAST)


def judge(points: PointSet, answer: Answer) -> Mapping[str, float]:
    return grouping(answer["labels"], points.truth)


def task(name: str, title: str, *others: Contender, limit_s: float = 120.0, note: str = "") -> Task:
    return Task(name, title, name, (*EMBEDDED, *others), EXACT.name, judge, EXACT.name, limit_s, note=note)


BENCHMARK = Benchmark(
    name="bench-hdbscan",
    tasks=(
        Task(
            "clinc150-10k",
            "Exact HDBSCAN, 10,000 sentences",
            "clinc150-10k",
            (EXACT, SKLEARN, KEYED, GENERIC, BEST),
            EXACT.name,
            judge,
            KEYED.name,
            note="ARI to exact is to scikit-learn with the rows in Shoal's order: where distances are equal its labels "
            "depend on the order of the rows. The hdbscan package does not count a row among its own min_samples "
            "neighbours, so its answer is another one.",
        ),
        task("clinc150", "HDBSCAN, 23,700 sentences", BERTOPIC),
        task("synth-100k", "HDBSCAN, 100,000 synthetic embeddings", BERTOPIC, limit_s=300),
        task("synth-wide", "HDBSCAN, 50,000 synthetic embeddings of 768 dimensions"),
        task(
            "mixture",
            "HDBSCAN, a Gaussian mixture",
            note="200 groups of uneven size and spread in a background of a fifth of the rows; not of unit length, and "
            "EVoC and UMAP go by angles only.",
        ),
        Task(
            "synth-1m",
            "HDBSCAN, 1,000,000 synthetic embeddings",
            "synth-1m",
            (APPROXIMATE, EVOC),
            APPROXIMATE.name,
            judge,
            limit_s=300,
            large=True,
        ),
    ),
    columns=(
        Column("k", "clusters", "{:.0f}"),
        Column("noise", "noise", "{:.3f}"),
        Column("ari_clustered", "ARI, clustered", "{:.3f}"),
        Column("nmi_clustered", "NMI, clustered", "{:.3f}"),
        Column("ari", "ARI, all", "{:.3f}"),
        Column("nmi", "NMI, all", "{:.3f}"),
        Column("ari_reference", "ARI to exact", "{:.4f}"),
    ),
)

if __name__ == "__main__":
    main(BENCHMARK, __doc__)
