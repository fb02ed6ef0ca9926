"""What `shoal cluster` and `shoal show` print: the table and its facts, the plan, the summary as JSON."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console, RenderableType
from rich.text import Text

from shoal.cli.output.hints import next_commands
from shoal.cli.output.plan_table import plan_table
from shoal.cli.output.table import MOST_ROWS, Row, called_as, clusters_table, plain, print_lines, printer
from shoal.cli.output.terminal import escape_controls
from shoal.cli.output.tree import clusters_tree
from shoal.errors import ShoalError
from shoal.files.columnar.row_writers import written_format
from shoal.library.results import read_summary
from shoal.plural import plural

if TYPE_CHECKING:
    from shoal.library.from_file import FileClustering, FilePlan

__all__ = ["print_clusters", "print_json", "print_plan", "print_table", "what_is_replaced"]


def print_table(
    found: "FileClustering",
    folder: Path,
    again: str | None,
    *,
    written: Path | None = None,
    notes: Sequence[str] = (),
    whole: bool = False,
    tree: bool = False,
) -> None:
    """The clusters, all of them if `whole`, as a table, or as a `tree` from broad to narrow; facts about them, where
    the results are, and what to try next."""
    console = printer()
    clustering = found.clustering
    shown = clusters_tree(clustering.layers, console.width, every=whole) if tree else None
    print_clusters(console, {**clustering.summary(), "source": found.source}, whole=whole, tree=shown)
    for note in notes:
        print_lines(console, Text(f"Note: {plain(note)}", "yellow"))
    results = Text.assemble("Results: ", (f"{plain(str(folder))}/", "bold"), f" with {', '.join(_files(folder))}")
    print_lines(console, results)
    if written is not None:
        print_lines(console, Text.assemble("Written: ", (plain(str(written)), "bold"), f", {_rows_of(found)}"))
        print_lines(console, *(Text(plain(line), "dim") for line in _vectors_in(found, written)))
    looks = _looks(folder, len(clustering.clusters), whole=whole)
    for line in [*looks, *next_commands(found, again)]:
        print_lines(console, Text(plain(line), "dim"))


def what_is_replaced(folder: Path, summary: Mapping[str, Any]) -> list[str]:
    """A sentence on the results in a folder, where they are of other documents or options than this new summary."""
    try:
        earlier = read_summary(folder)
    except ShoalError:
        return []
    if _asked(earlier) == _asked(summary):
        return []
    documents, clusters = plural(earlier["documents"], "document"), plural(earlier["num_clusters"], "cluster")
    return [
        f"Earlier results in {folder}/ with other options ({earlier['algorithm']}: {documents}, {clusters}) were "
        "replaced. --out FOLDER keeps both."
    ]


def _asked(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, of all that a summary says."""
    names = ("source", "text", "algorithm", "parameters", "normalize", "centroid_method", "sample_size", "seed")
    asked: dict[str, Any] = orjson.loads(orjson.dumps({name: summary.get(name) for name in names}))
    return asked


def _rows_of(found: "FileClustering") -> str:
    """What is in a file that was written back."""
    rows = "the row" if found.total == 1 else f"all {found.total:,} rows"
    if len(found.rows) == found.total:
        return f"{rows} with their clusters"
    return f"{rows}, {len(found.rows):,} of them with clusters"


def _vectors_in(found: "FileClustering", written: Path) -> list[str]:
    """How to leave the vectors out of a file for a spreadsheet, where they are in it."""
    vector = found.source["vector"]
    is_text = written_format(written) in ("csv", "tsv")
    if not is_text or vector in found.without or vector not in found.opened.info.original_columns:
        return []
    return [f"      It holds the numbers of {vector} too: --without {shlex.quote(vector)} leaves them out."]


def _looks(folder: Path, clusters: int, *, whole: bool) -> list[str]:
    """Commands that show more of the results."""
    if not clusters:
        return []
    show = f"{called_as()} show {shlex.quote(str(folder))}"
    every = [f"      {show} --all    every cluster"] if clusters > MOST_ROWS and not whole else []
    return [f"Look: {show} --cluster 0    the documents in cl_0", *every]


def print_clusters(
    console: Console, summary: Mapping[str, Any], *, whole: bool, tree: RenderableType | None = None
) -> None:
    """The table of a summary, at most 40 clusters unless `whole`, or a tree instead; facts and notes under it."""
    rows = [
        Row(one["cluster_id"], one["label"], one["keywords"], one["size"], next(iter(one.get("examples", ())), ""))
        for one in summary["clusters"]
    ]
    most = None if whole else MOST_ROWS
    table: RenderableType = tree or clusters_table(
        rows, summary["documents"], summary["noise"], width=console.width, most=most
    )
    print_lines(console, table, Text(), Text(plain(_facts(summary))))
    for warning in summary["warnings"]:
        print_lines(console, Text(f"Note: {plain(warning)}", "yellow"))


def _facts(summary: Mapping[str, Any]) -> str:
    metrics, documents = summary["metrics"], summary["documents"]
    silhouette, spare = metrics.get("silhouette_score"), metrics.get("near_duplicates")
    text = summary.get("text") or ()
    source = summary.get("source") or {}
    read = int(source.get("rows_read") or documents)
    counted = plural(documents, "document") if read <= documents else f"{documents:,} of {plural(read, 'document')}"
    facts = [
        counted + (" (--where)" if source.get("where") and read > documents else ""),
        plural(len(summary["clusters"]), "cluster"),
        f"{summary['noise'] / max(documents, 1):.1%} in none",
        f"named from {', '.join(text)}" if text else "",
        "" if silhouette is None else f"silhouette {silhouette:.2f}",
        plural(int(spare), "near-duplicate") if spare else "",
        f"{summary['seconds']:.1f} s",
        "exact" if summary["exact"] else "approximate",
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
