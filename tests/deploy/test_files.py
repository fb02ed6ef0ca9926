"""What Shoal is deployed with says the same as the code. `scripts/try-image` builds and runs the image."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from shoal.engine.algorithms import ALGORITHMS
from shoal.settings import Settings, unknown_names

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "shoal.service"


def instructions() -> list[tuple[str, str]]:
    """Name and rest of every instruction of the Dockerfile."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def environment(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in shlex.split(text) if pair.startswith("SHOAL_"))


def service() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return dict(services["shoal"])


def test_the_image_copies_files_that_exist_and_are_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    taken = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    copied = [
        item for name, rest in instructions() if name == "COPY" and "--from" not in rest for item in rest.split()[:-1]
    ]

    assert len(copied) >= 8
    for entry in copied:
        assert (ROOT / entry).exists(), entry
        assert any(fnmatch(entry, pattern) for pattern in taken), f"{entry} is kept out by .dockerignore"


def test_the_image_runs_as_a_user_without_rights_on_a_base_with_a_version() -> None:
    last_stage = instructions()[max(i for i, (name, _) in enumerate(instructions()) if name == "FROM") :]

    user = next(rest for name, rest in last_stage if name == "USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    for name, rest in instructions():
        assert name != "FROM" or re.search(r":\d+\.\d+-", rest), rest


def test_image_compose_and_unit_set_what_the_settings_know() -> None:
    image = environment(" ".join(rest for name, rest in instructions() if name == "ENV"))
    unit = environment(" ".join(re.findall(r"^Environment=(.*)$", UNIT.read_text(), re.MULTILINE)))

    for value in (image, service()["environment"], unit):
        assert value
        assert unknown_names(value) == []
        Settings.read(value)

    assert image["SHOAL_DATA"] == service()["volumes"][0].partition(":")[2]
    assert image["SHOAL_HOST"] == "0.0.0.0"  # Docker decides which of its ports others reach


def test_the_port_of_the_settings_is_the_one_that_is_published_and_probed() -> None:
    port = str(Settings(data=Path("data")).port)
    health = next(rest for name, rest in instructions() if name == "HEALTHCHECK")

    assert ("EXPOSE", port) in instructions()
    assert service()["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"or '{port}') + '/livez'" in health


@pytest.mark.process
def test_the_health_check_asks_the_port_that_the_settings_name() -> None:
    health = next(rest for name, rest in instructions() if name == "HEALTHCHECK")
    _, *arguments = json.loads(health.partition("CMD ")[2])

    class Live(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/livez" else 404)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Live) as server, ThreadPoolExecutor(1) as pool:
        port = server.server_port
        server.timeout = 30  # or a check that asks another port would leave it waiting
        answered = pool.submit(server.handle_request)
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, check=False, env={**os.environ, "SHOAL_PORT": str(port)}
        )
        assert (done.returncode, done.stderr) == (0, b"")
        answered.result()
    gone = subprocess.run(
        [sys.executable, *arguments], capture_output=True, check=False, env={**os.environ, "SHOAL_PORT": str(port)}
    )
    assert gone.returncode == 1


def test_the_service_has_longer_to_end_than_requests_under_way() -> None:
    unit = re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)

    assert unit is not None
    assert int(unit[1]) > 30
    assert int(service()["stop_grace_period"].rstrip("s")) > 30


def test_kubernetes_runs_one_server_as_the_user_of_the_image_and_lets_it_end() -> None:
    service, workload = yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_text())
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    port = Settings(data=Path("data")).port

    assert workload["spec"]["replicas"] == 1
    user = next(rest for name, rest in instructions() if name == "USER")
    assert user == f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert pod["terminationGracePeriodSeconds"] > 30
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/var/lib/shoal", "/tmp"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port}
    assert container["ports"] == [{"containerPort": port}] and service["spec"]["ports"] == [{"port": port}]
    assert pod["enableServiceLinks"] is False  # a service named shoal would set SHOAL_PORT to an address


@pytest.mark.process
def test_what_the_image_is_tried_with_runs_every_method(tmp_path: Path) -> None:
    """The same Python as `scripts/try-image` runs in the image."""
    methods = re.search(r"^METHODS='\n(.*?)^'$", (ROOT / "scripts" / "try-image").read_text(), re.MULTILINE | re.DOTALL)
    assert methods is not None

    done = subprocess.run(
        [sys.executable, "-c", methods[1]],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )

    assert done.returncode == 0, done.stderr
    values = dict(line.split() for line in done.stdout.splitlines())
    assert values.keys() == ALGORITHMS.keys()
    assert all(int(clusters) > 1 for clusters in values.values())
    assert {path.parent.name for path in tmp_path.rglob("summary.json")} == ALGORITHMS.keys()


@pytest.mark.process
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit_without_a_complaint(tmp_path: Path) -> None:
    here = tmp_path / "shoal.service"
    here.write_text(UNIT.read_text().replace("/opt/shoal/bin/shoal", str(Path(sys.executable).with_name("shoal"))))

    done = subprocess.run(["systemd-analyze", "verify", here], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
