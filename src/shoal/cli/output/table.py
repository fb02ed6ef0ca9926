"""Tables for the terminal. Labels and names come from others, so nothing in them may steer the terminal."""

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

from shoal.cli.output.terminal import unfiltered

__all__ = ["EDGES", "MOST_ROWS", "Row", "called_as", "clusters_table", "plain", "print_lines", "print_listing"]
__all__ += ["printer", "readable_seconds"]

_BAR_WIDTH: Final = 10
_WIDTH_OF_A_PIPE: Final = 120
_WIDEST: Final = 160
_ROOM_FOR_BARS: Final = 100
_ROOM_BESIDE: Final = 76
"""From here an example stands beside the name of its cluster, below that under it."""
_LONGEST_LABEL: Final = 40
EDGES: Final = Box("    \n    \n -- \n    \n -- \n -- \n    \n    \n".replace("-", "─"))
MOST_ROWS: Final = 40


@dataclass(frozen=True, slots=True)
class Row:
    """One cluster as the table shows it; `example` is what one of its documents says."""

    id: str
    label: str
    keywords: Sequence[str]
    size: int
    example: str = ""


def printer() -> Console:
    """Where tables go: the terminal in its width and colours; a pipe, as plain text, in the columns of `COLUMNS`, or
    120. With `NO_COLOR` nothing is coloured, bold or dim."""
    stream = unfiltered(sys.stdout)
    colors: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    console = Console(highlight=False, file=stream, color_system=colors)
    if console.is_terminal:
        return console
    asked = os.environ.get("COLUMNS", "")
    width = int(asked) if asked.isdecimal() and 0 < len(asked) < 6 and int(asked) else _WIDTH_OF_A_PIPE
    return Console(highlight=False, file=stream, width=width, color_system=None)


def print_lines(console: Console, *what: RenderableType) -> None:
    """Print without blanks at the ends of lines, which show where text is copied or piped."""
    for one in what:
        with console.capture() as captured:
            console.print(one)
        lines = captured.get().splitlines()
        console.file.write("".join(f"{line.rstrip()}\n" for line in lines))


def called_as() -> str:
    """How the reader can call the command: by its name where that is found, else by the path that was used."""
    if shutil.which("shoal") or Path(sys.argv[0]).name != "shoal":
        return "shoal"
    return os.path.relpath(sys.argv[0])


def clusters_table(
    rows: Sequence[Row], documents: int, noise: int, *, width: int, most: int | None = MOST_ROWS
) -> Table:
    """A table of the clusters in the order given, at most `most` of them, and of the documents in none.

    On `width` columns, of which it takes 160 at most. Names are whole, on several lines where they must be. An example
    of each cluster, or its keywords where there is no text, stands beside its name, or under it on narrow terminals.
    """
    beside, bars = width >= _ROOM_BESIDE, width >= _ROOM_FOR_BARS
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
        **_width_of([*(row.label for row in shown), _rest(rows, shown)], width, fixed=beside),
    )
    table.add_column("documents", justify="right", no_wrap=True)
    table.add_column("share", no_wrap=True, justify="left" if bars else "right")
    says = any(row.example for row in rows)
    if beside:
        table.add_column("example" if says else "keywords", style="dim", overflow="ellipsis", no_wrap=True, ratio=1)
    largest = max((row.size for row in rows), default=1) if bars else 0
    for row in shown:
        more = row.example if says else ", ".join(_beside_the_label(row))
        label, extra = Text(plain(row.label), "bold"), Text(plain(more), "dim", no_wrap=True, overflow="ellipsis")
        name = label if beside or not more else Group(label, extra)
        share = _share(row.size, largest, documents)
        table.add_row(Text(plain(row.id)), name, f"{row.size:,}", share, *([extra] if beside else []))
    if len(rows) > len(shown):
        table.add_row("", Text(_rest(rows, shown), "dim"))
    if noise:
        table.add_row("", Text("in no cluster", "italic"), f"{noise:,}", _percent(noise, documents, indented=bars))
    return table


def print_listing(columns: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]]) -> None:
    """Things that were named by people, one a row: its cells, and whether it counts; the others are dim."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column)
    for cells, counts in rows:
        table.add_row(*(Text(plain(cell), "" if counts else "dim") for cell in cells))
    printer().print(table)


def _rest(rows: Sequence[Row], shown: Sequence[Row]) -> str:
    return f"… and {len(rows) - len(shown):,} more: --all" if len(rows) > len(shown) else "in no cluster"


def _width_of(names: Sequence[str], width: int, *, fixed: bool) -> dict[str, Any]:
    """The names have the columns that the longest of them takes, up to a third of all, where examples stand beside
    them, and all that is left where not. Characters of East Asia and emoji take two."""
    if not fixed:
        return {"ratio": 1}
    own = min(max(cell_len(plain(name)) for name in names), _LONGEST_LABEL, width // 3)
    return {"min_width": own, "max_width": own}


def _beside_the_label(row: Row) -> list[str]:
    """The keywords that say more than the label does."""
    return [keyword for keyword in row.keywords if keyword.casefold() != row.label.casefold()]


def plain(text: str) -> str:
    """The text without control and direction characters, so that a document cannot move the cursor or hide."""
    return "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")


def _share(size: int, largest: int, documents: int) -> Text:
    """The share of all documents after a bar as long as the size against the largest cluster; no bar if that is 0."""
    if not largest:
        return _percent(size, documents, indented=False)
    halves = max(round(size / largest * _BAR_WIDTH * 2), 1)
    bar = "━" * (halves // 2) + "╸" * (halves % 2)
    return Text.assemble((f"{bar:<{_BAR_WIDTH}}", "cyan"), " ", _percent(size, documents, indented=False))


def _percent(size: int, documents: int, indented: bool) -> Text:
    return Text(f"{'' if not indented else ' ' * (_BAR_WIDTH + 1)}{size / max(documents, 1):6.1%}")


def readable_seconds(seconds: float) -> str:
    """`8 s`, `3 min`, `2.5 h`: no more digits than an estimate has."""
    if seconds < 10:
        return f"{max(seconds, 0.1):.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
