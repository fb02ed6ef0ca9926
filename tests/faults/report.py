"""Results of the long form: kept one file a part, so that a part can be run again alone, and shown as one table."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

__all__ = ["Row", "load", "save", "table", "write_table"]

_BEGIN, _END = "<!-- faults -->", "<!-- /faults -->"
_MOST_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One promise and what was done to break it. `violations` are the ways in which it broke."""

    promise: str
    done: str
    n: int
    seed: int | None
    result: str
    violations: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return not self.violations


def save(folder: Path, part: str, rows: Sequence[Row]) -> None:
    """Keep the rows of a part."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}.json").write_bytes(orjson.dumps([asdict(row) for row in rows], option=orjson.OPT_INDENT_2))


def load(folder: Path, parts: Sequence[str]) -> list[Row]:
    """The rows that are there, in the order of the parts."""
    files = [folder / f"{part}.json" for part in parts]
    return [Row(**row) for file in files if file.exists() for row in orjson.loads(file.read_bytes())]


def table(rows: Sequence[Row]) -> str:
    """The table as Markdown."""
    return "\n".join(_lines(rows))


def write_table(page: Path, rows: Sequence[Row]) -> bool:
    """Put the table between its markers. False where the page has none."""
    if not page.exists() or _BEGIN not in (text := page.read_text()):
        return False
    within = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)
    page.write_text(within.sub(lambda _: f"{_BEGIN}\n\n{table(rows)}\n\n{_END}", text))
    return True


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    yield "| Promise | What was done | N | Seed | Result |"
    yield "|---|---|---:|---:|---|"
    for row in rows:
        result = row.result if row.good else f"**{len(row.violations)} violations**: {row.result}"
        cells = (row.promise, row.done, f"{row.n:,}", "–" if row.seed is None else str(row.seed), result)
        yield f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def shown(row: Row) -> str:
    """A row for the terminal, with the first violations."""
    lines = [
        f"{'ok  ' if row.good else 'FAIL'} {row.promise}: {row.done}: n={row.n}: {row.result} ({row.seconds:.0f} s)"
    ]
    lines += [f"       {violation}" for violation in row.violations[:_MOST_SHOWN]]
    return "\n".join(lines)
