"""Results of the long form: one file per part, so that a part can be rerun alone, and one table of all."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

__all__ = ["Row", "format_table", "load", "save", "write_table"]

_BEGIN, _END = "<!-- faults -->", "<!-- /faults -->"
_MAX_VIOLATIONS: Final = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One promise and the attempts to break it. `violations` describe how it broke."""

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
    """Save the rows of a part."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}.json").write_bytes(orjson.dumps([asdict(row) for row in rows], option=orjson.OPT_INDENT_2))


def load(folder: Path, parts: Sequence[str]) -> list[Row]:
    """Load the saved rows, in the order of the parts."""
    files = [folder / f"{part}.json" for part in parts]
    return [Row(**row) for file in files if file.exists() for row in orjson.loads(file.read_bytes())]


def format_table(rows: Sequence[Row]) -> str:
    """Format the rows as a Markdown table."""
    return "\n".join(_lines(rows))


def write_table(page: Path, rows: Sequence[Row]) -> bool:
    """Write the table between its markers. Returns False if the page has none."""
    if not page.exists() or _BEGIN not in (text := page.read_text()):
        return False
    within = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)
    page.write_text(within.sub(lambda _: f"{_BEGIN}\n\n{format_table(rows)}\n\n{_END}", text))
    return True


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    yield "| Promise | What was done | N | Seed | Result |"
    yield "|---|---|---:|---:|---|"
    for row in rows:
        result = row.result if row.good else f"**{len(row.violations)} violations**: {row.result}"
        cells = (row.promise, row.done, f"{row.n:,}", "–" if row.seed is None else str(row.seed), result)
        yield f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def format_row(row: Row) -> str:
    """Format a row for the terminal, with its first violations."""
    lines = [
        f"{'ok  ' if row.good else 'FAIL'} {row.promise}: {row.done}: n={row.n}: {row.result} ({row.seconds:.0f} s)"
    ]
    lines += [f"       {violation}" for violation in row.violations[:_MAX_VIOLATIONS]]
    return "\n".join(lines)
