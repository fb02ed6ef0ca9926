"""How fast is a map, and how far can its neighbourhoods be trusted, beside umap-learn?

Trustworthiness (Venna and Kaski 2001) of 15 neighbours, 2,000 sampled rows ranked against all. Times include the search
for neighbours.

    python benchmarks/bench_map.py --json benchmarks/results/map.json --write docs/performance.md
"""

from collections.abc import Mapping

from measure.command import Benchmark, Task, main
from measure.contenders import Answer
from measure.process import Contender
from measure.quality import trustworthiness
from measure.report import Column
from measure.sets import PointSet

CONTENDERS = (Contender("shoal", "shoal_map"), Contender("umap-learn", "umap_map"))


def judge(points: PointSet, answer: Answer) -> Mapping[str, float]:
    return {"trustworthiness": trustworthiness(points.load(), answer["places"])}


BENCHMARK = Benchmark(
    name="bench-map",
    tasks=(
        Task("clinc150", "map of 23,700 sentences", "clinc150", CONTENDERS, "shoal", judge),
        Task("synth-100k", "map of 100,000 synthetic embeddings", "synth-100k", CONTENDERS, "shoal", judge),
    ),
    columns=(Column("trustworthiness", "trustworthiness", "{:.4f}"),),
)

if __name__ == "__main__":
    main(BENCHMARK, __doc__)
