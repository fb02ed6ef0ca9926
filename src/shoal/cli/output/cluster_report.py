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
from shoal.cli.output.plan_table import build_plan_table
from shoal.cli.output.table import (
    MOST_ROWS,
    Row,
    build_clusters_table,
    make_console,
    print_lines,
    program_name,
    strip_controls,
)
from shoal.cli.output.terminal import escape_controls
from shoal.cli.output.tree import build_tree
from shoal.errors import ShoalError
from shoal.files.columnar.row_writers import parse_output_format
from shoal.library.results import read_summary
from shoal.quantities import plural

if TYPE_CHECKING:
    from shoal.library.from_file import FileClustering, FilePlan

__all__ = ["print_clusters", "print_json", "print_plan", "print_table", "warn_replaced"]


def print_table(
    result: "FileClustering",
    folder: Path,
    command: str | None,
    *,
    written: Path | None = None,
    vectors: Path | None = None,
    notes: Sequence[str] = (),
    whole: bool = False,
    tree: bool = False,
) -> None:
    """Print the clusters, all of them if `whole`, as a table or as a `tree` from broad to narrow.

    Facts, the location of the results, and what to try next follow.
    """
    console = make_console()
    clustering = result.clustering
    shown = build_tree(clustering.layers, console.width, every=whole) if tree else None
    print_clusters(
        console, {**clustering.about, **clustering.summary(), "source": result.source}, whole=whole, tree=shown
    )
    for note in notes:
        print_lines(console, Text(f"Note: {strip_controls(note)}", "yellow"))
    results = Text.assemble(
        "Results: ", (f"{strip_controls(str(folder))}/", "bold"), f" with {', '.join(_list_files(folder))}"
    )
    print_lines(console, results)
    if written is not None:
        print_lines(
            console, Text.assemble("Written: ", (strip_controls(str(written)), "bold"), f", {_describe_rows(result)}")
        )
        print_lines(console, *(Text(strip_controls(line), "dim") for line in _suggest_without(result, written)))
    if vectors is not None:
        print_lines(console, Text.assemble("Vectors: ", (strip_controls(str(vectors)), "bold")))
    suggestions = _suggest_show(folder, len(clustering.clusters), whole=whole)
    for line in [*suggestions, *next_commands(result, command)]:
        print_lines(console, Text(strip_controls(line), "dim"))


def warn_replaced(folder: Path, summary: Mapping[str, Any]) -> list[str]:
    """Return a sentence where the results in a folder come from other documents or options than this summary."""
    try:
        earlier = read_summary(folder)
    except ShoalError:
        return []
    if _extract_options(earlier) == _extract_options(summary):
        return []
    documents, clusters = plural(earlier["documents"], "document"), plural(earlier["num_clusters"], "cluster")
    return [
        f"Earlier results in {folder}/ with other options ({earlier['algorithm']}: {documents}, {clusters}) were "
        "replaced. --out FOLDER keeps both."
    ]


def _extract_options(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a summary that was requested, rather than computed."""
    names = (
        "source",
        "encoder",
        "text",
        "algorithm",
        "parameters",
        "normalize",
        "centroid_method",
        "sample_size",
        "seed",
    )
    options: dict[str, Any] = orjson.loads(orjson.dumps({name: summary.get(name) for name in names}))
    return {**options, "facet": (summary.get("facet") or {}).get("question")}


def _describe_rows(result: "FileClustering") -> str:
    """Describe the content of a file that was written back."""
    rows = "the row" if result.total == 1 else f"all {result.total:,} rows"
    if len(result.rows) == result.total:
        return f"{rows} with their clusters"
    return f"{rows}, {len(result.rows):,} of them with clusters"


def _suggest_without(result: "FileClustering", written: Path) -> list[str]:
    """Suggest leaving the vectors out of a spreadsheet that contains them."""
    vector = result.source["vector"]
    is_text = parse_output_format(written) in ("csv", "tsv")
    if not is_text or vector in result.without or vector not in result.opened.info.original_columns:
        return []
    return [f"      It holds the numbers of {vector} too: --without {shlex.quote(vector)} leaves them out."]


def _suggest_show(folder: Path, clusters: int, *, whole: bool) -> list[str]:
    """Return commands that show more of the results."""
    if not clusters:
        return []
    show = f"{program_name()} show {shlex.quote(str(folder))}"
    every = [f"      {show} --all    every cluster"] if clusters > MOST_ROWS and not whole else []
    return [f"Look: {show} --cluster 0    the documents in cl_0", *every]


def print_clusters(
    console: Console, summary: Mapping[str, Any], *, whole: bool, tree: RenderableType | None = None
) -> None:
    """Print the table of a summary, at most 40 clusters unless `whole`, or a tree instead; facts and notes below it."""
    rows = [
        Row(
            cluster["cluster_id"],
            cluster["label"],
            cluster["keywords"],
            cluster["size"],
            next(iter(cluster.get("examples", ())), ""),
        )
        for cluster in summary["clusters"]
    ]
    most = None if whole else MOST_ROWS
    table: RenderableType = tree or build_clusters_table(
        rows, summary["documents"], summary["noise"], width=console.width, most=most
    )
    print_lines(console, table, Text(), Text(strip_controls(_format_facts(summary))))
    for warning in summary["warnings"]:
        print_lines(console, Text(f"Note: {strip_controls(warning)}", "yellow"))


def _format_facts(summary: Mapping[str, Any]) -> str:
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
        _format_facet(summary.get("facet")),
        f"encoded by {summary['encoder']}" if summary.get("encoder") else "",
        "" if summary.get("facet") else f"named from {', '.join(text)}" if text else "",
        _format_naming(summary.get("naming")),
        "" if silhouette is None else f"silhouette {silhouette:.2f}",
        plural(int(spare), "near-duplicate") if spare else "",
        f"{summary['seconds']:.1f} s",
        "exact" if summary["exact"] else "approximate",
    ]
    return ", ".join(fact for fact in facts if fact) + "."


def _format_facet(facet: Mapping[str, Any] | None) -> str:
    """Describe what documents were clustered by, and what it took."""
    return f"by answers to “{facet['question']}” {_format_naming(facet)}" if facet else ""


def _format_naming(naming: Mapping[str, Any] | None) -> str:
    """Describe what answers of a model took."""
    if not naming:
        return ""
    cached = f" and {naming['cached']:,} kept answers" if naming["cached"] else ""
    tokens = naming["input_tokens"] + naming["output_tokens"]
    cost = f"{tokens:,} tokens" if naming["cost"] is None else f"${naming['cost']:.4f}"
    return f"by {naming['model']} ({plural(naming['calls'], 'call')}{cached}, {cost})"


def _list_files(folder: Path) -> list[str]:
    """Return the written files, the most useful tables first."""
    first = ["members.parquet", "centroids.parquet"]
    return [*first, *sorted(path.name for path in folder.iterdir() if path.name not in first)]


def print_plan(plan: "FilePlan", *, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(asdict(plan), option=orjson.OPT_INDENT_2) + b"\n")
    else:
        make_console().print(build_plan_table(plan))


def print_json(folder: Path) -> None:
    sys.stdout.buffer.write(escape_controls((folder / "summary.json").read_bytes()))
