"""Does `auto` give as many clusters as it is asked for, and are they still the right ones?

`python benchmarks/bench_how_many.py` asks banking77 and clinc150 for 2 to 300 clusters and prints how many came, their
agreement with the true classes (on the rows that are in a cluster, and over all), with clinc150's ten domains, the
share of rows left out and of the largest cluster. `--json FILE` keeps the figures.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from shared_data import load, vectors
from shoal.engine import Plan, compute

ASKED = (None, 2, 5, 8, 10, 20, 77, 150, 300)


def texts_of(table: Any, column: str) -> NDArray[np.str_] | None:
    return table[column].to_numpy(zero_copy_only=False).astype(str) if column in table.column_names else None


def agreement(truth: NDArray[np.str_] | None, labels: NDArray[np.int32]) -> tuple[float, float]:
    """On the rows in a cluster and over all, of rows with a true class."""
    if truth is None:
        return float("nan"), float("nan")
    known = truth != "oos"
    inside = known & (labels >= 0)
    return adjusted_rand_score(truth[inside], labels[inside]), adjusted_rand_score(truth[known], labels[known])


def measure_counts(name: str) -> list[dict[str, object]]:
    table = load(name)
    points, truth, domains = vectors(table), texts_of(table, "label"), texts_of(table, "domain")
    found = list[dict[str, object]]()
    for wanted in ASKED:
        started = time.process_time()
        params = {} if wanted is None else {"n_clusters": wanted}
        outcome = compute(points, Plan(algorithm="auto", params=params, components=0))
        clustered, overall = agreement(truth, outcome.labels)
        assert outcome.layers is not None
        found.append(
            {
                "set": name,
                "asked": wanted,
                "clusters": outcome.clusters,
                "ari_clustered": round(clustered, 3),
                "ari_all": round(overall, 3),
                "ari_domains": round(agreement(domains, outcome.labels)[0], 3),
                "noise": round(float((outcome.labels < 0).mean()), 3),
                "largest": round(float(outcome.sizes.max() / len(points)), 3),
                "layers": [layer.clusters for layer in outcome.layers.layers],
                "cpu_seconds": round(time.process_time() - started, 1),
            }
        )
        row = found[-1]
        print(f"{name:<10}", *(f"{key} {value!s:<6}" for key, value in row.items() if key != "set"), flush=True)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=["banking77", "clinc150"])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = [row for name in given.sets for row in measure_counts(name)]
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")
