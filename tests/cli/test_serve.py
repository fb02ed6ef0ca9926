"""`shoal serve` as a process."""

import json
import os
import pty
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from cli.conftest import Command
from server_process import FreshServer, ServerProcess

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, processes: None) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "data", workers=0) as running:
        yield running


def test_answers_on_a_keepalive_connection_are_not_delayed(server: ServerProcess) -> None:
    """With Nagle's algorithm on, the second half of each answer waits 40 ms for the client to acknowledge the first."""
    seconds = []
    with httpx.Client(base_url=server.url) as client:
        for _ in range(40):
            began = time.perf_counter()
            client.get("/livez").raise_for_status()
            seconds.append(time.perf_counter() - began)

    assert statistics.median(seconds) < 0.025


def test_endless_headers_are_refused_before_they_fill_the_memory(server: ServerProcess) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as line:
        line.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
        with pytest.raises(ConnectionError):
            line.sendall(b"".join(f"X-{number}: ".encode() + b"a" * 65_536 + b"\r\n" for number in range(1000)))


def test_the_schema_is_served_without_pages_that_load_external_scripts(server: ServerProcess) -> None:
    with server.client() as client:
        schema = client.get("/openapi.json")
        pages = {path: client.get(path) for path in ("/docs", "/redoc", "/docs/oauth2-redirect")}

    assert schema.status_code == 200
    assert "/v1/clusters" in schema.json()["paths"]
    assert {path: (page.status_code, "html" in page.text) for path, page in pages.items()} == {
        path: (404, False) for path in pages
    }


def test_only_a_second_server_on_a_folder_reports_the_first(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", workers=0) as first, ServerProcess(tmp_path / "data", workers=0) as second:
        assert "another server" not in "".join(first.output)
        assert "another server already uses this data folder" in "".join(second.output)

    with ServerProcess(tmp_path / "data", workers=0) as alone:
        assert "another server" not in "".join(alone.output)


def test_the_first_key_is_shown_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    """Output that is not a terminal ends up in a log."""
    with FreshServer(tmp_path / "piped", workers=0) as piped:
        assert piped.key not in "".join(piped.output)
        assert str(piped.data / "key") in "".join(piped.output)

    terminal, terminal_end = pty.openpty()
    command = [sys.executable, "-m", "shoal.cli.main", "serve", "--port", "0", "--workers", "0", "--data"]
    with subprocess.Popen([*command, str(tmp_path / "seen")], stdout=terminal_end, stderr=terminal_end) as shown:
        output = b""
        while b"Try: curl" not in output:
            output += os.read(terminal, 4096)
        shown.terminate()

    assert (tmp_path / "seen" / "key").read_bytes().strip() in output


def test_a_port_conflict_and_an_unavailable_address_name_their_options(here: Command) -> None:
    assert "--metrics-port: is the port of the API" in here("serve", "--port", 9, "--metrics-port", 9).complaint
    assert "Choose another address with --host" in here("serve", "--host", "192.0.2.1").complaint


def test_a_data_folder_that_is_a_file_is_reported(here: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert "--data: is a file" in here("serve", "--port", 0, "--data", tmp_path / "file").complaint


@pytest.mark.parametrize("command", ["serve --port 0", "worker", "doctor", "keys list", "audit"])
def test_a_backup_is_not_a_data_folder_and_the_error_names_the_command_that_restores_it(
    here: Command, tmp_path: Path, command: str
) -> None:
    backup = tmp_path / "backup"
    (backup / "data").mkdir(parents=True)
    (backup / "shoal-backup.json").write_text("{}")

    refused = here(*command.split(), "--data", backup)

    assert refused.code == 2
    assert "--data: is a backup, not a data folder" in refused.complaint
    assert f"shoal restore {backup} --data NEW_FOLDER" in refused.complaint
    assert sorted(path.name for path in backup.iterdir()) == ["data", "shoal-backup.json"]


@pytest.mark.parametrize("command", [("serve", "--port", 0), ("worker",)])
@pytest.mark.parametrize("variable", ["SHOAL_INSTRUCTIONS", "SHOAL_KERNELS"])
def test_unavailable_kernels_are_rejected_before_the_server_starts(
    shoal: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[object, ...], variable: str
) -> None:
    with ServerProcess(tmp_path / "data"):
        pass
    monkeypatch.setenv(variable, "abacus")

    refused = shoal(*command, "--data", tmp_path / "data")

    assert refused.code == 2 and variable in refused.complaint and "'abacus'" in refused.complaint


def test_serving_a_network_without_tls_prints_a_warning_and_a_working_address(
    tmp_path: Path,
) -> None:
    with ServerProcess(tmp_path / "open", workers=0, SHOAL_HOST="0.0.0.0") as server:
        output = "".join(server.output)
        assert "server.plain_http" in output and "SHOAL_TRUSTED_PROXIES" in output
        assert f"Shoal is serving {server.url}/v1" in output and "http://0.0.0.0" not in output

    behind = {"SHOAL_HOST": "0.0.0.0", "SHOAL_TRUSTED_PROXIES": "10.0.0.0/8"}
    with ServerProcess(tmp_path / "behind", workers=0, **behind) as proxied:
        assert "server.plain_http" not in "".join(proxied.output)


def test_in_json_logs_the_start_is_one_event(tmp_path: Path) -> None:
    settings = {"SHOAL_LOG_FORMAT": "json", "SHOAL_LOG_LEVEL": "info"}
    with FreshServer(tmp_path / "data", workers=0, **settings) as server:
        lines = [json.loads(line) for line in list(server.output)]

    (started,) = [line for line in lines if line["message"] == "server.started"]
    assert started["url"] == f"{server.url}/v1"
    assert (started["data"], started["workers"], started["first_start"]) == (str(server.data), 0, True)
    assert started["version"] == version("shoal") and isinstance(started["native_core"], bool)
    assert started["key_good"] is True

    (server.data / "key").write_text("sk_of_another_time")
    with ServerProcess(server.data, workers=0, **settings, SHOAL_API_KEY="sk_x") as again:
        events = {line["message"]: line for line in map(json.loads, list(again.output))}
    assert events["server.started"]["key_good"] is False
    assert "was changed or revoked: delete the file. Make a key with" in events["server.stale_key_file"]["advice"]
    assert "a server takes no key from it" in events["settings.unknown"]["advice"]


@pytest.mark.parametrize("mode", [0o755, 0o700], ids=["open", "private"])
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run as another user")
def test_a_folder_of_another_user_is_refused_with_its_owner_the_user_and_the_remedy(tmp_path: Path, mode: int) -> None:
    other_user = 65534
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(mode)
    folders = [data, data / "new", data / "new" / "below"]
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from shoal.assemble import assemble\n"
        "from shoal.errors import InvalidField\n"
        "from shoal.settings import Settings\n"
        f"os.setgid({other_user}); os.setuid({other_user})\n"
        "for folder in sys.argv[1:]:\n"
        "    try:\n"
        "        assemble(Settings(data=Path(folder)))\n"
        "    except InvalidField as error:\n"
        "        print(error.message)\n"
    )

    process = subprocess.run(
        [sys.executable, "-c", script, *map(str, folders)], capture_output=True, text=True, check=True
    )

    lines = process.stdout.splitlines()
    assert len(lines) == len(folders), process.stderr
    for line in lines:
        assert f"--data: the folder {data} belongs to root (0), mode {mode:04o}, and Shoal runs as" in line
        assert f"({other_user})" in line and f"chown -R {other_user}:{other_user} {data}" in line
    assert list(data.iterdir()) == []
