"""`shoal show FOLDER`: the results of an earlier run again, and the documents of one cluster."""

import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from shoal.records.cluster_ids import NOISE_ID, complete_cluster_id

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["show"]

_MOST_MEMBERS: Final = 20
_LESS: Final = ("cluster_id", "cluster_label", "x", "y", "z")


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
    from shoal.cli.output.table import printer
    from shoal.cli.output.tree import clusters_tree, layers_of
    from shoal.library.results import read_summary

    summary = read_summary(folder)
    if cluster is None:
        if json:
            print_json(folder)
        else:
            console = printer()
            shown = clusters_tree(layers_of(summary), console.width, every=all) if tree else None
            print_clusters(console, summary, whole=all, tree=shown)
        return
    one = _found(cluster, summary)
    members = _members(folder, one["cluster_id"])
    if json:
        _print_as_json(one, members)
    else:
        _print_cluster(one, members, None if all else _MOST_MEMBERS)


def _found(asked: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """The cluster that is meant: by id, number, label, or the only label that has these words. Raises InvalidField."""
    from shoal.errors import InvalidField

    noise = {"cluster_id": NOISE_ID, "label": "in no cluster", "keywords": [], "size": summary["noise"], "examples": []}
    clusters: list[dict[str, Any]] = [*summary["clusters"], noise]
    wanted = asked.strip().casefold()
    for tests in (
        lambda one: one["cluster_id"].casefold() in (wanted, complete_cluster_id(wanted)),
        lambda one: one["label"].casefold() == wanted,
        lambda one: wanted and wanted in one["label"].casefold(),
    ):
        found = [one for one in clusters if tests(one)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(f"{one['cluster_id']} ({one['label']})" for one in found[:5])
            raise InvalidField("--cluster", "may be several", value=asked, remedy=f"Say which by its id: {names}.")
    labels = {one["label"].casefold(): one for one in clusters}
    near = [labels[label] for label in difflib.get_close_matches(wanted, labels, 3, 0.5)] or clusters[:3]
    names = ", ".join(f"{one['cluster_id']} ({one['label']})" for one in near)
    raise InvalidField("--cluster", "is none of the clusters", value=asked, remedy=f"There are, among others, {names}.")


def _members(folder: Path, cluster_id: str) -> "pa.Table":
    """The rows of `members.parquet` of one cluster, firmest first. Raises InvalidField where it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from shoal.errors import InvalidField
    from shoal.files.reading import speaking_shoal

    path = folder / "members.parquet"
    if not path.is_file():
        raise InvalidField(str(path), "there is no such file", remedy="Cluster again.")
    with speaking_shoal(str(path), remedy="Cluster again."):
        found = pq.read_table(path, filters=[("cluster_id", "=", cluster_id)])
        names = [name for name in found.column_names if name not in _LESS]
        order = pa.compute.sort_indices(
            pa.table({"strength": found["membership_strength"], "distance": found["distance_to_centroid"]}),
            [("strength", "descending"), ("distance", "ascending")],
        )
        return found.select(names).take(order)


def _print_as_json(one: Mapping[str, Any], members: "pa.Table") -> None:
    from shoal.cli.output.terminal import escape_controls
    from shoal.files.payloads import json_of_batch, json_text

    rows = [row for batch in members.to_batches() for row in json_of_batch(batch, str, byo=False, stored=False)]
    head = json_text({name: value for name, value in one.items() if value is not None})
    sys.stdout.buffer.write(escape_controls(head[:-1] + b',"members":[' + b",".join(rows) + b"]}\n"))


def _print_cluster(one: Mapping[str, Any], members: "pa.Table", most: int | None) -> None:
    from rich.text import Text

    from shoal.cli.output.table import plain, print_lines, printer
    from shoal.plural import plural

    console = printer()
    share = f", {one['share']:.1%} of all" if one.get("share") is not None else ""
    facts = f"  {plain(one['cluster_id'])}, {plural(one['size'], 'document')}{share}"
    print_lines(console, Text.assemble((plain(one["label"]), "bold"), facts))
    if one["keywords"]:
        print_lines(console, Text(plain(", ".join(one["keywords"])), "dim"))
    for example in one.get("examples", ()):
        print_lines(console, Text(f"  “{plain(example)}”", no_wrap=True, overflow="ellipsis"))
    shown = members.slice(0, most)
    print_lines(console, Text(), _table(shown))
    if len(members) > len(shown):
        print_lines(console, Text(f"… and {len(members) - len(shown):,} more: --all", "dim"))


def _table(members: "pa.Table") -> Any:
    from rich.table import Table
    from rich.text import Text

    from shoal.cli.output.table import EDGES, plain

    table = Table(box=EDGES, header_style="bold", pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    names: Sequence[str] = [_HEADS.get(name, name) for name in members.column_names]
    for name in names:
        right = name in ("distance", "strength", "outlier score")
        table.add_column(Text(plain(name)), justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    for row in members.to_pylist():
        table.add_row(*(Text(plain(_cell(value))) for value in row.values()))
    return table


_HEADS: Final = {
    "document_id": "document", "distance_to_centroid": "distance", "membership_strength": "strength",
    "outlier_score": "outlier score",
}  # fmt: skip


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
