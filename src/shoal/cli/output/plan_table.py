"""The estimated cost of a clustering, as a table for the terminal."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from shoal.cli.output.table import format_seconds
from shoal.engine.parallel import thread_count
from shoal.jobs.limits import machine_memory_mib
from shoal.quantities import format_bytes

if TYPE_CHECKING:
    from shoal.library.from_file import FilePlan

__all__ = ["build_plan_table"]


def build_plan_table(plan: "FilePlan") -> Table:
    """Return time, memory and disk beside what is available; red where it is insufficient."""
    memory = machine_memory_mib() * 2**20
    free = shutil.disk_usage(Path.cwd()).free
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=f"What {plan.algorithm} would cost", title_justify="left")
    table.add_column("", style="bold")
    table.add_column("about", justify="right")
    table.add_column("of", justify="right", style="dim")
    table.add_row("documents", f"{plan.rows:,} × {plan.dimension:,}", "")
    if plan.encoder is not None:
        table.add_row("vectors", f"by {plan.encoder}", "")
    table.add_row("time", format_seconds(plan.seconds), f"{thread_count(0)} cores")
    table.add_row("peak memory", _format_against(plan.peak_memory_bytes, memory), format_bytes(memory))
    table.add_row("disk", _format_against(plan.disk_bytes, free), f"{format_bytes(free)} free")
    of_facet = None if plan.facet is None else plan.facet.estimate
    expected = [each for each in (plan.naming, of_facet) if each is not None]
    if not expected:
        table.add_row("language model calls", "0", "")
        return table
    tokens = f"{sum(each.input_tokens + each.output_tokens for each in expected):,} tokens"
    table.add_row("language model calls", f"{sum(each.calls for each in expected):,}", tokens)
    if plan.facet is not None:
        kept = f"{plan.facet.kept:,} kept answers" if plan.facet.kept else ""
        table.add_row("of these about documents", f"{plan.facet.estimate.calls:,}", kept)
    costs = [each.cost for each in expected if each.cost is not None]
    table.add_row("their cost", f"${sum(costs):.4f}" if costs else "no known price", "")
    notes = [f"Cost: {note}." for note in dict.fromkeys(each.price_note for each in expected) if note]
    notes += [plan.facet.note] if plan.facet is not None and plan.facet.note else []
    if notes:
        table.caption, table.caption_justify = " ".join(notes), "left"
    return table


def _format_against(needed: int, available: int) -> Text:
    return Text(format_bytes(needed), style="red" if needed > available else "")
