"""`shoal show FOLDER`: print earlier results again, and the documents of one cluster."""

import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from shoal.records.clusters.ids import NOISE_ID, complete_cluster_id

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["show"]

_MOST_MEMBERS: Final = 20
_HIDDEN: Final = ("cluster_id", "cluster_label", "x", "y", "z")


def show(
    folder: Annotated[Path, typer.Argument(help="What `shoal cluster` or `save` wrote, such as shoal-out/NAME.")],
    cluster: Annotated[
        str | None, typer.Option(help="Its documents: a label, an id such as cl_3, or its number; noise for none.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every cluster, or every document of one.")] = False,
    tree: Annotated[bool, typer.Option("--tree", help="Broad groups and the clusters in them.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the clusters of earlier results again, or the documents and example texts of one cluster."""
    from shoal.cli.output.cluster_report import print_clusters, print_json
    from shoal.cli.output.table import make_console
    from shoal.cli.output.tree import build_tree, parse_layers
    from shoal.library.results import read_summary

    summary = read_summary(folder)
    if cluster is None:
        if json:
            print_json(folder)
        else:
            console = make_console()
            shown = build_tree(parse_layers(summary), console.width, every=all) if tree else None
            print_clusters(console, summary, whole=all, tree=shown)
        return
    found_cluster = _find_cluster(cluster, summary)
    members = _read_members(folder, found_cluster["cluster_id"])
    if json:
        _print_json(found_cluster, members)
    else:
        _print_cluster(found_cluster, members, None if all else _MOST_MEMBERS)


def _find_cluster(ref: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cluster with this id, number or label, or the only one whose label contains the text. Raises
    InvalidField."""
    from shoal.errors import InvalidField

    noise = {"cluster_id": NOISE_ID, "label": "in no cluster", "keywords": [], "size": summary["noise"], "examples": []}
    clusters: list[dict[str, Any]] = [*summary["clusters"], noise]
    needle = ref.strip().casefold()
    for tests in (
        lambda cluster: cluster["cluster_id"].casefold() in (needle, complete_cluster_id(needle)),
        lambda cluster: cluster["label"].casefold() == needle,
        lambda cluster: needle and needle in cluster["label"].casefold(),
    ):
        matches = [cluster for cluster in clusters if tests(cluster)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            names = ", ".join(f"{cluster['cluster_id']} ({cluster['label']})" for cluster in matches[:5])
            raise InvalidField("--cluster", "may be several", value=ref, remedy=f"Say which by its id: {names}.")
    labels = {cluster["label"].casefold(): cluster for cluster in clusters}
    near = [labels[label] for label in difflib.get_close_matches(needle, labels, 3, 0.5)] or clusters[:3]
    names = ", ".join(f"{cluster['cluster_id']} ({cluster['label']})" for cluster in near)
    raise InvalidField(
        "--cluster", "is not one of the clusters", value=ref, remedy=f"There are, among others, {names}."
    )


def _read_members(folder: Path, cluster_id: str) -> "pa.Table":
    """Return the rows of one cluster in `members.parquet`, strongest first. Raises InvalidField where it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from shoal.errors import InvalidField
    from shoal.files.reader_errors import translate_errors

    path = folder / "members.parquet"
    if not path.is_file():
        raise InvalidField(str(path), "there is no such file", remedy="Cluster again.")
    with translate_errors(str(path), remedy="Cluster again."):
        table = pq.read_table(path, filters=[("cluster_id", "=", cluster_id)])
        names = [name for name in table.column_names if name not in _HIDDEN]
        order = pa.compute.sort_indices(
            pa.table({"strength": table["membership_strength"], "distance": table["distance_to_centroid"]}),
            [("strength", "descending"), ("distance", "ascending")],
        )
        return table.select(names).take(order)


def _print_json(cluster: Mapping[str, Any], members: "pa.Table") -> None:
    from shoal.cli.output.terminal import escape_controls
    from shoal.files.payloads import batch_to_json, dump_json

    rows = [row for batch in members.to_batches() for row in batch_to_json(batch, str, byo=False, stored=False)]
    head = dump_json({name: value for name, value in cluster.items() if value is not None})
    sys.stdout.buffer.write(escape_controls(head[:-1] + b',"members":[' + b",".join(rows) + b"]}\n"))


def _print_cluster(cluster: Mapping[str, Any], members: "pa.Table", most: int | None) -> None:
    from rich.text import Text

    from shoal.cli.output.table import make_console, print_lines, strip_controls
    from shoal.quantities import plural

    console = make_console()
    share = f", {cluster['share']:.1%} of all" if cluster.get("share") is not None else ""
    facts = f"  {strip_controls(cluster['cluster_id'])}, {plural(cluster['size'], 'document')}{share}"
    print_lines(console, Text.assemble((strip_controls(cluster["label"]), "bold"), facts))
    if cluster["keywords"]:
        print_lines(console, Text(strip_controls(", ".join(cluster["keywords"])), "dim"))
    if cluster.get("summary"):
        print_lines(console, Text(strip_controls(cluster["summary"])))
    if cluster.get("score") is not None:
        worth = f"The name fits {cluster['coverage']:.0%} of documents that it was not made from, and distinguishes "
        print_lines(console, Text(f"{worth}{cluster['score']:.0%} from those of the nearest clusters.", "dim"))
    for example in cluster.get("examples", ()):
        print_lines(console, Text(f"  “{strip_controls(example)}”", no_wrap=True, overflow="ellipsis"))
    shown = members.slice(0, most)
    print_lines(console, Text(), _build_table(shown))
    if len(members) > len(shown):
        print_lines(console, Text(f"… and {len(members) - len(shown):,} more: --all", "dim"))


def _build_table(members: "pa.Table") -> Any:
    from rich.table import Table
    from rich.text import Text

    from shoal.cli.output.table import EDGES, strip_controls

    table = Table(box=EDGES, header_style="bold", pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    names: Sequence[str] = [_HEADS.get(name, name) for name in members.column_names]
    for name in names:
        right = name in ("distance", "strength", "outlier score")
        table.add_column(
            Text(strip_controls(name)), justify="right" if right else "left", no_wrap=True, overflow="ellipsis"
        )
    for row in members.to_pylist():
        table.add_row(*(Text(strip_controls(_format_cell(value))) for value in row.values()))
    return table


_HEADS: Final = {
    "document_id": "document", "distance_to_centroid": "distance", "membership_strength": "strength",
    "outlier_score": "outlier score",
}  # fmt: skip


def _format_cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
