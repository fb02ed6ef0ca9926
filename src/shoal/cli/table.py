"""Tables for the terminal. Labels and names come from others, so nothing in them may steer the terminal."""

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shoal.cli.terminal import unfiltered

__all__ = ["Row", "called_as", "clusters_table", "plain", "print_listing", "printer", "readable_seconds"]

_BAR_WIDTH: Final = 12
_WIDTH_OF_A_PIPE: Final = 120
_WIDEST: Final = 120
_ROOM_FOR_KEYWORDS: Final = 90
_ROOM_FOR_BARS: Final = 60
_SHORTEST_LABEL: Final = 18
_LONGEST_LABEL: Final = 36


@dataclass(frozen=True, slots=True)
class Row:
    """One cluster as the table shows it; `cohesion` is the mean cosine similarity of its members to the centroid."""

    label: str
    keywords: Sequence[str]
    size: int
    cohesion: float | None


def printer() -> Console:
    """Where tables go: the terminal in its width and colours, a pipe in 120 columns and plain text."""
    stream = unfiltered(sys.stdout)
    console = Console(highlight=False, file=stream)
    return console if console.is_terminal else Console(highlight=False, file=stream, width=_WIDTH_OF_A_PIPE)


def called_as() -> str:
    """How the reader can call the command: by its name where that is found, else by the path that was used."""
    if shutil.which("shoal") or Path(sys.argv[0]).name != "shoal":
        return "shoal"
    return os.path.relpath(sys.argv[0])


def clusters_table(rows: Sequence[Row], documents: int, noise: int, *, width: int, most: int = 40) -> Table:
    """A table of the clusters in the order given, at most `most` of them, and of the documents in none.

    On `width` columns of which it takes 120 at most; below 90 there is no room for keywords, below 60 none for bars.
    """
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, expand=True, width=min(width, _WIDEST))
    wide, roomy = width >= _ROOM_FOR_KEYWORDS, width >= _ROOM_FOR_BARS
    label = min(max([_SHORTEST_LABEL, *(len(plain(row.label)) for row in rows)]), _LONGEST_LABEL)
    table.add_column("#", justify="right", style="dim", min_width=2)
    table.add_column("cluster", style="bold", overflow="ellipsis", no_wrap=True, **_width_of(label, fixed=wide))
    table.add_column("documents", justify="right", min_width=9)
    table.add_column("share", no_wrap=True, min_width=_BAR_WIDTH + 7 if roomy else 6)
    if wide:
        table.add_column("keywords", style="dim", overflow="ellipsis", no_wrap=True, ratio=1)
    if roomy:
        table.add_column("cohesion", justify="right", min_width=8)
    largest = max((row.size for row in rows), default=1) if roomy else 0
    for rank, row in enumerate(rows[:most], 1):
        keywords = [Text(plain(", ".join(_beside_the_label(row))))] if wide else []
        cohesion = ["" if row.cohesion is None else f"{row.cohesion:.2f}"] if roomy else []
        share = _share(row.size, largest, documents)
        table.add_row(str(rank), Text(plain(row.label)), f"{row.size:,}", share, *keywords, *cohesion)
    if len(rows) > most:
        table.add_row("", Text(f"… and {len(rows) - most:,} more", "dim"))
    if noise:
        table.add_section()
        table.add_row("", Text("in no cluster", "italic"), f"{noise:,}", _percent(noise, documents, roomy))
    return table


def print_listing(columns: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]]) -> None:
    """Things that were named by people, one a row: its cells, and whether it counts; the others are dim."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column)
    for cells, counts in rows:
        table.add_row(*(Text(plain(cell), "" if counts else "dim") for cell in cells))
    printer().print(table)


def _width_of(label: int, *, fixed: bool) -> dict[str, Any]:
    """The label column keeps its width where keywords can give way, and gives way itself where there are none."""
    return {"min_width": label, "max_width": label} if fixed else {"ratio": 1}


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
