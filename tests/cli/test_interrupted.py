"""An interrupted run, or one on a full disk, prints one line and leaves nothing half written."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.conftest import Command

pytestmark = pytest.mark.process

STOP_AT_A_STAGE = """
import os, signal, sys
import shoal.cli.output.progress as progress

from contextlib import contextmanager

target, least = sys.argv[1:3]

@contextmanager
def interrupt(quiet):
    def draw(stage, fraction):
        if stage == target and fraction >= float(least):
            os.kill(os.getpid(), signal.SIGINT)
    yield draw

progress._draw_bar = interrupt
sys.argv = ["shoal", *sys.argv[3:]]
from shoal.cli.start import main
main()
"""


@pytest.mark.parametrize(
    ("stage", "fraction", "ending"),
    [
        ("read", 0, "csv"),
        ("write", 0, "csv"),
        ("write_back", 0.3, "csv"),
        ("write_back", 0.3, "parquet"),
        ("write_back", 0.3, "jsonl.gz"),
    ],
)
def test_ctrl_c_at_any_stage_leaves_nothing_half_written(
    stage: str, fraction: float, ending: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    vectors = np.eye(4).repeat(5_000, axis=0) + rng.normal(0, 0.1, (20_000, 4))
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 4)
    pq.write_table(pa.table({"text": ["words"] * 20_000, "embedding": lists}), tmp_path / "docs.parquet")
    options = ["--algorithm", "kmeans", "--clusters", "4", "--no-map", "--write", f"out.{ending}", "--out", "found"]
    command = [sys.executable, "-c", STOP_AT_A_STAGE, stage, str(fraction), "cluster", "docs.parquet", *options]

    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert done.returncode == 130, done.stderr
    assert done.stdout == ""
    assert done.stderr.strip() in ("", "Aborted!", "Aborted.")
    remaining = {path.name for path in tmp_path.iterdir()}
    assert remaining <= {"docs.parquet", "found"}  # the results are complete before the file is started
    assert ("found" in remaining) == (stage == "write_back")


@pytest.mark.parametrize("ending", ["csv", "parquet", "json.gz"])
def test_a_full_disk_is_reported_and_nothing_is_left(ending: str, tmp_path: Path) -> None:
    count = 40_000
    rng = np.random.default_rng(0)
    texts = [rng.bytes(150).hex() for _ in range(count)]
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.eye(4).repeat(count // 4, axis=0).ravel()), 4)
    pq.write_table(pa.table({"code": texts, "embedding": lists}), tmp_path / "docs.parquet")
    options = ["--algorithm", "kmeans", "--clusters", "4", "--no-map", "--no-labels", "--no-model"]

    def at_most_three_mebibytes() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3 * 2**20, 3 * 2**20))

    done = subprocess.run(
        [sys.executable, "-m", "shoal.cli.main", "cluster", "docs.parquet", *options, "--write", f"out.{ending}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        preexec_fn=at_most_three_mebibytes,  # single-threaded process
    )

    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines() == [f"shoal: File too large: out.{ending}."]
    assert {path.name for path in tmp_path.iterdir()} == {"docs.parquet", "shoal-out"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(here: Command, parquet: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)

    for options in (("--out", "closed/found"), ("--write", "closed/out.csv")):
        done = here("cluster", parquet, *options)
        assert done.code == 2
        assert "Permission denied" in done.complaint and "closed" in done.complaint
