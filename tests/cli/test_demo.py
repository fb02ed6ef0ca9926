"""`shoal demo`: prints named clusters of the bundled data; with --serve the printed lines work."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cli.conftest import Command
from shoal.demo_data import QUESTIONS

pytestmark = pytest.mark.process


def test_the_bundled_data_matches_its_description() -> None:
    table = pq.read_table(QUESTIONS)
    intents = {row["values"]: row["counts"] for row in pc.value_counts(table["intent"]).to_pylist()}

    assert QUESTIONS.stat().st_size < 3 * 2**20
    assert intents.pop("oos") == 40
    assert len(intents) == 28 and set(intents.values()) == {80}
    assert "CC BY 3.0" in (table.schema.metadata or {})[b"source"].decode()
    assert "creativecommons.org/licenses/by/3.0" in (QUESTIONS.parent / "ATTRIBUTION.md").read_text()


def test_the_demo_ends_with_named_clusters(shoal: Command, tmp_path: Path) -> None:
    done = shoal("demo")

    assert done.code == 0, done.err
    assert done.err == ""
    assert re.search(r"2,280 documents, (2[6-9]|3[0-2]) clusters, \d\d in none", done.out)
    for name in ("Lost luggage", "Tire pressure", "Change language"):
        assert name in done.out
    assert "What to try next" in done.out
    assert list(tmp_path.iterdir()) == []


def test_the_demo_gives_the_clusters_that_its_file_gives(shoal: Command, tmp_path: Path) -> None:
    answer, of_file = shoal("demo"), shoal("cluster", str(QUESTIONS), "--json")
    counted = re.search(r"2,280 documents, (\d+) clusters, (\d+) in none", answer.out)
    summary = json.loads(of_file.out)

    assert counted is not None
    assert [int(number) for number in counted.groups()] == [summary["num_clusters"], summary["noise"]]
    assert summary["algorithm"] == "auto"
    assert all(cluster["label"] in answer.out for cluster in summary["clusters"])


def test_the_demo_serves_its_results(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shoal.cli.main", "demo", "--serve", "--port", "0"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        while not any(line.startswith("Shoal is serving") for line in lines):
            lines.append(process.stdout.readline())
            assert lines[-1], "".join(lines)
        curls = [line.strip() for line in lines if line.startswith("  curl ")]
        answers = [
            subprocess.run(
                ["bash", "-c", line.replace("curl ", "curl -sSf --retry 20 --retry-connrefused ")],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            for line in curls
        ]
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)
        process.stdout.close()

    assert len(curls) == 3
    assert [answer.returncode for answer in answers] == [0, 0, 0], answers
    assert '"cluster_name":"question-groups"' in answers[0].stdout
    assert "Lost luggage" in answers[1].stdout
    assert process.returncode in (0, 130)
