"""The long form, for people: `make hostile`. Prints what each shape was answered, how long probes took, and memory."""

import argparse
import sys
import tempfile
from pathlib import Path

from hostile.load import Outcome, run_load
from server_process import FreshServer

MIB = 2**20


def main() -> int:
    """Exit code 0 where every shape was answered as it should be and /livez within its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--mib", type=int, default=60, help="of a large body")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=24)
    parser.add_argument("--silent", type=int, default=1300, help="connections that say nothing")
    parser.add_argument("--request-seconds", type=float, default=15.0)
    parser.add_argument("--bound-ms", type=float, default=250.0, help="for the 99th percentile of /livez")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        limits = {"SHOAL_REQUEST_SECONDS": str(options.request_seconds)}
        with FreshServer(Path(folder) / "data", workers=0, **limits) as server:
            outcome = run_load(
                server,
                count=options.documents,
                mib=options.mib,
                rounds=options.rounds,
                at_once=options.at_once,
                silent_lines=options.silent,
            )
    show(outcome)
    return 1 if outcome.wrong() or quantile(outcome, "/livez", 0.99) > options.bound_ms else 0


def show(outcome: Outcome) -> None:
    """Three tables."""
    print(f"{'shape':34} {'longest':>9}  answers")
    for name, counts in sorted(outcome.answers.items()):
        print(f"{name:34} {outcome.seconds[name]:7.1f} s  {', '.join(f'{n} x {s}' for s, n in sorted(counts.items()))}")
    print(f"\n{'probe':10} {'parser':>6} {'p50':>9} {'p99':>9} {'longest':>9}  not 200")
    for path, probes in outcome.probes.items():
        times = " ".join(f"{quantile(outcome, path, share):6.0f} ms" for share in (0.5, 0.99, 1.0))
        print(f"{path:10} {len(probes):6} {times}  {sum(status != 200 for _, status in probes)}")
    print(f"\nserver: {outcome.idle_bytes / MIB:.0f} MiB of memory idle, at most {outcome.above_idle / MIB:.0f} more")
    if outcome.wrong():
        print(f"answered wrongly: {outcome.wrong()}", file=sys.stderr)


def quantile(outcome: Outcome, path: str, share: float) -> float:
    """Milliseconds that so large a share of the probes took at most."""
    times = sorted(time for time, _ in outcome.probes[path])
    return times[min(len(times) - 1, int(share * len(times)))] if times else float("inf")


if __name__ == "__main__":
    sys.exit(main())
