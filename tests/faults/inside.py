"""Code of a forked victim: all of Shoal in one process, the API without a socket, runs executed inline.

The same code as behind `shoal serve`, except that a crash takes everything down at once. Called through `Zygote.fork`,
so all arguments are JSON.
"""

import asyncio
import hashlib
import importlib
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

import shoal.engine.algorithms  # noqa: F401  # loaded before the fork
from faults import io_faults
from faults.invariants import Violated, check_all, check_canary, check_files, check_repetitions, check_settled
from faults.ledger import Ledger
from faults.workload import Operations, Tenants
from shoal import failpoints
from shoal.api.app import _ROUTES, create_app
from shoal.assemble import Services, assemble, utc_now
from shoal.cli.processes.worker import _RunOutcomes
from shoal.errors import ShoalError
from shoal.jobs.child import Progress
from shoal.jobs.liveness import is_alive, process_name
from shoal.jobs.worker import Worker
from shoal.runs.states import QUEUE
from shoal.settings import Settings
from shoal.storage.protocols.queue import Job

__all__ = [
    "SCRIPT",
    "Installation",
    "act",
    "examine",
    "inline_worker",
    "prepare",
    "recover",
    "snapshot",
    "warm_up",
    "zombie",
]

Json = dict[str, Any]
SCRIPT: Final[tuple[tuple[str, int], ...]] = (
    ("ingest", 0), ("ingest", 1), ("edit", 0), ("delete", 0), ("plain", 0), ("ingest", 2), ("rich", 0), ("edit", 1),
    ("ingest", 3), ("again", 0), ("plain", 1), ("edit", 0), ("rich", 1), ("delete", 1), ("ingest", 4),
    ("scratch", 0), ("scratch_run", 0), ("drop_cluster", 0), ("drop_collection", 0), ("drop_namespace", 0),
    ("scratch", 1), ("scratch_run", 1), ("drop_cluster", 1), ("drop_collection", 1), ("drop_namespace", 1),
)  # fmt: skip
"""Every kind of operation at least twice, so every failpoint has a first, a second and a last pass."""


class Installation:
    """A data folder opened by this process: its services and a client of its API."""

    def __init__(self, data: Path, key: str, services: Services | None = None) -> None:
        # Checkpoint every stage, however short, and remove superseded output at once.
        settings = Settings(data=data, threads=1, checkpoint_seconds=0.0, output_grace_seconds=0.0)
        self.services = services or assemble(settings)
        self._transport = _Inline(self.services)
        headers = {"Authorization": f"Bearer {key}", "X-Namespace": "default"}
        self.client = httpx.Client(base_url="http://shoal/v1", headers=headers, transport=self._transport)

    def work(self) -> None:
        """Execute all queued runs."""
        worker = inline_worker(self.services)
        while worker.run_one():
            pass

    def close(self) -> None:
        self.client.close()
        self.services.close()


@contextmanager
def installation(data: Path, key: str) -> Iterator[Installation]:
    here = Installation(data, key)
    try:
        yield here
    finally:
        here.close()


class _FinishedRun:
    """A run that finished when it was started."""

    progress = Progress()

    def __init__(self, code: int) -> None:
        self._code = code

    def poll(self) -> int:
        return self._code

    def wait(self, seconds: float) -> None:
        """Return at once: the run is over."""

    def kill(self) -> None:
        """Do nothing: the run is over."""


class _InlineRuns:
    """Executes runs where they are started; an error that would end a run's process becomes its exit code."""

    def __init__(self, services: Services, at_publish: Callable[[], None]) -> None:
        self._services, self._at_publish = services, at_publish

    def start(self, job: Job) -> _FinishedRun:
        try:
            self._services.runner.run(job, lambda stage, _fraction: self._at_publish() if stage == "publish" else None)
        except Exception:  # noqa: BLE001  # any error would have ended the run's own process
            traceback.print_exc()
            return _FinishedRun(1)
        return _FinishedRun(0)

    def prepare(self) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        """Nothing to release."""


def inline_worker(services: Services, at_publish: Callable[[], None] = lambda: None) -> Worker:
    """Build a worker that runs in this process. It holds no lock, so others consider it dead and may take its run."""
    folder = services.settings.data / "workers"
    return Worker(
        services.metadata,
        _RunOutcomes(services),
        _InlineRuns(services, at_publish),
        name=process_name(),
        queue_name=QUEUE,
        lease=timedelta(seconds=services.settings.lease_seconds),
        is_alive=lambda name: is_alive(folder, name),
        now=utc_now,
    )


class _Inline(httpx.BaseTransport):
    """Calls the application on an event loop of its own."""

    def __init__(self, services: Services) -> None:
        self._loop = asyncio.new_event_loop()
        self._app = httpx.ASGITransport(create_app(services), raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        sent = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        return self._loop.run_until_complete(self._answer(sent))

    async def _answer(self, sent: httpx.Request) -> httpx.Response:
        reply = await self._app.handle_async_request(sent)
        return httpx.Response(reply.status_code, headers=reply.headers, content=await reply.aread(), request=sent)

    def close(self) -> None:
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


# ── functions called in a fork ───────────────────────────────────────────────────────────────────────────────────────


def act(
    data: str, ledger: str, key: str, *, arm: str = "", fail: Json | None = None, record: str | None = None,
    report: str | None = None, script: Sequence[Sequence[Any]] = SCRIPT, die_after: float = 0.0,
) -> None:  # fmt: skip
    """Follow the script with armed failpoints, failing calls, or a record of all calls. Unless `die_after` is 0, the
    process is killed that many seconds after the start. Writes passes of failpoints, failable calls and the duration
    to the file `report`."""
    arm_failpoints(arm)
    book = Ledger(Path(ledger))
    if record is not None:
        io_faults.record(Path(data), Path(record))
    if fail is not None:
        io_faults.fail(Path(data), **fail)
    with installation(Path(data), key) as here:
        began = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, die_after)  # its signal is not handled
        follow(here, book, script, marked=record is not None)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        spent = time.monotonic() - began
        if report is not None:
            passed = {name: fault.passed for name, fault in failpoints._faults.items()}
            call_count = io_faults.count_calls() if fail is not None else 0
            Path(report).write_bytes(orjson.dumps({"passed": passed, "calls": call_count, "seconds": spent}))
    book.close()


def follow(here: Installation, book: Ledger, script: Sequence[Sequence[Any]], *, marked: bool) -> None:
    """Follow the script and execute runs as they are requested. With `marked`, mark answered operations."""
    ops = Operations(here.client, book)
    for kind, number in script:
        is_run = kind in ("plain", "rich")
        entry = ops.execute(kind) if is_run else getattr(ops, kind)(number)
        if marked:
            io_faults.mark(f"op {entry.op}")
        if is_run or kind == "scratch_run":
            here.work()


def recover(data: str, ledger: str, tenants: Json, report: str, *, since: int = 0, keep_working: bool = True) -> None:
    """Open the folder again, finish queued runs, check everything, do one more operation of each kind and check again.
    Writes `{"violated": null or {"name", "problem"}, "runs": {...}}` to the file `report`."""
    arm_failpoints("")
    answer: Json = {"violated": None, "runs": {}}
    who = Tenants(**tenants)
    book = Ledger(Path(ledger))
    try:
        check_files(Path(data), idle=False)  # as the fault left them
        with installation(Path(data), who.key) as here:
            here.work()
            check_canary(here.client, who)
            check_all(here.client, book, since=since)
            check_repetitions(here.client, book, Operations(here.client, book).repeat)
            answer["runs"] = check_settled(here.client, deadline_s=5.0)
            if keep_working:
                _keep_working(here, book)
            here.services.housekeeping.tidy()
        check_files(Path(data), idle=True)
    except Violated as violated:
        answer["violated"] = {"name": violated.name, "problem": violated.problem}
    Path(report).write_bytes(orjson.dumps(answer))
    book.close()


def zombie(data: str, ledger: str, key: str, report: str) -> None:
    """Let a worker lose its run just before publishing: another worker executes the run, then the first continues.
    Neither the visible results nor the run's record may change any more."""
    answer: Json = {"violated": None}
    book = Ledger(Path(ledger))
    with installation(Path(data), key) as here:
        run_id = Operations(here.client, book).execute("plain").reply["run_id"]
        snapshots: list[Json] = []

        def take_over() -> None:
            if not snapshots:
                snapshots.append({})
                inline_worker(here.services).run_one()
                snapshots.append(snapshot(here.client, run_id))

        inline_worker(here.services, take_over).run_one()
        if len(snapshots) < 2 or snapshots[1]["run"]["status"] != "completed":
            raise RuntimeError(f"The run was not taken over: {snapshots}")
        after = snapshot(here.client, run_id)
        if after != snapshots[1]:
            changed = [name for name in after if after[name] != snapshots[1][name]]
            answer["violated"] = {"name": "I7", "problem": f"a worker that was taken over changed {', '.join(changed)}"}
    Path(report).write_bytes(orjson.dumps(answer))
    book.close()


def examine(data: str, key: str, report: str) -> None:
    """Send every read request and write a digest of each answer, or its error code, to `report`."""
    answers: Json = {}
    try:
        with installation(Path(data), key) as here:
            for name, (method, path, body) in _questions(here.client).items():
                reply = here.client.request(method, path, json=body)
                answers[name] = _digest(reply)
    except ShoalError as error:
        answers["start"] = {"error": type(error).__name__}
    Path(report).write_bytes(orjson.dumps(answers))


def _questions(client: httpx.Client) -> dict[str, tuple[str, str, Json | None]]:
    every = {"limit": 1000, "return_vectors": True, "include_total": True}
    questions: dict[str, tuple[str, str, Json | None]] = {"clusters": ("GET", "/clusters", None)}
    for name in ("docs", "inbox", "plain_output"):
        where = f"/collections/{name}/documents"
        questions[f"{name} count"] = ("GET", f"{where}/count", None)
        questions[f"{name} list"] = ("POST", f"{where}/list", every)
        questions[f"{name} numbers"] = ("POST", f"{where}/distinct", {"field": "batch"})
    for name in ("plain", "rich"):
        questions[f"{name} runs"] = ("POST", f"/clusters/{name}/executions/list", {"limit": 100})
        questions[f"{name} artifacts"] = ("GET", f"/clusters/{name}/artifacts?include_members=true&limit=100000", None)
        runs = client.post(f"/clusters/{name}/executions/list", json={"limit": 100})
        for number, run in enumerate(runs.json()["results"] if runs.is_success else ()):
            where = f"/clusters/{name}/executions/{run['run_id']}/download"
            for table in ("members", "centroids"):
                questions[f"{name} {number} {table}"] = ("GET", f"{where}?table={table}", None)
    return questions


def _digest(reply: httpx.Response) -> Json:
    if reply.is_success:
        return {"sha256": hashlib.sha256(reply.content).hexdigest()}
    return {"error": reply.json()["error"]["code"]}


def snapshot(client: httpx.Client, run_id: str) -> Json:
    """Return everything that the API shows of a run."""
    cluster = client.get("/clusters/plain").json()
    output = cluster["output_collection_ids"][0]
    return {
        "cluster": cluster,
        "run": client.get(f"/clusters/plain/executions/{run_id}").json(),
        "collection": client.get(f"/collections/{output}").json(),
        "documents": client.post(f"/collections/{output}/documents/list", json={"limit": 50}).json()["results"],
    }


def _keep_working(here: Installation, book: Ledger) -> None:
    """Check that the installation works: one more batch, one more run of each cluster."""
    ops, before = Operations(here.client, book), len(book.entries)
    for entry in (ops.ingest(90_000 + before), ops.edit(2), ops.execute("plain"), ops.execute("rich")):
        if entry.fate != "ack":
            raise Violated("I7", f"after the recovery {entry.kind} is answered {entry.reply}")
    here.work()
    check_all(here.client, book, since=before)
    check_settled(here.client, deadline_s=5.0)


def prepare(data: str, ledger: str, tenants: Json, scratch: bool = False) -> None:
    """Create the documents and clusters that the script needs and the other tenant's canary; with `scratch`, also a
    namespace with runs that the script deletes."""
    who = Tenants(**tenants)
    book = Ledger(Path(ledger))
    if scratch:
        with installation(Path(data), who.key) as here:
            Operations(here.client, book).scratch(0)
            Operations(here.client, book).scratch_run(0)
            here.work()
    for key, action in ((who.foreign_key, Operations.plant_canary), (who.key, Operations.prepare)):
        with installation(Path(data), key) as here:
            action(Operations(here.client, book))
    wrong = [entry for entry in book.entries.values() if entry.fate != "ack"]
    if wrong:
        raise RuntimeError(f"The set-up failed: {wrong[0]}")
    book.close()


def warm_up() -> None:
    """Let FastAPI analyse every route before the first fork; otherwise it does so at the first request to each."""
    importlib.import_module("anyio._backends._asyncio")
    for route in _ROUTES:
        route.matches({"type": "http", "path": "/", "method": "GET"})


def arm_failpoints(text: str) -> None:
    """Arm failpoints as SHOAL_FAILPOINTS does at process start; all others only count their passes."""
    failpoints._faults.clear()
    counting = ";".join(f"{name}=sleep:0@1000000000" for name in failpoints.FAILPOINTS)
    failpoints._faults.update(failpoints._parse_faults(counting) | failpoints._parse_faults(text))
