"""Referential integrity of the records: clusters and their runs, runs and their jobs and tasks."""

from collections.abc import Iterator

from shoal.records.runs.execution import ACTIVE
from shoal.storage.protocols.inspection import InspectedRecord, MetadataReport

__all__ = ["broken_references"]


def broken_references(metadata: MetadataReport) -> Iterator[str]:
    """Yield a sentence for each dangling reference. Damaged records are reported elsewhere and skipped here."""
    intact = [record for record in metadata.records if record.body]
    runs = {record.id: record for record in intact if record.kind == "execution"}
    tasks = {record.id for record in metadata.records if record.kind == "task"}
    jobs = {job.id for job in metadata.jobs}
    damaged = {record.id for record in metadata.records if not record.body}
    for record in intact:
        if record.kind == "cluster":
            yield from _check_cluster(record, runs, damaged)
        elif record.kind == "execution":
            yield from _check_run(record, tasks, jobs)
    for job in metadata.jobs:
        run = runs.get(job.id)
        # A job whose run has ended is in its last step: its worker, or the next one, removes it from the queue.
        if run is None and job.id not in damaged:
            yield f"job {job.id} is {job.state}, and its run does not exist"
    for record in intact:
        run_id = record.body.get("additional_data", {}).get("run_id") if record.kind == "task" else None
        if run_id is not None and run_id not in runs and run_id not in damaged:
            yield f"task {record.id} belongs to run {run_id}, which does not exist"


def _check_cluster(cluster: InspectedRecord, runs: dict[str, InspectedRecord], damaged: set[str]) -> Iterator[str]:
    run_id = cluster.body.get("current_run_id")
    if run_id is None or run_id in damaged:
        return
    run = runs.get(run_id)
    if run is None:
        yield f"cluster {cluster.id} shows run {run_id}, which does not exist"
    elif not run.body.get("published"):
        yield f"cluster {cluster.id} shows run {run_id}, which published nothing"


def _check_run(run: InspectedRecord, tasks: set[str], jobs: set[str]) -> Iterator[str]:
    if run.body["status"] in ACTIVE and run.id not in jobs:
        yield f"run {run.id} is {run.body['status']}, and no job will execute it"
    if run.body.get("task_id") and run.body["task_id"] not in tasks:
        yield f"run {run.id} has lost its task {run.body['task_id']}"
