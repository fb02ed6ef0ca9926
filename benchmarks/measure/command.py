"""The command line that the engine benchmarks share: choose tasks, race, judge, report."""

import argparse
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from measure.contenders import Answer
from measure.machine import describe
from measure.process import Contender, available_cores
from measure.quality import agreement
from measure.race import Record, Rules, race
from measure.report import Column, markdown, merge_task, write_between
from measure.sets import SHARED, Absent, PointSet, Sources

__all__ = ["Benchmark", "Judge", "Race", "Task", "main", "plain_race"]

Judge: TypeAlias = Callable[[PointSet, Answer], Mapping[str, float]]
"""What one answer is worth."""
Race: TypeAlias = Callable[[Sequence[Contender], Path, Path, Rules], list[Record]]
"""(contenders, points, folder, rules)."""

plain_race: Race = race


@dataclass(frozen=True, slots=True)
class Task:
    """One table: these contenders on this set. Times are shown as multiples of `baseline`'s; with a
    `reference`, labels are compared with its own. A `large` task runs only with --large."""

    name: str
    title: str
    points: str
    contenders: Sequence[Contender]
    baseline: str
    judge: Judge
    reference: str | None = None
    limit_s: float = 120.0
    large: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One question. `name` marks its place on the page."""

    name: str
    tasks: Sequence[Task]
    columns: Sequence[Column]
    race: Race = plain_race
    extra_headings: Sequence[str] = ()
    """Times beside the warm one that `race` puts into `Record.extra`."""


def main(benchmark: Benchmark, about: str | None) -> None:
    """Run the tasks selected on the command line."""
    arguments = _arguments(benchmark, about)
    # Waiting contenders are stopped processes: ending this one must not leave them behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended from outside; its contenders with it."))
    with tempfile.TemporaryDirectory(prefix="shoal-bench-") as folder:
        sources = Sources(arguments.data or Path(folder) / "data", arguments.shared, arguments.rows)
        tasks: list[dict[str, Any]] = []
        for task in _select_tasks(benchmark, arguments):
            try:
                points = sources.get(task.points)
            except Absent as missing:
                print(f"{task.name}: left out, {missing}", file=sys.stderr)
                continue
            result = _run_task(benchmark, task, points, Path(folder) / task.name, arguments)
            tasks = merge_task(arguments.json, result) if arguments.json else [*tasks, result]
    if not tasks:
        sys.exit("Nothing was measured.")
    text = markdown(tasks, benchmark.columns)
    print(text)
    if arguments.write:
        write_between(arguments.write, benchmark.name, text)


def _run_task(
    benchmark: Benchmark, task: Task, points: PointSet, folder: Path, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Run a task and return its record, ready for JSON."""
    print(f"{task.name}: {points.shape[0]:,} x {points.shape[1]}", file=sys.stderr, flush=True)
    machine = describe()
    rules = Rules(arguments.limit or task.limit_s, arguments.threads, arguments.repeats)
    records = benchmark.race(task.contenders, points.points, folder, rules)
    _judge(task, points, records)
    command = ["python", str(Path("benchmarks") / Path(sys.argv[0]).name), *_without_paths(sys.argv[1:])]
    return {
        "task": task.name,
        "title": task.title,
        "note": task.note,
        "set": points.name,
        "shape": points.shape,
        "threads": rules.threads,
        "limit_s": rules.limit_s,
        "baseline": task.baseline,
        "extra_headings": list(benchmark.extra_headings),
        "command": shlex.join(command),
        "machine": machine,
        "records": [record.to_json() for record in records],
    }


def _judge(task: Task, points: PointSet, records: Sequence[Record]) -> None:
    reference = next((record for record in records if record.name == task.reference and record.answers), None)
    against = None if reference is None else reference.answer(0)["labels"]
    for record in records:
        for number in range(len(record.answers)):
            answer = record.answer(number)
            worth = dict(task.judge(points, answer))
            if against is not None:
                worth["ari_reference"] = agreement(answer["labels"], against)
            for key, value in worth.items():
                record.quality.setdefault(key, []).append(value)


def _select_tasks(benchmark: Benchmark, arguments: argparse.Namespace) -> list[Task]:
    tasks = [
        task
        for task in benchmark.tasks
        if (task.name in arguments.tasks if arguments.tasks else arguments.large or not task.large)
    ]
    if not arguments.contenders:
        return tasks
    requested = {name.casefold() for name in arguments.contenders}
    remaining = [
        [contender for contender in task.contenders if contender.name.casefold() in requested] for task in tasks
    ]
    return [replace(task, contenders=selected) for task, selected in zip(tasks, remaining, strict=True) if selected]


def _arguments(benchmark: Benchmark, about: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [task.name for task in benchmark.tasks]
    parser.add_argument("--tasks", nargs="+", choices=names, metavar="TASK", help=f"only these of {', '.join(names)}")
    parser.add_argument("--large", action="store_true", help="with the tasks that take many minutes and GiB")
    parser.add_argument("--contenders", nargs="+", metavar="NAME", help="only these, named as in the tables")
    parser.add_argument("--repeats", type=int, help="measured fits; without it 5 under 5 s, 3 under 30 s, else 1")
    parser.add_argument("--limit", type=float, help="seconds a fit may take; a first fit has 180 more to compile")
    parser.add_argument("--threads", type=int, default=available_cores(), help="for each contender (all cores)")
    parser.add_argument("--rows", type=int, help="cut every set to its first rows, to try the benchmark out")
    parser.add_argument("--data", type=Path, help="keep the sets in this folder, to make them only once")
    parser.add_argument("--shared", type=Path, default=SHARED, help="where the labelled sets and synth.py are")
    parser.add_argument("--json", type=Path, help="keep results here; tasks that are not run again stay as they were")
    parser.add_argument("--write", type=Path, help="put the tables into this Markdown file")
    return parser.parse_args()


def _without_paths(arguments: Sequence[str]) -> list[str]:
    """The command without the options that change no figure."""
    remaining, skip = [], False
    for word in arguments:
        name = word.partition("=")[0]
        if name in ("--data", "--shared", "--json", "--write"):
            skip = "=" not in word
        elif skip:
            skip = False
        else:
            remaining.append(word)
    return remaining
