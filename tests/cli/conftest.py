"""Fixtures: the real command in a temporary folder, on small real files."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.cli.main import main

TOPICS: Mapping[str, tuple[str, ...]] = {
    "weather": ("rain in the morning", "will it rain today", "rain and wind tonight", "how much rain fell"),
    "cooking": ("how to bake bread", "bake bread without yeast", "bread to bake at home", "when is baked bread done"),
    "travel": ("book a cheap flight", "change my flight", "which flight is late", "flight to the coast"),
}
PER_TOPIC = 20
DIMENSION = 8


@dataclass(frozen=True)
class Finished:
    """The outcome of a command."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The only line on stderr; fails if there is not exactly one."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


Command = Callable[..., Finished]


@pytest.fixture
def shoal(tmp_path: Path, processes: None) -> Command:
    """The command in a separate process."""

    def run(*arguments: object) -> Finished:
        command = [sys.executable, "-m", "shoal.cli.main", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The command in this process, for the many small cases."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["shoal", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        out, err = capfd.readouterr()
        return Finished(code, out, err)

    return run


@pytest.fixture
def documents() -> pa.Table:
    """60 documents on three topics that are well separated: id, text, topic, year, embedding."""
    rng = np.random.default_rng(5)
    centers = np.eye(DIMENSION)[: len(TOPICS)]
    vectors = np.repeat(centers, PER_TOPIC, axis=0) + rng.normal(0, 0.05, (len(TOPICS) * PER_TOPIC, DIMENSION))
    rows = [(topic, texts[n % len(texts)], n) for topic, texts in TOPICS.items() for n in range(PER_TOPIC)]
    return pa.table(
        {
            "id": [f"doc-{number:03d}" for number in range(len(rows))],
            "text": [f"{text} {n}" for _, text, n in rows],
            "topic": [topic for topic, _, _ in rows],
            "year": [2000 + n for _, _, n in rows],
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.astype(np.float32).ravel()), DIMENSION),
        }
    )


@pytest.fixture
def parquet(tmp_path: Path, documents: pa.Table) -> Path:
    """The documents as a Parquet file."""
    path = tmp_path / "questions.parquet"
    pq.write_table(documents, path)
    return path
