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

__all__ = ["Seen", "flip_under_readers", "watching"]

Json = dict[str, Any]
_PAGE: Final = 500
_PAUSE: Final = 0.02
"""Seconds between two looks: what is watched needs the processor as well."""


@dataclass(slots=True)
class Seen:
    """What the readers saw."""

    reads: int = 0
    runs: set[str] = field(default_factory=set)
    mixed: list[str] = field(default_factory=list)
    other: Counter[str] = field(default_factory=Counter)
    """Answers that were neither results nor a server that is away, by status and code."""


@contextmanager
def watching(server: Victim, readers: int) -> Iterator[Seen]:
    """Read from several threads while the block runs. A server that is away is waited for."""
    seen, stop = Seen(), threading.Event()
    threads = [threading.Thread(target=_watch, args=(server, seen, stop, number)) for number in range(readers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def flip_under_readers(executions: int, readers: int) -> Seen:
    """Execute again and again, with other documents each time, while readers look. Raises Violated if a run hangs."""
    with quick_folder() as folder, victim(folder) as server, server.client() as client:
        ops = Operations(client, server.ledger)
        ops.execute("plain")
        settle(client)
        with watching(server, readers) as seen:
            for number in range(executions):
                ops.delete(number)
                ops.execute("plain")
                settle(client)
        check_settled(client)
    return seen


def _watch(server: Victim, seen: Seen, stop: threading.Event, number: int) -> None:
    looks = itertools.cycle((_artifacts, _pages, _summary, _distinct))
    for _ in range(number):
        next(looks)
    while not stop.is_set():
        try:
            with server.client() as client:
                while not stop.wait(_PAUSE):
                    next(looks)(client, seen)
        except httpx.TransportError:
            stop.wait(0.05)


def _artifacts(client: httpx.Client, seen: Seen) -> None:
    """Centroids and members in one answer."""
    told = _asked(client, seen, "GET", "/clusters/plain/artifacts?include_members=true&limit=100000", None)
    if told is None:
        return
    seen.runs.add(told["run_id"])
    sizes = {centroid["cluster_id"]: centroid["num_members"] for centroid in told["centroids"]}
    counted = Counter(member["cluster_id"] for member in told["members"])
    if told["total_members"] != len(told["members"]) or any(counted[id] != size for id, size in sizes.items()):
        seen.mixed.append(f"artifacts of {told['run_id']}: sizes {sizes}, members {dict(counted)}")


def _pages(client: httpx.Client, seen: Seen) -> None:
    """All pages of one listing of the output collection. A later page may be refused in words, but not be of another
    run."""
    body: Json = {"limit": _PAGE, "include_total": True}
    runs: set[str] = set()
    totals: set[int] = set()
    listed = 0
    while True:
        page = _asked(client, seen, "POST", "/collections/plain_output/documents/list", body)
        if page is None:
            return
        runs |= {document["run_id"] for document in page["results"]}
        totals.add(page["pagination"]["total"])
        listed += len(page["results"])
        if len(runs) > 1 or len(totals) > 1:
            seen.mixed.append(f"pages of one listing show {sorted(runs)} of {sorted(totals)} documents")
            return
        body["cursor"] = page["pagination"]["next_cursor"]
        if body["cursor"] is None:
            break
    if totals != {listed}:
        seen.mixed.append(f"a listing of {sorted(totals)} documents gave {listed}")


def _summary(client: httpx.Client, seen: Seen) -> None:
    """The cluster's own numbers and those of its visible run: they are flipped together."""
    cluster = _asked(client, seen, "GET", "/clusters/plain", None)
    if cluster is None or cluster["current_run_id"] is None:
        return
    run = _asked(client, seen, "GET", f"/clusters/plain/executions/{cluster['current_run_id']}", None)
    if run is not None and run["num_points"] != cluster["num_documents_clustered"]:
        seen.mixed.append(f"{run['run_id']}: {run['num_points']} points, cluster {cluster['num_documents_clustered']}")


def _distinct(client: httpx.Client, seen: Seen) -> None:
    """The runs in the output collection: one."""
    told = _asked(client, seen, "POST", "/collections/plain_output/documents/distinct", {"field": "run_id"})
    if told is not None and len(told["values"]) > 1:
        seen.mixed.append(f"the output collection holds {told['values']}")


def _asked(client: httpx.Client, seen: Seen, method: str, path: str, body: Json | None) -> Json | None:
    reply = client.request(method, path, json=body)
    seen.reads += 1
    if reply.status_code == 200:
        told: Json = reply.json()
        return told
    if not (reply.status_code == 404 and not seen.runs):  # before the first run there is nothing
        seen.other[f"{reply.status_code} {reply.json()['error']['code']}"] += 1
    return None
