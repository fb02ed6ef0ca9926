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

REQUESTS = (None, 2, 5, 8, 10, 20, 77, 150, 300)


def texts_of(table: Any, column: str) -> NDArray[np.str_] | None:
    return table[column].to_numpy(zero_copy_only=False).astype(str) if column in table.column_names else None


def agreement(truth: NDArray[np.str_] | None, labels: NDArray[np.int32]) -> tuple[float, float]:
    """On the rows in a cluster and over all, of rows with a true class."""
    if truth is None:
        return float("nan"), float("nan")
    in_scope = truth != "oos"
    inside = in_scope & (labels >= 0)
    return adjusted_rand_score(truth[inside], labels[inside]), adjusted_rand_score(truth[in_scope], labels[in_scope])


def measure_counts(name: str) -> list[dict[str, object]]:
    table = load(name)
    points, truth, domains = vectors(table), texts_of(table, "label"), texts_of(table, "domain")
    result = list[dict[str, object]]()
    for request in REQUESTS:
        started = time.process_time()
        params = {} if request is None else {"n_clusters": request}
        outcome = compute(points, Plan(algorithm="auto", params=params, components=0))
        clustered, overall = agreement(truth, outcome.labels)
        assert outcome.layers is not None
        result.append(
            {
                "set": name,
                "asked": request,
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
        row = result[-1]
        print(f"{name:<10}", *(f"{key} {value!s:<6}" for key, value in row.items() if key != "set"), flush=True)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=["banking77", "clinc150"])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = [row for name in args.sets for row in measure_counts(name)]
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
