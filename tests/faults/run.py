"""The long form: every fault, as often as the promises state, and the table of docs/reliability.md.

    python -m faults.run                                   everything, about two hours on two cores
    python -m faults.run --only kills --kills 3000 --seed 7
    python -m faults.run --only points --arm "run.before_flip=crash@2"
    python -m faults.run --table                           the table only, from saved results

Results go to fault-results/, one file per part; the exit code is 1 if a promise was broken.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from faults import report
from faults.parts import PARTS, Options, Unsupported
from faults.report import Row

__all__ = ["main"]

REPOSITORY: Final = Path(__file__).parents[2]
RESULTS: Final = REPOSITORY / "fault-results"
PAGE: Final = REPOSITORY / "docs" / "reliability.md"


def main() -> None:
    """Run the requested parts, save their results, write the table."""
    options = _parse_options()
    if not options.table:
        for name in options.only or PARTS:
            report.save(RESULTS, name, list(_run_part(name, options)))
    rows = report.load(RESULTS, list(PARTS))
    where = PAGE if report.write_table(PAGE, rows) else "nowhere: docs/reliability.md has no markers for it"
    print(f"\n{report.format_table(rows)}\n\nThe table went to {where}.")
    sys.exit(any(not row.good for row in rows))


def _run_part(name: str, options: Options) -> Iterator[Row]:
    began = time.monotonic()
    try:
        for row in PARTS[name](options):
            timed = replace(row, seconds=time.monotonic() - began)
            print(report.format_row(timed), flush=True)
            yield timed
            began = time.monotonic()
    except Unsupported as reason:
        print(f"skip {name}: {reason}", flush=True)
    except Exception:  # noqa: BLE001  # later parts must still run
        spent = time.monotonic() - began
        broken = Row(name, "the harness itself broke", 0, None, "", [traceback.format_exc()], seconds=spent)
        print(report.format_row(broken), flush=True)
        yield broken


def _parse_options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=list(PARTS), help="this part; may be repeated")
    parser.add_argument("--table", action="store_true", help="run nothing, write the table from the saved results")
    parser.add_argument("--seed", type=int, default=1)
    for name, count in (
        ("kills", 300), ("deletes", 100), ("executions", 40),
        ("losses", 250), ("signals", 200), ("zombies", 50), ("damages", 300),
        ("requests", 10_000), ("good", 50), ("cancels", 500), ("seeds", 10_000),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=count, metavar="N")
    parser.add_argument("--step", type=int, default=4, metavar="N", help="let every N-th system call fail")
    parser.add_argument("--arm", default="", help="points: only this fault, as in SHOAL_FAILPOINTS")
    return parser.parse_args()


if __name__ == "__main__":
    main()
