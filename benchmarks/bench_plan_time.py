"""What `shoal cluster FILE` takes, measured, beside what `shoal cluster FILE --plan` says before: CPU seconds.

    python benchmarks/bench_plan_time.py --rows 5000 50000

Each file holds rows of d = 384 with texts: those of banking77 and clinc150; where more are asked for, rows between two
of the same intent, as far from both as chance has it.
Each run is a process of its own, from its start to the written results. Its processor time (user and system, of all
threads) is compared, since wall time on a shared machine says little; a plan for one thread is the plan's processor
time. `--stages` prints the processor time of each stage: what the constants of the plan were fitted to.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

RUNS: Final[dict[str, dict[str, object]]] = {
    "auto": {"algorithm": "auto"},
    "kmeans, 50 given": {"algorithm": "kmeans", "n_clusters": 50},
    "kmeans, chosen": {"algorithm": "kmeans"},
    "hdbscan": {"algorithm": "hdbscan"},
    "agglomerative": {"algorithm": "agglomerative"},
    "gaussian_mixture": {"algorithm": "gaussian_mixture"},
    "spectral": {"algorithm": "spectral"},
    "dbscan": {"algorithm": "dbscan"},
    "leiden": {"algorithm": "leiden"},
}
USUAL: Final = ("auto", "kmeans, 50 given", "kmeans, chosen", "hdbscan")


def write_file(rows: int, path: Path) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from shared_data import load, vectors

    tables = [load(name) for name in ("banking77", "clinc150")]
    points_ = np.concatenate([vectors(table) for table in tables])
    texts = [text for table in tables for text in table["text"].to_pylist()]
    intents = [f"{number} {item}" for number, table in enumerate(tables) for item in table["label"].to_pylist()]
    rng = np.random.default_rng(0)
    taken = np.concatenate([rng.permutation(len(points_)) for _ in range(-(-rows // len(points_)))])[:rows]
    points, texts = points_[taken], [texts[row] for row in taken]
    extra = np.arange(len(points_), rows)
    intent, sizes = np.unique(intents, return_inverse=True, return_counts=True)[1:]
    members, own = np.argsort(intent, kind="stable"), intent[taken[extra]]
    others = members[(np.cumsum(sizes) - sizes)[own] + rng.integers(0, sizes[own])]
    points[extra] += rng.uniform(0, 1, (len(extra), 1)).astype(np.float32) * (points_[others] - points[extra])
    column = pa.FixedSizeListArray.from_arrays(pa.array(points.ravel()), points.shape[1])
    ids = [f"doc-{row}" for row in range(rows)]
    pq.write_table(pa.table({"id": ids, "text": texts, "embedding": column}), path)


def run_here(path: str, settings: dict[str, object], out: str) -> dict[str, Any]:
    """In this process: seconds of processor time in all, and of each stage."""
    began = time.perf_counter()
    stages: dict[str, float] = {}
    last = ("start", time.process_time())
    stages["start"] = last[1]

    def progress(stage: str, _: float) -> None:
        nonlocal last
        now = time.process_time()
        stages[last[0]] = stages.get(last[0], 0.0) + now - last[1]
        last = (stage, now)

    import shoal

    clustering = shoal.cluster(path, progress=progress, **settings)  # type: ignore[arg-type]
    progress("save", 0.0)
    clustering.save(out)
    progress("end", 0.0)
    return {
        "cpu": processor_seconds(),
        "wall": time.perf_counter() - began,
        "peak": peak_bytes(),
        "stages": {name: round(value, 2) for name, value in stages.items()},
        "clusters": len(clustering.clusters),
        "layers": [len(layer.clusters) for layer in clustering.layers],
        "disk": sum(file.stat().st_size for file in Path(out).iterdir()),
    }


def peak_bytes() -> int:
    """Of this process since it started; `ru_maxrss` would count what its parent held when it was forked."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(item.ru_utime + item.ru_stime for item in used)


def run_plan(path: Path, settings: dict[str, object], threads: int) -> dict[str, Any]:
    options = ["--algorithm", str(settings["algorithm"]), "--threads", str(threads)]
    if "n_clusters" in settings:
        options += ["--clusters", str(settings["n_clusters"])]
    command = [sys.executable, "-m", "shoal.cli.main", "cluster", str(path), "--plan", "--json", *options]
    measured: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[5_000])
    parser.add_argument("--runs", nargs="+", default=USUAL, choices=list(RUNS))
    parser.add_argument("--limit", type=float, default=600, help="seconds for one run")
    parser.add_argument("--stages", action="store_true")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(run_here(args.one[0], json.loads(args.one[1]), args.one[2])))
        return
    cores = len(os.sched_getaffinity(0))
    times = f"{'run_plan':>9}{'measured':>9}{'ratio':>7}{f'wall, {cores}':>9}{'took':>8}"
    print(f"{'rows':>8}  {'method':<18}{times}  clusters  memory, disk")
    for rows in args.rows:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.parquet"
            write_file(rows, path)
            for name in args.runs:
                compare(path, rows, name, args.limit, stages=args.stages)


def compare(path: Path, rows: int, name: str, limit: float, *, stages: bool) -> None:
    case, out = RUNS[name], path.parent / name
    plan, wall = run_plan(path, case, 1), run_plan(path, case, 0)["seconds"]
    command = [sys.executable, __file__, "--one", str(path), json.dumps(case), str(out)]
    used = json.loads(subprocess.run(command, stdout=subprocess.PIPE, timeout=limit, check=True).stdout)
    print(
        f"{rows:>8,}  {name:<18}{plan['seconds']:>8.1f}s{used['cpu']:>8.1f}s{plan['seconds'] / used['cpu']:>7.2f}"
        f"{wall:>8.1f}s{used['wall']:>7.1f}s{used['clusters']:>10}  {plan['peak_memory_bytes'] / 1e9:.2f} of "
        f"{used['peak'] / 1e9:.2f} GB, {plan['disk_bytes'] / 1e6:.1f} of {used['disk'] / 1e6:.1f} MB",
        flush=True,
    )
    if stages:
        print("         ", used["stages"], used["layers"], flush=True)


if __name__ == "__main__":
    main()
