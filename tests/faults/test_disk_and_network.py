"""D4, D6 and D7 in short form: a full disk, damaged files, a failing network; and the harness for them."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from faults import corruption
from faults.disk import NoDisk, quick_folder
from faults.disk_sizes import FillResult, fill
from faults.ledger import Ledger
from faults.network import deliver
from faults.proxy import FAULTS, PASS, Fault, Proxy, draw_faults
from faults.report import Row, load, save, write_table
from faults.template import Template

pytestmark = pytest.mark.process


def test_a_full_disk_refuses_writes_with_an_error_and_recovers_by_itself() -> None:
    result = FillResult()
    try:
        fill(14, result)
    except NoDisk as reason:
        pytest.skip(str(reason))

    assert result.violations == []
    assert result.statuses, "the disk was never full"
    assert not result.statuses[500]


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def template(processes: None) -> Iterator[Template]:
    with quick_folder() as folder, Template(folder) as prepared:
        yield prepared


def test_damaged_artifacts_are_reported_and_never_served(template: Template) -> None:
    damage = corruption.corrupt(template, 16, 1, ["artifact", "manifest"])

    assert (damage.silent, damage.crashes, damage.unclear) == ([], [], [])
    assert sum(verdicts["error"] for verdicts in damage.verdicts.values()) > 8


def test_damaged_vectors_and_documents_are_reported_and_never_served(template: Template) -> None:
    damage = corruption.corrupt(template, 12, 1, ["vectors", "payloads"])

    assert (damage.silent, damage.crashes, damage.unclear) == ([], [], [])


def test_a_damaged_write_ahead_log_is_reported_and_never_taken_for_a_shorter_one(template: Template) -> None:
    damage = corruption.corrupt(template, 10, 1, ["wal", "commits"])

    assert (damage.silent, damage.crashes, damage.unclear) == ([], [], [])
    assert damage.verdicts["wal"]["error"] > 3
    assert damage.verdicts["commits"]["same"] + damage.verdicts["commits"]["rebuilt"] == 5


# ── the network ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _EchoHandler(BaseHTTPRequestHandler):
    """Answers every request with its body and records it."""

    bodies: list[bytes]
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # the name that http.server requires
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append(body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing: the test reports failures."""


@pytest.fixture
def upstream() -> Iterator[tuple[int, list[bytes]]]:
    bodies: list[bytes] = []
    handler = type("Handler", (_EchoHandler,), {"bodies": bodies})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], bodies
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("fault", [PASS, *FAULTS], ids=lambda fault: f"{fault.mode}-{fault.amount}")
def test_each_network_fault_does_what_its_name_says(fault: Fault, upstream: tuple[int, list[bytes]]) -> None:
    port, bodies = upstream
    arrives = fault.mode not in ("reset_before", "blackhole", "refuse")
    answered = fault.mode in ("pass", "stall", "slow")
    with Proxy(port, lambda _number: fault) as proxy:
        try:
            reply = httpx.post(f"http://127.0.0.1:{proxy.port}/", content=b"x" * 3000, timeout=10)
        except httpx.TransportError:
            assert not answered
        else:
            assert answered
            assert reply.content == b"x" * 3000

    assert len(bodies) == arrives
    assert proxy.counts == {fault.mode: 1}


def test_the_same_seed_gives_the_same_faults() -> None:
    schedules = [[draw_faults(seed, 0.5)(number) for number in range(200)] for seed in (1, 1, 2)]

    assert schedules[0] == schedules[1] != schedules[2]
    assert 70 < sum(fault != PASS for fault in schedules[0]) < 130


def test_requests_with_a_key_are_executed_once_whatever_the_network_does() -> None:
    result = deliver(200, seed=1)

    assert result.faults > 50
    assert (result.doubled, result.lost, result.never_answered) == ([], [], [])
    assert result.refused == {}


# ── saved results ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    first, second = ledger.intend("ingest", batch=1), ledger.intend("edit", document="d")
    ledger.settle(first, "ack", status=200)
    again = Ledger(tmp_path / "ledger")

    assert again.counts() == {"ack": 1, "refused": 0, "unknown": 0, "open": 1}
    assert again.entries[first].reply == {"status": 200}
    assert again.intend("edit") == second + 1


def test_the_table_is_built_from_the_saved_results(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- faults -->\nold\n<!-- /faults -->\nafter\n")
    save(tmp_path, "kills", [Row("A1", "SIGKILL", 300, 1, "0 lost")])
    save(tmp_path, "flips", [Row("A3", "readers", 9000, None, "mixed", ["one", "two"])])

    assert write_table(page, load(tmp_path, ["flips", "absent", "kills"]))
    assert page.read_text().splitlines()[4:8] == [
        "|---|---|---:|---:|---|",
        "| A3 | readers | 9,000 | – | **2 violations**: mixed |",
        "| A1 | SIGKILL | 300 | 1 | 0 lost |",
        "",
    ]


def test_a_port_is_free_again_when_the_proxy_ends() -> None:
    with Proxy(1) as proxy:
        port = proxy.port
    with pytest.raises(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=1):
        pass
