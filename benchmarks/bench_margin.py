"""What does it cost that the error allowed for in codes is the provable one, not six standard deviations?

    python benchmarks/bench_margin.py [--rows N] [--neighbors K] [--repeats R]

Exact neighbours of rows of real and made sets, all pairs, with the whole rounding error allowed for (nothing can be
missed) and with 0.35 of it; the two take turns. Prints a Markdown table: medians, hits of the scan and distances taken
in float64 for each row, and how many neighbours the smaller margin lost.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from measure.sets import Sources
from shoal.engine import kernels
from shoal.engine.parallel import one_blas_thread, thread_count
from shoal.engine.rows.coding import encode, fit_frame, order_by_proximity, pair_blocks

SETS = ("banking77", "clinc150", "synth-50k")
MARGINS = {"provable": 1.0, "statistical": 0.35}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--neighbors", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    print("| set, rows | margin | median s | hits a row | float64 distances a row | neighbours lost |")
    print("|---|---|---|---|---|---|")
    with one_blas_thread(), tempfile.TemporaryDirectory() as folder:
        for name in SETS:
            points = np.ascontiguousarray(Sources(Path(folder)).get(name).load()[: args.rows])
            measure(name, points, args.neighbors, args.repeats)


def measure(name: str, points: NDArray[np.float32], neighbors: int, repeats: int) -> None:
    core = kernels.native()
    assert core is not None, "only the compiled core has margins"
    threads = thread_count(0)
    frame = fit_frame(points, core.levels())
    order = order_by_proximity(points, frame, threads)
    codes, pairs = encode(points, frame, order, threads), pair_blocks(len(points), core.BLOCK)
    times: dict[str, list[float]] = {margin: [] for margin in MARGINS}
    result = {}
    for _ in range(repeats):
        for margin, share in MARGINS.items():
            start = time.perf_counter()
            result[margin] = core.nearest_rows(codes, points, order, order, neighbors, share, pairs, threads, None)
            times[margin].append(time.perf_counter() - start)
    for margin in MARGINS:
        places, _, hits, taken = result[margin]
        lost = int((places != result["provable"][0]).sum())
        print(
            f"| {name}, {len(points):,} | {margin} | {statistics.median(times[margin]):.2f} | "
            f"{hits / len(points):.0f} | {taken / len(points):.0f} | {lost} of {places.size:,} |"
        )


if __name__ == "__main__":
    main()
