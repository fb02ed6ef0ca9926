"""`shoal cluster FILE`: named clusters from a file, without a server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["cluster"]


def cluster(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Parquet, Arrow, CSV, JSON (also .gz), NPY or NPZ; also several files, a folder, or https://.",
        ),
    ],
    vector: Annotated[str | None, typer.Option(help="The column of vectors; needed where there are several.")] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="A column to name clusters from, and to encode without vectors; repeat for several."),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Encode the texts, even beside vectors: static, corpus, or a URI.")
    ] = None,
    id: Annotated[str | None, typer.Option(help="The column of ids; else id or document_id, else numbers.")] = None,
    algorithm: Annotated[str, typer.Option(help="auto, kmeans, hdbscan, or another.")] = "auto",
    clusters: Annotated[int | None, typer.Option(help="How many; else chosen from the data.")] = None,
    param: Annotated[list[str] | None, typer.Option(help="A parameter of the algorithm, name=value.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only documents with field=value (also a,b; !=, <, >=, ~), or a JSON filter."),
    ] = None,
    sample: Annotated[int | None, typer.Option(min=2, help="Learn from so many documents, assign the rest.")] = None,
    normalize: Annotated[bool, typer.Option(help="Compare directions (cosine), not lengths.")] = True,
    seed: Annotated[int, typer.Option(help="The same seed gives the same clusters.")] = 42,
    threads: Annotated[int, typer.Option(min=0, help="0 takes all cores.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.", show_default="shoal-out/NAME")] = None,
    write: Annotated[
        Path | None, typer.Option(help="Write the file again with its clusters: .csv, .parquet, .jsonl, …")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let --write replace any file, but FILE.")] = False,
    save_vectors: Annotated[
        Path | None, typer.Option(help="Write the vectors to a file of their own: .npy or .parquet.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="A column that --write leaves out, such as the vectors; or a,b,c.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="A column of the file for members.parquet; repeat, or a,b,c.")
    ] = None,
    sidecar: Annotated[Path | None, typer.Option(help="Ids and attributes for a NPY file.")] = None,
    format: Annotated[str | None, typer.Option(help="The format, where the file name does not imply it.")] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="The column delimiter of CSV, where it is not detected.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="The encoding of text that is not UTF-8: cp1252 for Excel's plain CSV.")
    ] = None,
    model: Annotated[
        bool, typer.Option(help="Keep what `shoal.load` needs to place new documents, about the size of the vectors.")
    ] = True,
    map: Annotated[bool, typer.Option(help="Draw the map (x, y) and look for near-duplicates.")] = True,
    labels: Annotated[bool, typer.Option(help="Name the clusters from texts.")] = True,
    stop_words: Annotated[Path | None, typer.Option(help="A file of words that no name contains.")] = None,
    facet: Annotated[
        str | None,
        typer.Option(metavar="QUESTION", help='Cluster by what --llm answers about each: "What went wrong?".'),
    ] = None,
    llm: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Name them by a language model: openai:gpt-4o-mini, …")
    ] = None,
    llm_budget: Annotated[
        float | None, typer.Option(metavar="DOLLARS", help="The most that --llm may cost.", show_default="1")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Print every cluster, not the first 40.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only estimate the cost: time, memory, disk.")] = False,
    tree: Annotated[bool, typer.Option("--tree", help="Show broad groups and the clusters in them.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of the table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the folder of results.")] = False,
) -> None:
    """Group the documents of a file, name the groups, and write members, centroids and a summary."""
    # Imported here so that `shoal --help` stays fast.
    from dataclasses import replace

    from shoal.cli.options import name_options_in_errors
    from shoal.cli.output.cluster_report import print_json, print_plan, print_table, warn_replaced
    from shoal.cli.output.hints import repeat_command
    from shoal.cli.output.progress import show_progress
    from shoal.cli.params import parse_params
    from shoal.cli.where import parse_where
    from shoal.files.paths.addresses import check_is_local, parse_place
    from shoal.files.paths.shards import results_name
    from shoal.labeling import read_stop_words
    from shoal.library.facets import open_facet
    from shoal.library.from_columns import ClusterOptions
    from shoal.library.from_file import cluster_file, plan_file
    from shoal.library.namers import open_naming
    from shoal.library.output.vectors_file import check_vectors_target
    from shoal.library.output.vectors_file import save_vectors as write_vectors
    from shoal.library.output.write_targets import check_target
    from shoal.library.request import Request
    from shoal.library.results import check_folder
    from shoal.records.queries.filters import parse_filter

    places = [parse_place(file) for file in files]
    file = places[0] if len(places) == 1 else tuple(places)
    if sidecar is not None:
        check_is_local(sidecar, "--sidecar")
    folder = out or Path("shoal-out") / results_name(file)
    if not plan:
        check_folder(folder)
        if save_vectors is not None:
            check_vectors_target(save_vectors, overwrite=overwrite, results=folder)
        if write is not None:
            read = [place for place in places if isinstance(place, Path)]
            check_target(write, read if sidecar is None else [*read, sidecar], overwrite=overwrite, results=folder)
    filter = parse_where(where or [])
    excluded = read_stop_words(stop_words, "--stop-words")
    options = ClusterOptions(
        algorithm=algorithm,
        n_clusters=clusters,
        params=parse_params(param or []),
        normalize=normalize,
        sample_size=sample,
        seed=seed,
        threads=threads,
        map=map,
        stop_words=excluded,
        naming=open_naming(
            llm if labels else None,
            None if facet is not None and not labels else llm_budget,
            ("--llm", "--llm-budget"),
            excluded,
        ),
    )
    request = Request(
        path=file,
        format=format,
        delimiter=delimiter,
        encoding=encoding,
        sidecar=sidecar,
        vector=vector,
        text=text or (),
        encoder=encoder,
        facet=open_facet(facet, llm, llm_budget, ("--facet", "--llm", "--llm-budget")),
        keep_vectors=save_vectors is not None,
        id=id,
        where=parse_filter(filter, "--where"),
        member_columns=keep or (),
        without=without or (),
        replaces=None if plan or overwrite else write,
        labels=labels,
        cluster_options=options,
    )
    if plan:
        with name_options_in_errors(options.params), show_progress(quiet or json) as progress:
            cost = plan_file(request, progress, model=model, write=write is not None)
        print_plan(cost, as_json=json)
        return
    with name_options_in_errors(options.params), show_progress(quiet) as progress:
        result = cluster_file(request, progress)
        result = replace(result, source={**result.source, "where": filter})
        progress("write", 0.0)
        notes = warn_replaced(folder, {**result.clustering.summary(), "source": result.source})
        result.clustering.save(folder, model=model, source=result.source)
        notes += [] if write is None else result.write_back(write, progress)
        if save_vectors is not None and result.points is not None:
            write_vectors(save_vectors, list(result.clustering.ids), result.points)
    if json:
        print_json(folder)
    elif quiet:
        print(folder)
    else:
        reproduced_options: dict[str, Sequence[object] | None] = {"--vector": [vector], "--text": text, "--id": [id]}
        reproduced_options |= {"--encoder": [encoder]}
        reproduced_options |= {"--where": where, "--sidecar": [sidecar]}
        reproduced_options |= {"--format": [format], "--delimiter": [delimiter], "--encoding": [encoding]}
        reproduced_options |= {
            "--sample": [sample],
            "--seed": [None if seed == ClusterOptions().seed else seed],
            "--stop-words": [stop_words],
            "--out": [out],
            "--facet": [facet],
            "--llm": [llm],
            "--llm-budget": [llm_budget],
        }
        flags = {"--no-normalize": not normalize, "--no-labels": not labels, "--no-map": not map}
        command = repeat_command(places, reproduced_options, flags)
        print_table(result, folder, command, written=write, vectors=save_vectors, notes=notes, whole=all, tree=tree)
