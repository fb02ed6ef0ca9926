"""Texts to named clusters, end to end: `shoal cluster` on a CSV file of short texts, time and peak memory.

    python benchmarks/bench_texts.py --rows 1000000

The texts are resampled: each takes the words of a real question of the demo, with a third of them replaced by words of
other questions of the same domain, so that vocabulary and lengths are real and few texts are equal.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from shoal.demo_data import QUESTIONS

REPLACED = 1 / 3


def iter_texts(rows: int, seed: int = 1) -> Iterator[str]:
    """Yield resampled questions."""
    table = pq.read_table(QUESTIONS, columns=["text", "domain"])
    questions = [text.split() for text in table["text"].to_pylist()]
    domains = np.array(table["domain"].to_pylist())
    pools = {
        domain: [word for row in np.flatnonzero(domains == domain) for word in questions[row]]
        for domain in np.unique(domains)
    }
    rng = np.random.default_rng(seed)
    for row in rng.integers(0, len(questions), rows).tolist():
        words, pool = list(questions[row]), pools[domains[row]]
        for place in np.flatnonzero(rng.random(len(words)) < REPLACED).tolist():
            words[place] = pool[int(rng.integers(len(pool)))]
        yield " ".join(words)


def write_csv(path: Path, rows: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows(enumerate(iter_texts(rows)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("options", nargs="*", help="further options of shoal cluster")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.csv"
        write_csv(path, arguments.rows)
        command = [sys.executable, "-m", "shoal.cli.main", "cluster", str(path), "--text", "text", "--quiet"]
        started = time.perf_counter()
        subprocess.run([*command, "--out", f"{folder}/out", *arguments.options], check=True)
        seconds = time.perf_counter() - started
        summary = json.loads((Path(folder) / "out" / "summary.json").read_bytes())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    clusters = [cluster["label"] for cluster in summary["clusters"]]
    print(
        f"{arguments.rows:,} texts by {summary['encoder']}: {seconds:.1f} s, {peak:,.0f} MiB, {len(clusters)} clusters"
    )
    print(", ".join(clusters[:12]))


if __name__ == "__main__":
    main()
