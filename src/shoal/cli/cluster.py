"""`shoal cluster FILE`: named clusters from a file, without a server."""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from shoal.cli.terminal import escape_controls

if TYPE_CHECKING:
    from shoal.from_file import FileClustering, FilePlan

__all__ = ["cluster", "parse_params", "parse_where"]

_OPERATORS: Final = {"=": "eq", "!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_WHOLE: Final = re.compile(r"-?[0-9]{1,1000}")
_FLAGS: Final = {"true": True, "false": False}
_CONDITION: Final = re.compile(r"([^=!<>]+)(!=|>=|<=|=|>|<)(.*)", re.DOTALL)


def cluster(
    file: Annotated[
        Path, typer.Argument(help="Parquet, Arrow, CSV or JSON lines (also .gz), NPY, or a folder of Parquet.")
    ],
    vector: Annotated[str | None, typer.Option(help="The column of vectors; needed where there are several.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="A column to name clusters from; repeat for several.")] = None,
    id: Annotated[str | None, typer.Option(help="The column of ids; else id or document_id, else numbers.")] = None,
    algorithm: Annotated[str, typer.Option(help="kmeans, auto, hdbscan, or another.")] = "kmeans",
    clusters: Annotated[int | None, typer.Option(help="How many; else chosen from the data.")] = None,
    param: Annotated[list[str] | None, typer.Option(help="A parameter of the algorithm, name=value.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="Only documents with field=value (!=, <, >=, …), or a JSON filter.")
    ] = None,
    sample: Annotated[int | None, typer.Option(min=2, help="Learn from so many documents, assign the rest.")] = None,
    normalize: Annotated[bool, typer.Option(help="Compare directions (cosine), not lengths.")] = True,
    seed: Annotated[int, typer.Option(help="The same seed gives the same clusters.")] = 42,
    threads: Annotated[int, typer.Option(min=0, help="0 takes all cores.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.", show_default="shoal-out/NAME")] = None,
    sidecar: Annotated[Path | None, typer.Option(help="Ids and attributes for a NPY file.")] = None,
    format: Annotated[str | None, typer.Option(help="The format, where the file's ending does not tell.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only tell what it would cost: time, memory, disk.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of the table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the folder of results.")] = False,
) -> None:
    """Group the documents of a file, name the groups, and write members, centroids and a summary."""
    # Imported here so that `shoal --help` stays fast.
    from shoal.cli.progress import shown
    from shoal.files.shards import results_name
    from shoal.from_file import Request, cluster_file, plan_file
    from shoal.library import How
    from shoal.records.filters import parse_filter
    from shoal.results import check_folder

    folder = out or Path("shoal-out") / results_name(file)
    if not plan:
        check_folder(folder)
    filter = parse_where(where or [])
    how = How(
        algorithm=algorithm,
        n_clusters=clusters,
        params=parse_params(param or []),
        normalize=normalize,
        sample_size=sample,
        seed=seed,
        threads=threads,
    )
    request = Request(
        path=file,
        format=format,
        sidecar=sidecar,
        vector=vector,
        text=text or (),
        id=id,
        where=parse_filter(filter, "--where"),
        how=how,
    )
    if plan:
        with shown(quiet or json) as progress:
            cost = plan_file(request, progress)
        _print_plan(cost, as_json=json)
        return
    with shown(quiet) as progress:
        found = cluster_file(request, progress)
        progress("write", 0.0)
        found.clustering.to_parquet(folder, source={**found.source, "where": filter})
    if quiet:
        print(folder)
    elif json:
        _print_json(folder)
    else:
        told = {"--vector": [vector], "--text": text, "--id": [id], "--where": where, "--sidecar": [sidecar]}
        _print_table(found, folder, _again(file, told))


def parse_where(given: list[str]) -> dict[str, Any] | None:
    """The filter of the wire that all the conditions make together. Raises InvalidField."""
    if not given:
        return None
    members = [_condition(text) for text in given]
    return members[0] if len(members) == 1 else {"AND": members}


def parse_params(given: list[str]) -> dict[str, object]:
    """`name=value` pairs; values are JSON where they can be, else text. Raises InvalidField."""
    from shoal.errors import InvalidField

    params: dict[str, object] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise InvalidField("--param", "must be name=value", value=text, remedy="Such as --param n_init=10.")
        params[name.strip().replace("-", "_")] = _value(value)
    return params


def _condition(text: str) -> dict[str, Any]:
    from shoal.errors import InvalidField

    if text.lstrip().startswith("{"):
        filter = _value(text)
        if isinstance(filter, dict):
            return filter
        raise InvalidField("--where", "is no valid JSON", value=text)
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise InvalidField("--where", "must be field=value or JSON", value=text, remedy="Such as --where lang=en.")
    field, operator, raw = match[1].strip(), _OPERATORS[match[2]], match[3].strip()
    value = _value(raw)
    if isinstance(value, (dict, list)):
        value = raw
    if operator in ("eq", "ne"):
        value = _FLAGS.get(raw.lower(), value)
        if _WHOLE.fullmatch(raw) and not -(2**63) <= int(raw) < 2**63:
            value = raw  # files hold such a number as text
        if not isinstance(value, str):
            # A shell cannot tell 2020 from "2020", so both are meant.
            return {"field": field, "operator": "in" if operator == "eq" else "nin", "value": [value, raw]}
    return {"field": field, "operator": operator, "value": value}


def _value(text: str) -> object:
    import orjson

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _print_plan(plan: "FilePlan", *, as_json: bool) -> None:
    from dataclasses import asdict

    import orjson

    from shoal.cli.plan_table import plan_table
    from shoal.cli.table import printer

    if as_json:
        sys.stdout.buffer.write(orjson.dumps(asdict(plan), option=orjson.OPT_INDENT_2) + b"\n")
    else:
        printer().print(plan_table(plan))


def _print_json(folder: Path) -> None:
    sys.stdout.buffer.write(escape_controls((folder / "summary.json").read_bytes()))


def _again(file: Path, options: Mapping[str, Sequence[object] | None]) -> str:
    """The command that reads the same documents again."""
    from shoal.cli.table import called_as

    given = [(option, value) for option, values in options.items() for value in values or () if value is not None]
    words = [called_as(), "cluster", shlex.quote(str(file))]
    return " ".join([*words, *(f"{option} {shlex.quote(str(value))}" for option, value in given)])


def _print_table(found: "FileClustering", folder: Path, again: str) -> None:
    from rich.text import Text

    from shoal.cli.table import Row, clusters_table, plain, printer

    clustering = found.clustering
    rows = [Row(one.label, one.keywords, one.size, one.mean_similarity) for one in clustering.clusters]
    console = printer()
    console.print(clusters_table(rows, len(clustering), clustering.noise, width=console.width))
    console.print(Text(plain(_facts(found))))
    for warning in clustering.warnings:
        console.print(Text(f"Note: {plain(warning)}", "yellow"))
    console.print(Text.assemble("Results: ", (f"{plain(str(folder))}/", "bold"), f" with {', '.join(_files(folder))}"))
    for line in _next(found, again):
        console.print(Text(plain(line), "dim"))


def _files(folder: Path) -> list[str]:
    """What was written, the tables that everybody wants first."""
    first = ["members.parquet", "centroids.parquet"]
    return [*first, *sorted(one.name for one in folder.iterdir() if one.name not in first)]


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


def _next(found: "FileClustering", again: str) -> list[str]:
    """One or two commands that make sense now."""
    if found.clustering.plan.algorithm == "kmeans":
        return [
            f"Try: {again} --algorithm auto       finds their number, leaves outliers out",
            f"     {again} --clusters N           another number of clusters",
        ]
    layers = found.clustering.analysis.outcome.layers
    if layers is None:
        return [f"Try: {again} --algorithm hdbscan --param min_cluster_size=N    larger: fewer, broader clusters"]
    counts = [layer.clusters for layer in layers.layers]
    others = [str(count) for number, count in enumerate(counts) if number != layers.chosen and count > 1]
    if not others:
        return []
    coarser = [count for count in counts[: layers.chosen] if count > 1]
    told = f"The same documents in {', '.join(others)} clusters are in layers.parquet."
    return [told, *(f"Try: {again} --algorithm auto --clusters {count}" for count in coarser[-1:])]
