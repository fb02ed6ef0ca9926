"""That nothing was left out. Runs last, in the process that ran the whole suite."""

import os
from typing import Final

import pytest

from sdk.calls import Route, official_routes
from sdk.suite import Suite

_FILE: Final = "test_every_route.py"
SHOALS_OWN: Final = {
    Route("POST", "/v1/clusters/{}/plan"): "what a run would cost; an addition of ours",
    Route("GET", "/v1/livez"): "a probe; the SDK asks /health/liveness",
    Route("GET", "/v1/organizations/audit"): "who did what: the audit log is our own",
    Route("GET", "/v1/readyz"): "a probe; the SDK asks /health",
    Route("GET", "/v1/clusters/{}/executions/{}/download"): "the file whose address the export answers with",
    Route("POST", "/v1/collections/{}/documents/import"): "takes Arrow, Parquet and JSON lines; the SDK sends JSON",
}
"""Routes that no client of the SDK can call."""


@pytest.fixture
def whole(suite: Suite) -> Suite:
    """The suite, after all its other tests ran in this process."""
    others = {test for test in suite.collected if test[0] != _FILE}
    if suite.whole and others <= suite.ran:
        return suite
    if suite.whole and "PYTEST_XDIST_WORKER" in os.environ:
        pytest.fail("the suite was split over processes, so calls were counted apart: see tests/conftest.py")
    pytest.skip("only a part of the suite ran")


def test_routes_are_read_from_the_sdk() -> None:
    routes = official_routes()
    assert len(routes) > 500
    assert {Route("GET", "/v1/clusters/{}"), Route("POST", "/v1/namespaces/{}/documents/upsert")} <= routes


def test_every_route_the_sdk_has_a_method_for_was_called(whole: Suite) -> None:
    routes = official_routes()
    assert sorted(map(str, (whole.served & routes) - whole.find_called_routes())) == []
    assert routes.isdisjoint(SHOALS_OWN)


def test_every_other_route_was_called_or_has_a_reason_not_to_be(whole: Suite) -> None:
    assert sorted(map(str, whole.served - whole.find_called_routes())) == sorted(map(str, SHOALS_OWN))
