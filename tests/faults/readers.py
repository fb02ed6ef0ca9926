"""I6: readers that look all the time, while others write, execute and kill. None may ever see a mixture of two runs."""

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from faults.disk import quick_folder
from faults.invariants import check_settled, settle
from faults.victim import Victim, victim
from faults.workload import Operations

__all__ = ["Observations", "flip_under_readers", "watching"]

Json = dict[str, Any]
_PAGE: Final = 500
_PAUSE: Final = 0.02
"""Seconds between two reads, which leave processor time to the server."""


@dataclass(slots=True)
class Observations:
    """What the readers observed."""

    reads: int = 0
    runs: set[str] = field(default_factory=set)
    mixed: list[str] = field(default_factory=list)
    other: Counter[str] = field(default_factory=Counter)
    """Answers that were neither results nor connection failures, by status and code."""


@contextmanager
def watching(server: Victim, readers: int) -> Iterator[Observations]:
    """Read from several threads while the block runs, retrying while the server is down."""
    observations, stop = Observations(), threading.Event()
    threads = [threading.Thread(target=_watch, args=(server, observations, stop, number)) for number in range(readers)]
    for thread in threads:
        thread.start()
    try:
        yield observations
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def flip_under_readers(executions: int, readers: int) -> Observations:
    """Execute repeatedly, with different documents each time, while readers read. Raises Violated if a run hangs."""
    with quick_folder() as folder, victim(folder) as server, server.client() as client:
        ops = Operations(client, server.ledger)
        ops.execute("plain")
        settle(client)
        with watching(server, readers) as observations:
            for number in range(executions):
                ops.delete(number)
                ops.execute("plain")
                settle(client)
        check_settled(client)
    return observations


def _watch(server: Victim, observations: Observations, stop: threading.Event, number: int) -> None:
    reads = itertools.cycle((_artifacts, _pages, _summary, _distinct))
    for _ in range(number):
        next(reads)
    while not stop.is_set():
        try:
            with server.client() as client:
                while not stop.wait(_PAUSE):
                    next(reads)(client, observations)
        except httpx.TransportError:
            stop.wait(0.05)


def _artifacts(client: httpx.Client, observations: Observations) -> None:
    """Check centroids against members in one answer."""
    body = _request(client, observations, "GET", "/clusters/plain/artifacts?include_members=true&limit=100000", None)
    if body is None:
        return
    observations.runs.add(body["run_id"])
    sizes = {centroid["cluster_id"]: centroid["num_members"] for centroid in body["centroids"]}
    counted = Counter(member["cluster_id"] for member in body["members"])
    if body["total_members"] != len(body["members"]) or any(counted[id] != size for id, size in sizes.items()):
        observations.mixed.append(f"artifacts of {body['run_id']}: sizes {sizes}, members {dict(counted)}")


def _pages(client: httpx.Client, observations: Observations) -> None:
    """Check all pages of one listing of the output: a later page may be refused, but not show another run."""
    body: Json = {"limit": _PAGE, "include_total": True}
    runs: set[str] = set()
    totals: set[int] = set()
    listed = 0
    while True:
        page = _request(client, observations, "POST", "/collections/plain_output/documents/list", body)
        if page is None:
            return
        runs |= {document["run_id"] for document in page["results"]}
        totals.add(page["pagination"]["total"])
        listed += len(page["results"])
        if len(runs) > 1 or len(totals) > 1:
            observations.mixed.append(f"pages of one listing show {sorted(runs)} of {sorted(totals)} documents")
            return
        body["cursor"] = page["pagination"]["next_cursor"]
        if body["cursor"] is None:
            break
    if totals != {listed}:
        observations.mixed.append(f"a listing of {sorted(totals)} documents gave {listed}")


def _summary(client: httpx.Client, observations: Observations) -> None:
    """Check the cluster's counts against those of its visible run: both change together."""
    cluster = _request(client, observations, "GET", "/clusters/plain", None)
    if cluster is None or cluster["current_run_id"] is None:
        return
    run = _request(client, observations, "GET", f"/clusters/plain/executions/{cluster['current_run_id']}", None)
    if run is not None and run["num_points"] != cluster["num_documents_clustered"]:
        observations.mixed.append(
            f"{run['run_id']}: {run['num_points']} points, cluster {cluster['num_documents_clustered']}"
        )


def _distinct(client: httpx.Client, observations: Observations) -> None:
    """Check that the output collection holds one run."""
    body = _request(client, observations, "POST", "/collections/plain_output/documents/distinct", {"field": "run_id"})
    if body is not None and len(body["values"]) > 1:
        observations.mixed.append(f"the output collection holds {body['values']}")


def _request(
    client: httpx.Client, observations: Observations, method: str, path: str, body: Json | None
) -> Json | None:
    reply = client.request(method, path, json=body)
    observations.reads += 1
    if reply.status_code == 200:
        answer: Json = reply.json()
        return answer
    if not (reply.status_code == 404 and not observations.runs):  # before the first run there is nothing
        observations.other[f"{reply.status_code} {reply.json()['error']['code']}"] += 1
    return None
