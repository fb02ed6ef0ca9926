"""`shoal demo`: real questions become named clusters, on the same path as on a server."""

import socket
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from shoal.assemble import Services
    from shoal.records.clusters.cluster import Cluster
    from shoal.records.runs.execution import Execution
    from shoal.records.scope import Scope
    from shoal.settings import Settings

__all__ = ["demo"]

_NAMESPACE: Final = "demo"
_COLLECTION: Final = "questions"
_CLUSTER: Final = "question-groups"
_POLL_SECONDS: Final = 0.1
_USUAL_PORT: Final = 8000


def demo(
    serve: Annotated[bool, typer.Option("--serve", help="Keep a server up afterwards.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Keep the demo's data here.", show_default="a temporary folder; .demo with --serve"),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="For --serve; another is taken if busy.")] = _USUAL_PORT,
) -> None:
    """Group and name 2,280 real questions, end to end, and show what to try next."""
    with ExitStack() as stack:
        if data is not None or serve:
            folder = data or Path(".demo")
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shoal-demo-")))
        _run(folder)
        if serve:
            _serve(folder, port)


def _run(folder: Path) -> None:
    # Imported here so that `shoal --help` stays fast.
    from shoal.assemble import assemble
    from shoal.cli.import_ import ensure_collection, ensure_namespace
    from shoal.demo_data import QUESTIONS
    from shoal.settings import Settings

    settings = Settings.read(data=folder, workers=1, log_level="warning")
    services = assemble(settings)
    started = time.monotonic()
    try:
        with ensure_namespace(services, _NAMESPACE) as scope, ensure_collection(services, scope, _COLLECTION):
            services.bulk.import_file(scope, _COLLECTION, QUESTIONS)
        cluster = _find_or_create_cluster(services, scope)
        run = _execute(services, scope, cluster, settings)
        _show(cluster, run, time.monotonic() - started)
    finally:
        services.close()


def _find_or_create_cluster(services: "Services", scope: "Scope") -> "Cluster":
    """Return the demo's cluster; that of an earlier demo in the same folder is reused."""
    from shoal.errors import NotFound
    from shoal.records.clusters.requests import CreateCluster

    try:
        return services.clusters.get(scope, _CLUSTER)
    except NotFound:
        body = CreateCluster.model_validate(
            {
                "cluster_name": _CLUSTER,
                "description": "What people ask a voice assistant",
                "collection_ids": [_COLLECTION],
                "vector_config": {
                    "feature_uris": ["embedding"],
                    "clustering_method": "auto",
                },
                "llm_labeling": {
                    "enabled": False,
                    "labeling_inputs": {
                        "input_mappings": [{"input_key": "text", "source_type": "payload", "path": "text"}]
                    },
                },
                "enrich_source_collection": True,
            }
        )
        return services.clusters.create(scope, body)


def _execute(services: "Services", scope: "Scope", cluster: "Cluster", settings: "Settings") -> "Execution":
    """Execute the run in a worker process, as on a server. Raises RunFailed."""
    from shoal.cli.output.progress import show_progress
    from shoal.errors import RunFailed
    from shoal.jobs.supervisor import Workers
    from shoal.records.runs.execution import ACTIVE, ExecuteCluster

    workers = Workers(settings)
    workers.start()
    try:
        task = services.clusters.execute(scope, services.clusters.admit(scope, cluster.cluster_id, ExecuteCluster()))
        run_id = str(task.additional_data["run_id"])
        with show_progress() as progress:
            while (run := services.executions.get(scope, cluster.cluster_id, run_id)).status in ACTIVE:
                progress_record = services.tasks.get(scope, task.task_id).additional_data.get("progress") or {}
                progress(str(progress_record.get("stage", "start")), float(progress_record.get("fraction", 0.0)))
                time.sleep(_POLL_SECONDS)
    finally:
        workers.stop()
    if run.status != "completed":
        raise RunFailed(run.error_message or f"The run is {run.status}.")
    return run


def _show(cluster: "Cluster", run: "Execution", seconds: float) -> None:
    from rich.text import Text

    from shoal.cli.output.table import Row, build_clusters_table, make_console, print_lines, program_name

    centroids = run.centroids or []
    rows = [
        Row(centroid.cluster_id, centroid.label or centroid.cluster_id, centroid.keywords, centroid.num_members)
        for centroid in centroids
    ]
    noise = run.num_points - sum(row.size for row in rows)
    console = make_console()
    console.print(Text.assemble(("What people ask a voice assistant", "bold"), ", from CLINC150 (CC BY 3.0)"))
    print_lines(console, build_clusters_table(rows, run.num_points, noise, width=console.width))
    console.print(
        f"{run.num_points:,} documents, {len(rows)} clusters, {noise:,} in none; stored, clustered, named and written "
        f"back in {seconds:.1f} s."
    )
    console.print()
    console.print(Text("What to try next", "bold"))
    shoal = program_name()
    for command, purpose in (
        (f"{shoal} cluster YOUR_FILE.parquet", "the same for a file of yours, without a server"),
        (f"{shoal} demo --serve", "keep a server up and look at the result over HTTP"),
        (f"{shoal} serve", "your own server; `shoal import` fills it from files"),
    ):
        console.print(Text.assemble("  ", (f"{command:<{len(shoal) + 29}}", "cyan"), purpose))


def _serve(folder: Path, port: int) -> None:
    from shoal.cli.serve import serve

    port = _find_free_port(port)
    base, key = f"http://127.0.0.1:{port}/v1", f"$(cat {folder / 'key'})"
    headers = f'-H "Authorization: Bearer {key}" -H "X-Namespace: {_NAMESPACE}"'
    print(f"\n{base}/openapi.json lists every route. From another terminal in this folder:\n")
    for path in (f"clusters/{_CLUSTER}", f"clusters/{_CLUSTER}/groups", f"clusters/{_CLUSTER}/visualization"):
        print(f"  curl {headers} {base}/{path}")
    print("\nCtrl-C ends it.\n")
    serve(data=folder, port=port)


def _find_free_port(port: int) -> int:
    """Return the port, or any free one where it is 0 or in use."""
    for candidate in (port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return port
