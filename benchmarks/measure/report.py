"""Results as JSON, and as Markdown tables between two marks of a page."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure.machine import one_line

__all__ = ["Column", "markdown", "merge_task", "write_between"]


@dataclass(frozen=True, slots=True)
class Column:
    """A quality of the answers: its key in the records, its heading, and how its median is written ("{:.3f}")."""

    key: str
    heading: str
    pattern: str


def merge_task(path: Path, task: dict[str, Any]) -> list[dict[str, Any]]:
    """Replace the task of the same name in this file by `task`, or append it; written back at once."""
    saved = json.loads(path.read_text()) if path.exists() else []
    names = [other["task"] for other in saved]
    if task["task"] in names:
        saved[names.index(task["task"])] = task
    else:
        saved.append(task)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(saved, indent=1) + "\n")
    return list(saved)


def markdown(tasks: Sequence[dict[str, Any]], columns: Sequence[Column]) -> str:
    """A table for each task, and what they have in common beneath the last."""
    parts = [part for task in tasks for part in (_heading(task), _table(task, columns))]
    where: dict[str, list[str]] = {}
    for task in tasks:
        where.setdefault(f"{one_line(task['machine'])}.", []).append(task["task"])
    for line, names in where.items():
        which = f" ({', '.join(names)})" if len(where) > 1 else ""
        parts.append(f"Machine{which}: {line}")
    commands = list(dict.fromkeys(task["command"] for task in tasks))
    parts.append("Commands: " + "; ".join(f"`{command}`" for command in commands) + ".")
    return "\n\n".join(parts)


def write_between(page: Path, name: str, text: str) -> None:
    """Replace what stands between the marks `<!-- name -->` and `<!-- /name -->`; at the end of a page without them."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    old = page.read_text() if page.exists() else ""
    before, mark, rest = old.partition(begin)
    after = rest.partition(end)[2] if mark else "\n"
    if not mark and before:
        before = before.rstrip("\n") + "\n\n"
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def _heading(task: dict[str, Any]) -> str:
    rows, width = task["shape"]
    note = f" {task['note']}" if task["note"] else ""
    about = f"{task['set']}, {rows:,} × {width}; {task['threads']} threads; limit {task['limit_s']:.0f} s a fit"
    when = f"{task['machine']['date']}, load {task['machine']['load']:.1f} at the start"
    return f"**{task['title']}** ({about}; {when}).{note}"


def _table(task: dict[str, Any], columns: Sequence[Column]) -> str:
    records = task["records"]
    shown_columns = [column for column in columns if any(column.key in record["quality"] for record in records)]
    base = next((record for record in records if record["name"] == task["baseline"]), None)
    pace = statistics.median(base["seconds"]) if base and base["seconds"] else None
    first = ["contender", "seconds, warm", "fits", f"× {task['baseline']}", *task["extra_headings"]]
    first += ["first fit, s", "import, s", "memory over the input, MiB"]
    lines = ["| " + " | ".join([*first, *(column.heading for column in shown_columns)]) + " |"]
    lines.append("|---" * (len(first) + len(shown_columns)) + "|")
    lines += ["| " + " | ".join(_cells(record, pace, task, shown_columns)) + " |" for record in records]
    return "\n".join(lines)


def _cells(record: dict[str, Any], pace: float | None, task: dict[str, Any], columns: Sequence[Column]) -> list[str]:
    seconds = record["seconds"]
    if seconds:
        ratio = statistics.median(seconds) / pace if pace else None
        cells = [_spread(seconds), str(len(seconds)), f"{ratio:.2f}" if ratio is not None else "–"]
        if record["ended"]:
            cells[0] += f", then {record['ended']}"
    else:
        cells = [record["ended"], "0", "–"]
    cells += [_spread(record["extra"].get(key, [])) for key in task["extra_headings"]]
    cells += [_short(record["first_s"]), _short(record["import_s"]), _memory(record)]
    return [record["name"], *cells, *(_quality(record["quality"].get(column.key), column) for column in columns)]


def _short(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.3f}" if seconds < 1 else f"{seconds:.2f}" if seconds < 10 else f"{seconds:.1f}"


def _spread(seconds: Sequence[float]) -> str:
    """The median, and the range of several."""
    if not seconds:
        return "–"
    middle = _short(statistics.median(seconds))
    return middle if len(seconds) == 1 else f"{middle} ({_short(min(seconds))}–{_short(max(seconds))})"


def _memory(record: dict[str, Any]) -> str:
    if not record["over_mib"]:
        return "–"
    return f"{max(record['over_mib']):,.0f}{'' if record['peak_anew'] else ' (first fit included)'}"


def _quality(values: Sequence[float] | None, column: Column) -> str:
    if not values:
        return "–"
    texts = [column.pattern.format(value) for value in (statistics.median(values), min(values), max(values))]
    return texts[0] if texts[1] == texts[2] else f"{texts[0]} ({texts[1]}–{texts[2]})"
