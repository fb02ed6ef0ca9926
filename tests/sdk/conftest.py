"""One real server process for the whole suite, and both clients of the official SDK on it."""

from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from mixpeek.models.byo_upsert_request import BYOUpsertRequest
from mixpeek.models.collection_response import CollectionResponse
from mixpeek.models.create_collection_request import CreateCollectionRequest

from sdk.calls import routes_of
from sdk.official import Official, request
from sdk.suite import Suite
from sdk.topics import WIDTH, Documents, Fill, three_topics
from server_process import ServerProcess

_HERE: Final = Path(__file__).parent
_LAST: Final = _HERE / "test_every_route.py"

# ── what ran ─────────────────────────────────────────────────────────────────────────────────────────────────────────


_SUITE = pytest.StashKey[Suite]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_SUITE] = Suite()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the test that compares routes to the end."""
    own = [item for item in items if item.path.parent == _HERE]
    suite = config.stash[_SUITE]
    suite.collected = {(item.path.name, item.name) for item in own}
    suite.whole = {item.path for item in own} == set(_HERE.glob("test_*.py"))
    items.sort(key=lambda item: item.path == _LAST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.path.parent == _HERE:
        suite = item.config.stash[_SUITE]
        suite.ran.add((item.path.name, item.name))
        if report.failed:
            suite.failed.add((item.path.name, item.name))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    suite = session.config.stash[_SUITE]
    if suite.calls.total() and hasattr(session.config, "workeroutput"):
        session.config.workeroutput.setdefault("summary_lines", []).append(suite.summary())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[_SUITE].calls.total():
        terminalreporter.write_line(config.stash[_SUITE].summary())


# ── the server and the clients ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def suite(request: pytest.FixtureRequest) -> Suite:
    return request.config.stash[_SUITE]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, suite: Suite, processes: None) -> Iterator[ServerProcess]:
    """A server with its worker, on an empty folder."""
    with ServerProcess(tmp_path_factory.mktemp("official") / "data") as running:
        described = httpx.get(f"{running.url}/v1/openapi.json", timeout=30.0)
        suite.served = routes_of(described.json())
        yield running


@pytest.fixture(scope="session")
def connect(server: ServerProcess, suite: Suite) -> Iterator[Callable[..., Official]]:
    """Return a function that opens both clients with a key (by default the server's own) and a namespace."""
    clients: list[Official] = []

    def open_clients(namespace: str | None = None, key: str | None = None) -> Official:
        clients.append(Official(server.url, key or server.key, namespace, suite.calls))
        return clients[-1]

    yield open_clients
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def official(connect: Callable[..., Official]) -> Official:
    """Both clients on a namespace for custom vectors: `text` with 8 dimensions."""
    name = "official"
    connect().high.namespaces.create(name=name, vector_configs=[{"name": "text", "dimension": WIDTH}])
    return connect(name)


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def fill(official: Official) -> Fill:
    """Return a function that creates a collection with documents (by default the three topics)."""
    numbers = count()

    def create_filled(documents: Documents | None = None, **fields: Any) -> CollectionResponse:
        name = f"filled_{next(numbers)}"
        source = {"type": "direct_upsert"}
        collection = official.collections.create_collection(
            request(CreateCollectionRequest, **{"collection_name": name, "source": source, **fields})
        )
        put = three_topics() if documents is None else documents
        if put:
            answer = official.byo.upsert_documents_byo_namespaces(
                official.namespace, request(BYOUpsertRequest, collection_id=collection.collection_id, documents=put)
            )
            assert answer.inserted == len(put)
        return collection

    return create_filled


@pytest.fixture(scope="session")
def topics(fill: Fill) -> CollectionResponse:
    """The three topics, for tests that only read."""
    return fill()
