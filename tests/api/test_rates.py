"""Requests per minute: limits per key and per organisation, and of wrong keys per address."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_process import ServerProcess
from shoal.api.guards.rates import Buckets, Standing
from shoal.assemble import assemble
from shoal.settings import Settings

pytestmark = pytest.mark.process

WRONG = {"Authorization": "Bearer sk_wrong"}


class Seconds:
    """A clock in seconds that is advanced manually."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_of_one_minute_is_allowed_and_then_requests_at_the_steady_rate() -> None:
    clock = Seconds()
    buckets = Buckets(6, clock)
    for left in range(6, 0, -1):
        assert buckets.standing("a").remaining == left
        buckets.take("a")

    assert buckets.standing("a") == Standing(limit=6, remaining=0, reset_s=60, retry_after_s=10)
    clock.now += 10
    assert buckets.standing("a").remaining == 1
    buckets.take("a")
    assert buckets.standing("a").remaining == 0
    assert buckets.standing("b").remaining == 6
    clock.now += 3600
    assert buckets.standing("a") == Standing(limit=6, remaining=6, reset_s=0, retry_after_s=0)


@given(st.integers(1, 600), st.lists(st.floats(0, 30), min_size=1, max_size=300))
def test_admitted_requests_never_exceed_the_limit_plus_the_refill(limit: int, pauses: list[float]) -> None:
    clock = Seconds()
    buckets = Buckets(limit, clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        standing = buckets.standing("a")
        if standing.remaining:
            buckets.take("a")
            taken += 1
        else:
            clock.now += standing.retry_after_s
            assert buckets.standing("a").remaining >= 1  # the reported wait is sufficient

    assert taken <= limit + (clock.now - 1000) * limit / 60 + 1e-3


def test_buckets_are_bounded_and_the_least_recently_used_are_evicted_first() -> None:
    buckets = Buckets(5, Seconds(), most=100)
    for n in range(1000):
        buckets.take(f"k{n}")

    assert len(buckets) == 100
    assert buckets.standing("k999").remaining == 4
    assert buckets.standing("k0").remaining == 5


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, processes: None) -> Iterator[tuple[ServerProcess, str]]:
    """A server that allows 5 requests per minute and key and 8 per organisation, and a key of another organisation."""
    data = tmp_path_factory.mktemp("limited") / "data"
    services = assemble(Settings(data=data))
    services.keys.bootstrap(data / "key")
    other = services.keys.create_organization("elsewhere").key
    services.close()
    limits = {"SHOAL_RATE_LIMIT_PER_MINUTE": "5", "SHOAL_ORGANIZATION_RATE_LIMIT_PER_MINUTE": "8"}
    with ServerProcess(data, workers=0, **limits) as running:
        yield running, other


def test_the_response_to_a_caller_over_the_limit_says_when_to_retry(limited: tuple[ServerProcess, str]) -> None:
    server, other = limited
    with server.client() as client:
        answers = [client.get("/me") for _ in range(5)]
        refused = client.post("/namespaces", content=b"not even JSON")
        probe = client.get("/health")
    with httpx.Client(base_url=f"{server.url}/v1", headers={"Authorization": f"Bearer {other}"}) as stranger:
        theirs = stranger.get("/me")

    assert [answer.status_code for answer in answers] == [200] * 5
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["4", "3", "2", "1", "0"]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"5"}
    assert {answer.headers["x-ratelimit-window"] for answer in answers} == {"60"}
    assert 0 < int(answers[0].headers["x-ratelimit-reset"]) <= 12
    error = refused.json()["error"]
    wait = int(refused.headers["retry-after"])
    assert (refused.status_code, error["type"], error["code"]) == (429, "TooManyRequestsError", "rate_limited")
    assert 1 <= wait <= 12
    assert error["details"] == {
        "limit": 5, "window": 60, "retry_after": wait, "retry_after_seconds": wait, "retryable": True,
    }  # fmt: skip
    assert probe.status_code == 200 and "x-ratelimit-limit" not in probe.headers
    assert theirs.status_code == 200


def test_keys_of_an_organisation_share_its_limit(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", workers=0, SHOAL_ORGANIZATION_RATE_LIMIT_PER_MINUTE="4") as server:
        with server.client() as client:
            path = "/organizations/users/a@example.com/api-keys"
            second = client.post(path, json={"name": "second"}).json()["key"]
            client.get("/me")
        with httpx.Client(base_url=f"{server.url}/v1", headers={"Authorization": f"Bearer {second}"}) as other:
            answers = [other.get("/me") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert "This organisation" in answers[-1].json()["error"]["message"]


def test_wrong_keys_from_one_address_are_throttled_but_probes_are_not(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", workers=0, SHOAL_FAILED_LOGINS_PER_MINUTE="3") as server:
        elsewhere = {"X-Forwarded-For": "192.0.2.7"}  # any client can send that header
        with server.client() as client:
            right = [client.get("/me").status_code for _ in range(5)]
            wrong = [client.get("/me", headers=WRONG).status_code for _ in range(5)]
            refused = client.get("/me")
            assert client.get("/livez").status_code == 200
            assert client.get("/me", headers=elsewhere).status_code == 429

    assert right == [200] * 5
    assert wrong == [401, 401, 401, 429, 429]
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
    assert "wrong key" in refused.json()["error"]["message"]


def test_behind_a_trusted_proxy_wrong_keys_are_counted_per_client(tmp_path: Path) -> None:
    limits = {"SHOAL_FAILED_LOGINS_PER_MINUTE": "3", "SHOAL_TRUSTED_PROXIES": "127.0.0.1"}
    with ServerProcess(tmp_path / "data", workers=0, **limits) as server, server.client() as client:
        for _ in range(4):
            refused = client.get("/me", headers=WRONG | {"X-Forwarded-For": "192.0.2.7"})
        others = client.get("/me", headers={"X-Forwarded-For": "192.0.2.7, 192.0.2.8"})

    assert refused.status_code == 429
    assert others.status_code == 200


def test_without_limits_no_rate_limit_headers_are_sent(client: httpx.Client) -> None:
    assert not [name for name in client.get("/me").headers if name.startswith("x-ratelimit")]
