"""Plan against peak: what `estimate_cost` says of shapes at its edges, beside what they take.

Each clustering runs in a process of its own. Prints a Markdown table.

    python benchmarks/bench_plan_shapes.py
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

SHAPES: Final[list[tuple[int, int, str, dict[str, object]]]] = [
    (12_000, 16, "hdbscan", {"min_samples": 3000, "min_cluster_size": 100}),
    (12_000, 384, "hdbscan", {"min_samples": 1000}),
    (12_000, 384, "hdbscan", {}),
    (12_000, 1536, "hdbscan", {}),
    (6_000, 1536, "hdbscan", {"min_cluster_size": 500}),
    (30_000, 64, "hdbscan", {"min_cluster_size": 200}),
    (30_000, 64, "hdbscan", {"min_samples": 50}),
    (3_000, 3072, "kmeans", {"n_clusters": 2000, "n_init": 1}),
    (20_000, 384, "kmeans", {"n_clusters": 1000, "n_init": 1}),
    (40_000, 64, "kmeans", {"n_clusters": 50, "n_init": 1}),
    (8_000, 1536, "auto", {}),
    (8_000, 384, "dbscan", {"eps": 14, "min_samples": 800}),
]


def measure_run(rows: int, dimensions: int, method: str, params: dict[str, Any]) -> dict[str, float]:
    """One clustering in this process: peak MiB above the process with its rows, and CPU seconds."""
    import numpy as np

    from shoal.engine import Plan, compute
    from shoal.engine.cost import estimate_cost, machine_factor

    rng = np.random.default_rng(1)
    centres = rng.normal(size=(max(rows // 200, 5), dimensions))
    points = (centres[rng.integers(0, len(centres), rows)] + rng.normal(0, 0.35, (rows, dimensions))).astype(np.float32)
    del centres
    compute(points[:300], Plan(algorithm=method, components=0))  # everything is imported and warm
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    plan = Plan(algorithm=method, params=params, normalize=False, components=0)
    start = time.process_time()
    compute(points, plan)
    seconds = time.process_time() - start
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM")) - resident
    planned = estimate_cost(plan, rows, dimensions)
    return {
        "peak": peak / 2**20,
        "planned": planned.bytes / 2**20,
        "cpu": seconds,
        "planned_cpu": planned.cpu_seconds * machine_factor(),
    }


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure_run(*json.loads(sys.argv[1]))))
        return
    print("| rows × dimensions | method | peak MiB | planned | CPU s | planned |\n|---|---|---|---|---|---|")
    for rows, dimensions, method, params in SHAPES:
        shape = json.dumps([rows, dimensions, method, params])
        done = subprocess.run([sys.executable, __file__, shape], capture_output=True, text=True, check=True)
        figure = json.loads(done.stdout)
        name = " ".join([method, *(f"{key}={value}" for key, value in params.items())])
        figures = f"{figure['peak']:.0f} | {figure['planned']:.0f} | {figure['cpu']:.1f} | {figure['planned_cpu']:.1f}"
        print(f"| {rows:,} × {dimensions:,} | {name} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
