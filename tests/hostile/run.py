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
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--documents", type=int, default=200_000)
    asked.add_argument("--mib", type=int, default=60, help="of a large body")
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--at-once", type=int, default=24)
    asked.add_argument("--silent", type=int, default=1300, help="connections that say nothing")
    asked.add_argument("--request-seconds", type=float, default=15.0)
    asked.add_argument("--bound-ms", type=float, default=250.0, help="for the 99th percentile of /livez")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        limits = {"SHOAL_REQUEST_SECONDS": str(given.request_seconds)}
        with FreshServer(Path(folder) / "data", workers=0, **limits) as server:
            outcome = run_load(
                server,
                count=given.documents,
                mib=given.mib,
                rounds=given.rounds,
                at_once=given.at_once,
                silent_lines=given.silent,
            )
    show(outcome)
    return 1 if outcome.wrong() or quantile(outcome, "/livez", 0.99) > given.bound_ms else 0


def show(outcome: Outcome) -> None:
    """Three tables."""
    print(f"{'shape':34} {'longest':>9}  answers")
    for name, seen in sorted(outcome.answers.items()):
        print(f"{name:34} {outcome.seconds[name]:7.1f} s  {', '.join(f'{n} x {s}' for s, n in sorted(seen.items()))}")
    print(f"\n{'probe':10} {'asked':>6} {'p50':>9} {'p99':>9} {'longest':>9}  not 200")
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
