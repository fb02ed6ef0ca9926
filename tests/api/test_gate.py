"""The admission gate in front of the handlers."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from shoal.api.guards.limits import BodyLimit
from shoal.api.guards.overload import Admission, Gate
from shoal.errors import Overloaded
from shoal.records.key import Caller
from shoal.settings import Settings


def test_waiting_requests_are_admitted_in_order_of_arrival() -> None:
    async def story() -> list[int]:
        gate, order = Gate(2, 10), list[int]()

        async def work(n: int) -> None:
            await gate.enter(f"org{n}")
            order.append(n)

        await asyncio.gather(work(0), work(1))
        later = [asyncio.ensure_future(work(n)) for n in range(2, 6)]
        await asyncio.sleep(0)
        for n in range(6):
            gate.leave(f"org{n}")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.gather(*later)
        return order

    assert asyncio.run(story()) == [0, 1, 2, 3, 4, 5]


def test_a_full_queue_rejects_requests_at_once() -> None:
    async def story() -> None:
        gate = Gate(1, 1)
        await gate.enter("a")
        waiting = asyncio.ensure_future(gate.enter("b"))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as refusal:
            await gate.enter("c")
        assert refusal.value.details == {"retryable": True, "retry_after_seconds": 1}
        gate.leave("a")
        await waiting

    asyncio.run(story())


def test_waiting_times_out() -> None:
    async def story() -> None:
        gate = Gate(1, 1, timeout_s=0.01)
        await gate.enter("a")
        with pytest.raises(Overloaded):
            await gate.enter("b")
        gate.leave("a")
        await gate.enter("c")

    asyncio.run(story())


def test_one_organisation_never_blocks_the_others() -> None:
    async def story() -> None:
        gate = Gate(8, 8)
        hers = [asyncio.ensure_future(gate.enter("greedy")) for _ in range(12)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sum(one.done() for one in hers) == 6
        with pytest.raises(Overloaded):
            await gate.enter("greedy")

        await asyncio.gather(gate.enter("modest"), gate.enter("modest"))

        gate.leave("modest")
        await asyncio.sleep(0)
        assert sum(one.done() for one in hers) == 6
        for one in hers:
            one.cancel()

    asyncio.run(story())


def test_a_request_for_two_permits_is_not_starved_by_requests_for_one() -> None:
    async def story() -> None:
        gate = Gate(4, 16)
        for _ in range(3):
            await gate.enter("many")
        two = asyncio.ensure_future(gate.enter("other", 2))
        more = [asyncio.ensure_future(gate.enter("many")) for _ in range(3)]
        await asyncio.sleep(0)
        gate.leave("many")
        await two
        assert not any(one.done() for one in more)
        gate.leave("other", 2)
        await more[0]
        for one in more:
            one.cancel()

    asyncio.run(story())


@pytest.mark.parametrize("seed", range(20))
def test_no_permit_is_lost_or_granted_twice(seed: int) -> None:
    chance = random.Random(seed)
    inside: Counter[str] = Counter()

    async def visit(gate: Gate, organization: str) -> None:
        places = chance.choice([1, 1, 2])
        try:
            await gate.enter(organization, places)
        except Overloaded:
            return
        inside[organization] += places
        assert inside.total() <= 4 and inside[organization] <= 3
        try:
            await asyncio.sleep(chance.random() / 500)
        finally:
            inside[organization] -= places
            gate.leave(organization, places)

    async def story() -> None:
        gate = Gate(4, 16, timeout_s=0.003)
        visits = []
        for _ in range(300):
            visits.append(asyncio.ensure_future(visit(gate, chance.choice("abc"))))
            if chance.random() < 0.2:
                chance.choice(visits).cancel()
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random() / 500)
        ends = await asyncio.gather(*visits, return_exceptions=True)
        assert {type(end) for end in ends} <= {type(None), asyncio.CancelledError}
        assert inside.total() == 0
        await asyncio.gather(*(gate.enter(one) for one in "abca"))  # every permit is free again

    asyncio.run(story())


def test_a_slow_reader_holds_neither_a_permit_nor_memory(tmp_path: Path) -> None:
    """The handler is finished when the response begins; here each client stops reading after the headers."""
    settings = Settings(data=tmp_path, max_requests=1, max_body_mib=1, max_bodies_mib=1)
    body = b" " * 2**20
    caller = Caller("org_a", "key_a", "a", "a@example.com", frozenset({"read"}), None)
    request_scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/clusters/list",
        "headers": [(b"content-length", str(len(body)).encode())],
    }

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == body
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.Event().wait()

    async def story() -> list[int]:
        app = BodyLimit(Admission(endless, settings), settings)
        statuses: list[int] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        clients = []
        for _ in range(5):
            clients.append(asyncio.ensure_future(app({**request_scope, "state": {"caller": caller}}, receive, send)))
            # A thread assembles the body, so this takes more than a few iterations of the event loop.
            async with asyncio.timeout(5):
                while len(statuses) < len(clients):
                    await asyncio.sleep(0.001)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        return statuses

    assert asyncio.run(story()) == [200] * 5
