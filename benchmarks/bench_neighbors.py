"""How fast are the 15 nearest rows of every row found, exactly and nearly, beside the peers?

Building the index counts. Recall is measured in float64 over 1,000 rows; exact contenders that work in float32 may miss
a row where distances are equal to its last digits.

    python benchmarks/bench_neighbors.py --json benchmarks/results/neighbors.json --write docs/performance.md
"""

from collections.abc import Mapping

from measure.command import Benchmark, Task, main
from measure.contenders import Answer
from measure.process import Contender
from measure.quality import recall
from measure.report import Column
from measure.sets import PointSet

COUNT = 15
K = {"count": COUNT}
EXACT = Contender("shoal exact", "shoal_neighbors", K)
CONTENDERS = (
    EXACT,
    Contender("faiss IndexFlatL2", "faiss_flat", K),
    Contender("scikit-learn, brute", "sklearn_neighbors", K),
    Contender("scikit-learn-intelex, brute", "intelex_neighbors", K),
    Contender("shoal, 6 % of the blocks", "shoal_neighbors", K | {"share": 0.06}),
    Contender("faiss IVF, 16 probes", "faiss_ivf", K | {"probes": 16}),
    Contender("PyNNDescent", "pynndescent", K),
)
NOTE = "The last three are approximate."


def judge(points: PointSet, answer: Answer) -> Mapping[str, float]:
    return {"recall": recall(points.load(), answer["neighbors"], COUNT)}


def task(name: str, title: str) -> Task:
    return Task(name, title, name, CONTENDERS, EXACT.name, judge, note=NOTE)


BENCHMARK = Benchmark(
    name="bench-neighbors",
    tasks=(
        task("clinc150", "15 nearest of 23,700 sentences"),
        task("synth-50k", "15 nearest of 50,000 synthetic embeddings"),
        task("synth-100k", "15 nearest of 100,000 synthetic embeddings"),
    ),
    columns=(Column("recall", "recall", "{:.4f}"),),
)

if __name__ == "__main__":
    main(BENCHMARK, __doc__)
