"""What a clustering costs, measured, beside what `shoal cluster --plan` says before: CPU seconds and peak memory.

Each clustering runs in a process of its own, so that its peak is its own. `--json` keeps what was measured; the
constants of `shoal.engine.cost` are fitted to such files by hand, with room above.

    python benchmarks/bench_plan.py --rows 2000 10000 40000 --dimensions 64 384
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

METHODS: Final = (
    "kmeans", "hdbscan", "auto", "leiden", "dbscan", "optics", "agglomerative", "gaussian_mixture", "spectral",
    "mean_shift",
)  # fmt: skip
PARAMS: Final[dict[str, dict[str, object]]] = {
    "kmeans": {"n_clusters": 50, "n_init": 1},
    "gaussian_mixture": {"n_components": 20},
    "spectral": {"n_clusters": 20},
    "agglomerative": {"n_clusters": 20},
    "dbscan": {"eps": 0.3},
}


def measure_run(method: str, rows: int, dimensions: int, components: int) -> dict[str, Any]:
    """One clustering in this process: CPU seconds, and peak bytes above the process with its rows."""
    import numpy as np

    from shoal.engine import compute
    from shoal.engine.plan import Plan

    rng = np.random.default_rng(1)
    centres = rng.normal(size=(max(rows // 200, 5), dimensions))
    points = (centres[rng.integers(0, len(centres), rows)] + rng.normal(0, 0.35, (rows, dimensions))).astype(np.float32)
    del centres
    compute(points[:300], Plan(algorithm=method, components=2))  # everything is imported and warm
    before = resource.getrusage(resource.RUSAGE_SELF)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    start = time.perf_counter()
    outcome = compute(points, Plan(algorithm=method, params=PARAMS.get(method, {}), components=components))  # type: ignore[arg-type]
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    return {
        "method": method,
        "rows": rows,
        "dimensions": dimensions,
        "components": components,
        "clusters": outcome.clusters,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "wall_s": wall,
        "bytes": max(peak - resident, 0),
    }


def in_a_process(method: str, rows: int, dimensions: int, components: int, limit_s: float) -> dict[str, Any] | None:
    """None where it took longer than the limit."""
    command = [sys.executable, __file__, "--one", method, str(rows), str(dimensions), str(components)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=True)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        print(f"{method} {rows} x {dimensions}: {type(error).__name__}", file=sys.stderr)
        return None
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000, 10_000, 40_000])
    parser.add_argument("--dimensions", type=int, nargs="+", default=[64, 384])
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--components", type=int, nargs="+", default=[2])
    parser.add_argument("--limit", type=float, default=180.0, help="seconds for one clustering")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        method, *numbers = args.one
        print(json.dumps(measure_run(method, *map(int, numbers))))
        return
    result = []
    for method in args.methods:
        for dimensions in args.dimensions:
            for rows in args.rows:
                for components in args.components:
                    outcome = in_a_process(method, rows, dimensions, components, args.limit)
                    if outcome is None:
                        break
                    result.append(outcome)
                    print(json.dumps(outcome), flush=True)
                    if args.json:
                        args.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
