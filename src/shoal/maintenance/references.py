"""Whether what the records refer to is there: clusters and their runs, runs and their jobs and tasks."""

from collections.abc import Iterator

from shoal.records.execution import ACTIVE
from shoal.storage.protocols.inspection import InspectedRecord, MetadataReport

__all__ = ["broken_references"]


def broken_references(seen: MetadataReport) -> Iterator[str]:
    """A sentence for each thing that refers to something missing. Damaged records are told elsewhere and left out."""
    whole = [record for record in seen.records if record.body]
    runs = {record.id: record for record in whole if record.kind == "execution"}
    tasks = {record.id for record in seen.records if record.kind == "task"}
    jobs = {job.id for job in seen.jobs}
    damaged = {record.id for record in seen.records if not record.body}
    for record in whole:
        if record.kind == "cluster":
            yield from _of_cluster(record, runs, damaged)
        elif record.kind == "execution":
            yield from _of_run(record, tasks, jobs)
    for job in seen.jobs:
        run = runs.get(job.id)
        # One whose run is over is in its last step: its worker, or the next one, takes it from the queue.
        if run is None and job.id not in damaged:
            yield f"job {job.id} is {job.state}, and its run does not exist"
    for record in whole:
        run_id = record.body.get("additional_data", {}).get("run_id") if record.kind == "task" else None
        if run_id is not None and run_id not in runs and run_id not in damaged:
            yield f"task {record.id} belongs to run {run_id}, which does not exist"


def _of_cluster(cluster: InspectedRecord, runs: dict[str, InspectedRecord], damaged: set[str]) -> Iterator[str]:
    shown = cluster.body.get("current_run_id")
    if shown is None or shown in damaged:
        return
    run = runs.get(shown)
    if run is None:
        yield f"cluster {cluster.id} shows run {shown}, which does not exist"
    elif not run.body.get("published"):
        yield f"cluster {cluster.id} shows run {shown}, which published nothing"


def _of_run(run: InspectedRecord, tasks: set[str], jobs: set[str]) -> Iterator[str]:
    if run.body["status"] in ACTIVE and run.id not in jobs:
        yield f"run {run.id} is {run.body['status']}, and no job will carry it out"
    if run.body.get("task_id") and run.body["task_id"] not in tasks:
        yield f"run {run.id} has lost its task {run.body['task_id']}"
