"""What naming every layer takes, against the chosen layer alone: medians of the seconds, and their ratio.

    python benchmarks/bench_naming.py banking77.parquet clinc150.parquet

Each file holds a column `text` and a column of vectors `embedding`; the layers are those of `auto`.
"""

import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import pyarrow.parquet as pq

from shoal.engine import compute
from shoal.engine.plan import Plan
from shoal.labeling import Partition, name_clusters, name_layers

RUNS = 5


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def measure(path: str) -> None:
    table = pq.read_table(path)
    texts = [text or "" for text in table["text"].to_pylist()]
    flat = table["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    points = np.ascontiguousarray(flat.reshape(len(texts), -1), np.float32)
    outcome = compute(points, Plan(algorithm="auto", params={}))
    assert outcome.layers is not None
    chosen = outcome.layers.chosen
    layers = [Partition(layer.labels, int(layer.labels.max()) + 1) for layer in outcome.layers.layers]
    first, every = list[float](), list[float]()
    for _ in range(RUNS):  # by turns, so that a busy moment strikes both
        first.append(seconds(lambda: name_clusters(texts, layers[chosen].labels, layers[chosen].clusters)))
        every.append(seconds(lambda: name_layers(texts, layers, chosen=chosen)))
    ratio = median(every) / median(first)
    print(f"{path}: {len(layers)} layers, chosen {median(first):.2f} s, all {median(every):.2f} s, {ratio:.2f} times")


if __name__ == "__main__":
    for path in sys.argv[1:]:
        measure(path)
