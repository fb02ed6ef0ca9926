"""Real runs by real workers: cancelled in native code, taken over from a hung worker, out of memory."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from real_runs import (
    cancel_at_random,
    children_of,
    execute,
    is_over,
    make_cluster,
    run_folders,
    run_of,
    upload,
    wait_for,
    worker_processes,
)
from server_process import ServerProcess
from warm_start import Started, can_start, start

pytestmark = pytest.mark.process


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@contextmanager
def worker(data: Path, **environ: str) -> Iterator[psutil.Process]:
    """`shoal worker` beside a server, in its own process group."""
    arguments = ["worker", "--data", str(data)]
    environ_ = {**os.environ, "SHOAL_LOG_LEVEL": "error", **environ}
    process: Started
    if can_start(environ_):
        process = start(arguments, 2, environ_)
    else:
        command = [sys.executable, "-m", "shoal.cli.main", *arguments]
        process = subprocess.Popen(command, start_new_session=True, env=environ_)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(30)


def process_of_the_run(worker: psutil.Process) -> psutil.Process:
    """The child that was started first: a worker prepares the next child while a run is in progress."""
    return min(children_of(worker), key=psutil.Process.create_time)


def native(client: httpx.Client, task: str) -> bool:
    progress = client.get(f"/tasks/{task}").json()["additional_data"].get("progress", {})
    return bool(progress.get("stage") == "cluster")


def test_cancelling_stops_native_code_and_leaves_nothing(data: Path, tmp_path: Path) -> None:
    with ServerProcess(data) as server, server.client() as client:
        upload(client, 60_000, tmp_path)
        make_cluster(client, "groups", "hdbscan")
        task = client.post("/clusters/groups/execute", json={}).json()
        run_id = task["additional_data"]["run_id"]
        wait_for(lambda: native(client, task["task_id"]))
        (worker,) = worker_processes(server.pid)
        at_work = process_of_the_run(worker)

        reply = client.post(f"/clusters/groups/executions/{run_id}/cancel")
        again = client.post(f"/clusters/groups/executions/{run_id}/cancel")
        wait_for(lambda: not at_work.is_running(), seconds=5.0)

        run = run_of(client, "groups", run_id)
        assert (reply.status_code, again.status_code) == (200, 409)
        assert (run["status"], run["published"]) == ("canceled", False)
        assert [change["status"] for change in run["history"]] == ["pending", "processing", "canceled"]
        assert client.get("/clusters/groups").json()["current_run_id"] is None
        assert client.get(f"/tasks/{task['task_id']}").json()["status"] == "CANCELED"
        assert run_folders(data) == []
        assert len(children_of(worker)) <= 1
        # The cluster can be executed again at once.
        assert client.post("/clusters/groups/execute", json={"sample_size": 50}).status_code == 200


def test_runs_cancelled_at_random_times_publish_all_results_or_none(data: Path, tmp_path: Path) -> None:
    """The long form is `python -m faults.run --only cancels`."""
    with ServerProcess(data) as server, server.client() as client:
        upload(client, 2_000, tmp_path)
        make_cluster(client, "groups", "kmeans")

        ended = cancel_at_random(client, "groups", 6, random.Random(5), within_s=1.5)

        wait_for(lambda: client.post("/clusters/groups/execute", json={}).status_code == 200)
        last = client.post("/clusters/groups/execute", json={}).json()["additional_data"]["run_id"]
        wait_for(lambda: is_over(client, "groups", last))
        assert sum(ended.values()) == 6
        assert set(run_folders(data)) <= {
            run["run_id"]
            for run in client.post("/clusters/groups/executions/list?limit=100").json()["results"]
            if run["published"]
        }


@pytest.mark.parametrize("with_child", [True, False])
def test_a_worker_that_hung_longer_than_its_lease_writes_nothing_afterwards(
    data: Path, tmp_path: Path, with_child: bool
) -> None:
    """Its run waits at a failpoint, loaded but not yet computed, so there is time to suspend the worker.

    `with_child`: the run's process is suspended with it; otherwise it continues after its wait, and only its fencing
    token stops it.
    """
    once = tmp_path / "once"
    once.mkdir()
    lease = {"SHOAL_LEASE_SECONDS": "2"}
    waits = {"SHOAL_FAILPOINTS": "run.loaded=sleep:8", "SHOAL_FAILPOINTS_ONCE": str(once)}
    with ExitStack() as opened:
        server = opened.enter_context(ServerProcess(data, workers=0))
        client = opened.enter_context(server.client())
        upload(client, 2_000, tmp_path)
        make_cluster(client, "groups", "hdbscan")
        hung = opened.enter_context(worker(data, **lease, **waits))
        run_id = execute(client, "groups")
        wait_for(lambda: (once / "run.loaded").exists())
        at_work = process_of_the_run(hung)
        stopped = [hung, *(hung.children() if with_child else [])]
        for process in stopped:
            process.suspend()

        opened.enter_context(worker(data, **lease))
        wait_for(lambda: is_over(client, "groups", run_id))
        ended = run_of(client, "groups", run_id)
        tables = client.get("/clusters/groups/artifacts?include_members=true").json()
        if not with_child:
            wait_for(lambda: at_work.status() == psutil.STATUS_ZOMBIE)
        for process in reversed(stopped):
            process.resume()
        wait_for(lambda: not at_work.is_running())

        assert (ended["status"], ended["attempts"]) == ("completed", 2)
        assert [change["status"] for change in ended["history"]] == [
            "pending", "processing", "processing", "completed",
        ]  # fmt: skip
        assert len({change["worker"] for change in ended["history"]}) == 3
        assert run_of(client, "groups", run_id) == ended
        assert client.get("/clusters/groups/artifacts?include_members=true").json() == tables
        # And it keeps working: it may execute the next run.
        following = execute(client, "groups")
        wait_for(lambda: is_over(client, "groups", following))
        assert run_of(client, "groups", following)["status"] == "completed"


def test_killing_a_worker_costs_the_run_no_attempt(data: Path, tmp_path: Path) -> None:
    # Each process waits in its first run, so there is time to kill its worker.
    with ServerProcess(data, SHOAL_FAILPOINTS="run.loaded=sleep:2") as server, server.client() as client:
        upload(client, 2_000, tmp_path)
        make_cluster(client, "groups", "hdbscan")
        run_id = execute(client, "groups")
        for _ in range(2):
            wait_for(lambda: run_of(client, "groups", run_id)["status"] == "processing")
            begun = len(run_of(client, "groups", run_id)["history"])
            (worker,) = worker_processes(server.pid)
            children = worker.children()
            worker.kill()
            wait_for(lambda gone=children: not any(child.is_running() for child in gone))  # type: ignore[misc]
            wait_for(lambda begun=begun: len(run_of(client, "groups", run_id)["history"]) > begun)  # type: ignore[misc]
        wait_for(lambda: is_over(client, "groups", run_id))

        run = run_of(client, "groups", run_id)
        assert (run["status"], run["attempts"]) == ("completed", 1)
        assert len({change["worker"] for change in run["history"][1:]}) == 3


def test_several_workers_on_one_folder_execute_each_run_once(data: Path, tmp_path: Path) -> None:
    with ExitStack() as opened:
        server = opened.enter_context(ServerProcess(data, workers=0))
        client = opened.enter_context(server.client())
        upload(client, 200, tmp_path)
        names = [f"groups{number}" for number in range(4)]
        for name in names:
            make_cluster(client, name, "kmeans")
        for _ in range(3):
            opened.enter_context(worker(data))
        runs = [(name, execute(client, name)) for name in names]
        for name, run_id in runs:
            wait_for(lambda name=name, run_id=run_id: is_over(client, name, run_id))  # type: ignore[misc]

        ended = [run_of(client, name, run_id) for name, run_id in runs]
        assert {(run["status"], run["attempts"], len(run["history"])) for run in ended} == {("completed", 1, 3)}


@pytest.fixture(scope="module")
def unlimited(tmp_path_factory: pytest.TempPathFactory, processes: None) -> Iterator[ServerProcess]:
    """A server without workers, 4,000 documents and a cluster of them. The limits are set on the workers, because the
    server would immediately reject a run that exceeds its own."""
    folder = tmp_path_factory.mktemp("unlimited")
    with ServerProcess(folder / "data", workers=0) as server, server.client() as client:
        upload(client, 4_000, folder)
        make_cluster(client, "groups", "agglomerative")
        yield server


@pytest.mark.parametrize("limit", [1, 40, 90, 3000])
def test_a_run_that_needs_too_much_memory_fails_without_affecting_others_and_reports_it(
    unlimited: ServerProcess, limit: int
) -> None:
    with (
        unlimited.client() as client,
        worker(unlimited.data, SHOAL_RUN_MEMORY_MIB=str(limit)) as limited,
    ):
        run_id = execute(client, "groups")
        wait_for(lambda: is_over(client, "groups", run_id))

        run, cluster = run_of(client, "groups", run_id), client.get("/clusters/groups").json()
        assert limited.is_running()
        assert client.get("/clusters/groups").status_code == 200
    if limit == 3000:
        assert run["status"] == "completed"
        return
    assert run["status"] == "failed"
    # Third-party libraries may end the process instead of reporting a lack of memory: then it is tried three times.
    if "tried" in run["error_message"]:
        assert (run["attempts"], cluster["failure_category"]) == (3, "infrastructure")
    else:
        assert run["error_message"].startswith(f"The run needs more memory than the limit of {limit} MiB. Set a sample")
        assert (run["attempts"], cluster["failure_category"]) == (1, "pipeline")


def test_a_run_that_takes_too_long_is_stopped_and_reports_it(data: Path, tmp_path: Path) -> None:
    # The server would reject a run estimated to take longer, so only the worker has the limit, and the work is real.
    with ServerProcess(data, workers=0) as server, server.client() as client:
        upload(client, 60_000, tmp_path)
        make_cluster(client, "groups", "hdbscan")
        run_id = execute(client, "groups")
        with worker(data, SHOAL_RUN_SECONDS="1"):
            wait_for(lambda: is_over(client, "groups", run_id))

        run, cluster = run_of(client, "groups", run_id), client.get("/clusters/groups").json()
        assert run["status"] == "failed"
        assert run["error_message"].startswith("The run took longer than the limit of 1 s. Set a sample_size")
        assert (run["attempts"] <= 1, cluster["failure_category"]) == (True, "timeout")
