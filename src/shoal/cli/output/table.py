"""Tables for the terminal. Labels and names are untrusted, so control characters are stripped."""

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from rich.box import SIMPLE_HEAD, Box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from shoal.cli.output.terminal import underlying_stream

__all__ = [
    "EDGES",
    "MOST_ROWS",
    "Row",
    "build_clusters_table",
    "print_lines",
    "print_listing",
    "program_name",
    "strip_controls",
]
__all__ += ["format_seconds", "make_console"]

_BAR_WIDTH: Final = 10
_PIPE_WIDTH: Final = 120
_WIDEST: Final = 160
_MIN_WIDTH_FOR_BARS: Final = 100
_MIN_WIDTH_FOR_EXAMPLES: Final = 76
"""From this width an example is shown beside the name of its cluster, below it otherwise."""
_LONGEST_LABEL: Final = 40
EDGES: Final = Box("    \n    \n -- \n    \n -- \n -- \n    \n    \n".replace("-", "─"))
MOST_ROWS: Final = 40


@dataclass(frozen=True, slots=True)
class Row:
    """One cluster of the table; `example` is an excerpt of one of its documents."""

    id: str
    label: str
    keywords: Sequence[str]
    size: int
    example: str = ""


def make_console() -> Console:
    """Return the console for tables: the terminal with its width and colors; for a pipe plain text, `COLUMNS` or 120
    wide.

    With `NO_COLOR` nothing is colored, bold or dim.
    """
    stream = underlying_stream(sys.stdout)
    colors: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    console = Console(highlight=False, file=stream, color_system=colors)
    if console.is_terminal:
        return console
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and 0 < len(columns) < 6 and int(columns) else _PIPE_WIDTH
    return Console(highlight=False, file=stream, width=width, color_system=None)


def print_lines(console: Console, *renderables: RenderableType) -> None:
    """Print without trailing blanks, which show where text is copied or piped."""
    for renderable in renderables:
        with console.capture() as captured:
            console.print(renderable)
        lines = captured.get().splitlines()
        console.file.write("".join(f"{line.rstrip()}\n" for line in lines))


def program_name() -> str:
    """Return how to call the command: by its name where it is on the PATH, else by the path that was used."""
    if shutil.which("shoal") or Path(sys.argv[0]).name != "shoal":
        return "shoal"
    return os.path.relpath(sys.argv[0])


def build_clusters_table(
    rows: Sequence[Row], documents: int, noise: int, *, width: int, most: int | None = MOST_ROWS
) -> Table:
    """Build a table of the clusters in the given order, at most `most` of them, and of the noise.

    It is `width` columns wide, at most 160. Names are never truncated. An example of each cluster, or its keywords
    without text, stands beside its name, or below it on narrow terminals.
    """
    beside, bars = width >= _MIN_WIDTH_FOR_EXAMPLES, width >= _MIN_WIDTH_FOR_BARS
    shown = rows if most is None else rows[:most]
    table = Table(
        box=EDGES,
        header_style="bold",
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
        expand=True,
        width=min(width, _WIDEST),
    )
    table.add_column("id", style="dim", no_wrap=True)
    table.add_column(
        "cluster",
        overflow="fold",
        **_label_column_width([*(row.label for row in shown), _format_rest(rows, shown)], width, fixed=beside),
    )
    table.add_column("documents", justify="right", no_wrap=True)
    table.add_column("share", no_wrap=True, justify="left" if bars else "right")
    says = any(row.example for row in rows)
    if beside:
        table.add_column("example" if says else "keywords", style="dim", overflow="ellipsis", no_wrap=True, ratio=1)
    largest = max((row.size for row in rows), default=1) if bars else 0
    for row in shown:
        more = row.example if says else ", ".join(_other_keywords(row))
        label, extra = (
            Text(strip_controls(row.label), "bold"),
            Text(strip_controls(more), "dim", no_wrap=True, overflow="ellipsis"),
        )
        name = label if beside or not more else Group(label, extra)
        share = _format_share(row.size, largest, documents)
        table.add_row(Text(strip_controls(row.id)), name, f"{row.size:,}", share, *([extra] if beside else []))
    if len(rows) > len(shown):
        table.add_row("", Text(_format_rest(rows, shown), "dim"))
    if noise:
        table.add_row(
            "", Text("in no cluster", "italic"), f"{noise:,}", _format_percent(noise, documents, indented=bars)
        )
    return table


def print_listing(columns: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]]) -> None:
    """Print rows of user-supplied names: the cells of each, and whether it is active; others are dim."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column)
    for cells, counts in rows:
        table.add_row(*(Text(strip_controls(cell), "" if counts else "dim") for cell in cells))
    make_console().print(table)


def _format_rest(rows: Sequence[Row], shown: Sequence[Row]) -> str:
    return f"… and {len(rows) - len(shown):,} more: --all" if len(rows) > len(shown) else "in no cluster"


def _label_column_width(names: Sequence[str], width: int, *, fixed: bool) -> dict[str, Any]:
    """Return the width of the label column: that of the longest label, up to a third of all, where examples stand
    beside it; all that is left otherwise. East Asian characters and emoji take two columns."""
    if not fixed:
        return {"ratio": 1}
    own = min(max(cell_len(strip_controls(name)) for name in names), _LONGEST_LABEL, width // 3)
    return {"min_width": own, "max_width": own}


def _other_keywords(row: Row) -> list[str]:
    """Return the keywords that add to the label."""
    return [keyword for keyword in row.keywords if keyword.casefold() != row.label.casefold()]


def strip_controls(text: str) -> str:
    """Strip control and direction characters, so that a document cannot move the cursor or hide text."""
    return "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")


def _format_share(size: int, largest: int, documents: int) -> Text:
    """Format the share of all documents after a bar relative to the largest cluster; no bar if that is 0."""
    if not largest:
        return _format_percent(size, documents, indented=False)
    halves = max(round(size / largest * _BAR_WIDTH * 2), 1)
    bar = "━" * (halves // 2) + "╸" * (halves % 2)
    return Text.assemble((f"{bar:<{_BAR_WIDTH}}", "cyan"), " ", _format_percent(size, documents, indented=False))


def _format_percent(size: int, documents: int, indented: bool) -> Text:
    return Text(f"{'' if not indented else ' ' * (_BAR_WIDTH + 1)}{size / max(documents, 1):6.1%}")


def format_seconds(seconds: float) -> str:
    """Format as `8 s`, `3 min`, `2.5 h`: with no more digits than an estimate has."""
    if seconds < 10:
        return f"{max(seconds, 0.1):.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
