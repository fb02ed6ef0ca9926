"""How long is it from the start of a process to its first labels, and how many times the warm fit is that?

The clock starts before the process does and stops at its labels: Python, imports, reading the points and compilation
are in it. "first" is a process that finds nothing compiled by an earlier one, "next" the one after it. Each process
then fits a second time: that is the warm fit.

    python benchmarks/bench_start.py --json benchmarks/results/start.json --write docs/performance.md
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from measure.command import Benchmark, Task, main
from measure.contenders import Answer
from measure.process import Contender, Ended, Process
from measure.quality import grouping
from measure.race import Record, Rules, repeats_for
from measure.report import Column
from measure.sets import PointSet

SIZE = {"min_cluster_size": 10}
EXACT = Contender("shoal exact", "shoal_hdbscan", SIZE | {"approximate": False})
CONTENDERS = (
    EXACT,
    Contender("shoal approximate", "shoal_hdbscan", SIZE | {"approximate": True}),
    Contender("EVoC", "evoc", SIZE),
    Contender("fast_hdbscan", "fast_hdbscan", SIZE),
    Contender("UMAP + HDBSCAN", "umap_hdbscan", SIZE),
)
FIRST, NEXT = "first process, s", "next process, s"
RATIOS = {FIRST: "first ÷ warm", NEXT: "next ÷ warm"}


def one_process(contender: Contender, points: Path, folder: Path, rules: Rules, record: Record, heading: str) -> None:
    """A fresh process to its first labels, and its second fit. Raises Ended."""
    folder.mkdir(parents=True, exist_ok=True)
    answer = folder / f"{heading.split()[0]}.npz"
    compiled = folder / "compiled"
    compiled.mkdir(exist_ok=True)
    with Process(contender, points, rules.threads, compiled, folder / "log") as process:
        process.order(0, answer)
        ready = process.reply(rules.limit_s + rules.compile_s)
        cold = process.reply(rules.limit_s + rules.compile_s)
        process.order(1, answer)
        warm = process.reply(rules.limit_s)
    seconds = cold["at"] - process.began
    record.extra.setdefault(heading, []).append(seconds)
    record.extra.setdefault(RATIOS[heading], []).append(seconds / warm["seconds"])
    record.import_s, record.first_s = ready["import_s"], cold["seconds"]
    record.seconds.append(warm["seconds"])
    record.cpu_s.append(warm["cpu_s"])
    record.over_mib.append(max(0.0, warm["peak_mib"] - ready["loaded_mib"]))
    record.peak_anew = warm["peak_anew"]
    record.answers.append(answer)


def start_again(contenders: Sequence[Contender], points: Path, folder: Path, rules: Rules) -> list[Record]:
    """In turns, a first and a next process of each; how often goes by the time of the next one."""
    records = [Record(contender.name) for contender in contenders]
    number, left = 0, list(range(len(contenders)))
    while left:
        for place in left:
            contender, record = contenders[place], records[place]
            try:
                for heading in (FIRST, NEXT):
                    one_process(contender, points, folder / f"{place}-{number}", rules, record, heading)
            except Ended as end:
                record.ended = str(end)
            latest = {name: round(times[-1], 2) for name, times in record.extra.items()}
            print(f"  {record.name}: {record.ended or latest}", file=sys.stderr, flush=True)
        number += 1
        left = [place for place in left if _again(records[place], number, rules)]
    return records


def _again(record: Record, number: int, rules: Rules) -> bool:
    return not record.ended and number < repeats_for(record.extra[FIRST][0], rules)


def judge(points: PointSet, answer: Answer) -> Mapping[str, float]:
    return grouping(answer["labels"], points.truth)


BENCHMARK = Benchmark(
    name="bench-start",
    tasks=(
        Task(
            "clinc150",
            "From the start of a process to labels, 23,700 sentences",
            "clinc150",
            CONTENDERS,
            EXACT.name,
            judge,
            note="First fit and import are those of the last process, in which compiled code was found.",
        ),
    ),
    columns=(Column("k", "clusters", "{:.0f}"), Column("noise", "noise", "{:.3f}")),
    race=start_again,
    extra_headings=(FIRST, NEXT, *RATIOS.values()),
)

if __name__ == "__main__":
    main(BENCHMARK, __doc__)
