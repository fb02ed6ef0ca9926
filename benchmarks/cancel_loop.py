"""Is a run that is cancelled at a random moment always whole or not there at all?

A real server; the same run again and again, cancelled after a random time, from before it begins to after its results
are visible. Afterwards: no process computes, and no tables or half-written files are left of a cancelled run.

    PYTHONPATH=tests python benchmarks/cancel_loop.py --cancels 500 --seed 1
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

from real_runs import cancel_at_random, children_of, make_cluster, run_folders, upload, wait_for, worker_processes
from server_process import ServerProcess


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cancels", type=int, default=500)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--within", type=float, default=1.5, help="seconds after which each is cancelled at the latest")
    parser.add_argument("--method", default="kmeans")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with ServerProcess(data) as server, server.client() as client:
            upload(client, given.rows, Path(folder))
            make_cluster(client, "groups", given.method)
            rng = random.Random(given.seed)
            ended = cancel_at_random(client, "groups", given.cancels, rng, within_s=given.within)
            (worker,) = worker_processes(server.pid)
            wait_for(lambda: len(children_of(worker)) <= 1)
            wait_for(lambda: len(run_folders(data)) == ended.get("completed", 0))
    print(f"{given.cancels} cancels in {time.monotonic() - began:.0f} s: {ended}, 0 others, nothing left behind")


if __name__ == "__main__":
    main()
