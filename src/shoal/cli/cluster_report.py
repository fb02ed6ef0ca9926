"""What `shoal cluster` prints: the table and its facts, the plan, the summary as JSON."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from rich.text import Text

from shoal.cli.hints import next_commands
from shoal.cli.plan_table import plan_table
from shoal.cli.table import Row, clusters_table, plain, printer
from shoal.cli.terminal import escape_controls

if TYPE_CHECKING:
    from shoal.from_file import FileClustering, FilePlan

__all__ = ["print_json", "print_plan", "print_table"]


def print_table(
    found: "FileClustering", folder: Path, again: str, *, written: Path | None = None, notes: Sequence[str] = ()
) -> None:
    """The clusters, facts about them, where the results are, and what to try next."""
    clustering = found.clustering
    rows = [Row(one.label, one.keywords, one.size, one.mean_similarity) for one in clustering.clusters]
    console = printer()
    console.print(clusters_table(rows, len(clustering), clustering.noise, width=console.width))
    console.print(Text(plain(_facts(found))))
    for warning in [*clustering.warnings, *notes]:
        console.print(Text(f"Note: {plain(warning)}", "yellow"))
    console.print(Text.assemble("Results: ", (f"{plain(str(folder))}/", "bold"), f" with {', '.join(_files(folder))}"))
    if written is not None:
        all_rows = "the row" if found.total == 1 else f"all {found.total:,} rows"
        console.print(Text.assemble("Written: ", (plain(str(written)), "bold"), f", {all_rows} with their clusters"))
    for line in next_commands(found, again):
        console.print(Text(plain(line), "dim"))


def _facts(found: "FileClustering") -> str:
    clustering = found.clustering
    silhouette, spare = (clustering.metrics.get(name) for name in ("silhouette_score", "near_duplicates"))
    outcome = clustering.analysis.outcome
    facts = [
        f"{len(clustering):,} documents",
        f"{len(clustering.clusters):,} clusters",
        f"{clustering.noise / max(len(clustering), 1):.1%} in none",
        "" if silhouette is None else f"silhouette {silhouette:.2f}",
        f"{spare:,.0f} near-duplicates" if spare else "",
        f"{clustering.seconds:.1f} s",
        "exact" if outcome.exact else "approximate",
    ]
    return ", ".join(fact for fact in facts if fact) + "."


def _files(folder: Path) -> list[str]:
    """What was written, the tables that everybody wants first."""
    first = ["members.parquet", "centroids.parquet"]
    return [*first, *sorted(one.name for one in folder.iterdir() if one.name not in first)]


def print_plan(plan: "FilePlan", *, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(asdict(plan), option=orjson.OPT_INDENT_2) + b"\n")
    else:
        printer().print(plan_table(plan))


def print_json(folder: Path) -> None:
    sys.stdout.buffer.write(escape_controls((folder / "summary.json").read_bytes()))
