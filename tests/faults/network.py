"""D7: keyed requests through a network that resets, drops, truncates and stalls. None may be lost or executed twice.

Each request creates a document whose id the server chooses, so a request executed twice leaves two. The
client repeats it with the same Idempotency-Key until it has read a complete answer.
"""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import httpx

from faults.disk import quick_folder
from faults.proxy import Proxy, draw_faults
from faults.victim import Victim, victim
from faults.workload import DIMENSION

__all__ = ["Delivery", "deliver"]

_TRIES: Final = 40
_TIMEOUT_SECONDS: Final = 0.5
_CLIENTS: Final = 8


@dataclass(slots=True)
class Delivery:
    """Outcome of the requests."""

    requests: int = 0
    attempts: int = 0
    faults: int = 0
    lost: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    never_answered: list[int] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Answers that were neither a success nor a request to retry."""
    modes: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.never_answered or self.refused)


def deliver(requests: int, seed: int, *, share: float = 0.3) -> Delivery:
    """Send that many requests from several clients; at each try a fault hits at least `share` of them."""
    delivery = Delivery(requests=requests)
    with quick_folder() as folder, victim(folder, workers=0, prepared=False, SHOAL_RATE_LIMIT="0") as server:
        with server.client() as client:
            source = {"type": "direct_upsert"}
            client.post("/collections", json={"collection_name": "kept", "source": source}).raise_for_status()
        port = urlsplit(server.url).port or 0
        with Proxy(port, draw_faults(seed, share)) as proxy:
            guard, numbers = threading.Lock(), iter(range(requests))
            threads = [
                threading.Thread(target=_client, args=(server, proxy, numbers, guard, delivery, seed))
                for _ in range(_CLIENTS)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            delivery.faults = proxy.faults
            delivery.modes.update(proxy.counts)
        _count_executions(server, delivery)
    return delivery


def _client(
    server: Victim, proxy: Proxy, numbers: Iterator[int], guard: threading.Lock, delivery: Delivery, seed: int
) -> None:
    headers = {"Authorization": f"Bearer {server.key}", "X-Namespace": "default", "Connection": "close"}
    base = f"http://127.0.0.1:{proxy.port}/v1"
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=base, headers=headers, timeout=_TIMEOUT_SECONDS, limits=limits) as client:
        while True:
            with guard:
                number = next(numbers, None)
            if number is None:
                return
            _send_until_answered(client, number, guard, delivery, seed)


def _send_until_answered(
    client: httpx.Client, number: int, guard: threading.Lock, delivery: Delivery, seed: int
) -> None:
    body = {"request": number, "vectors": {"v": [1.0] * DIMENSION}}
    headers = {"Idempotency-Key": f"{seed}-{number}"}
    wait = threading.Event()
    for attempt in range(_TRIES):
        with guard:
            delivery.attempts += 1
        try:
            reply = client.post("/collections/kept/documents", json=body, headers=headers)
        except httpx.TransportError:
            wait.wait(random.Random(number + attempt).uniform(0.0, 0.02))
            continue
        if reply.is_success:
            return
        # The first try may still be in progress, or the server is busy: both answers say when to retry.
        if reply.status_code in (409, 429, 503) and "retry-after" in reply.headers:
            wait.wait(0.05)
            continue
        with guard:
            delivery.refused[f"{reply.status_code} {reply.text[:120]}"] += 1
        return
    with guard:
        delivery.never_answered.append(number)


def _count_executions(server: Victim, delivery: Delivery) -> None:
    """Count how often each request was executed, bypassing the proxy."""
    stored: Counter[int] = Counter()
    body: dict[str, object] = {"limit": 1000, "select": ["request"]}
    with server.client() as client:
        while True:
            page = client.post("/collections/kept/documents/list", json=body).raise_for_status().json()
            stored.update(document["request"] for document in page["results"])
            body["cursor"] = page["pagination"]["next_cursor"]
            if body["cursor"] is None:
                break
    delivery.doubled = sorted(number for number, times in stored.items() if times > 1)
    delivery.lost = sorted(set(range(delivery.requests)) - set(stored) - set(delivery.never_answered))
