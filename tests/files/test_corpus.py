"""The real command on every file of the corpus: read as it is meant, or refused in one line that says what to do."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpus import CASES, Case
from corpus.cases import ROWS, TOPICS
from shoal.cli.main import main

pytestmark = pytest.mark.process

REAL_PROCESSES = ("csv_of_a_german_office", "parquet_in_a_pattern_that_the_shell_wrote_out", "csv_of_text_alone")
READ = {name: case for name, case in CASES.items() if not case.refused}
REFUSED = {name: case for name, case in CASES.items() if case.refused}
OPTIONS = ("--algorithm", "kmeans", "--clusters", "3", "--out", "found", "--json")


def run(arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["shoal", "cluster", *arguments])
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def check_read(case: Case, folder: Path) -> None:
    """The documents, their ids, and the clusters, which are the three topics."""
    summary = json.loads((folder / "found" / "summary.json").read_text())
    members = pq.read_table(folder / "found" / "members.parquet").to_pylist()
    ids = list(range(ROWS)) if case.ids is None else list(case.ids)
    values = {row["document_id"]: row["cluster_id"] for row in members}
    topics = dict(zip(ids, (TOPICS[row] for row in case.rows), strict=case.ids is not None))

    assert set(map(type, values)) == set(map(type, topics))
    assert values.keys() == topics.keys()
    clusters = {topic: {values[id] for id, of in topics.items() if of == topic} for topic in TOPICS}
    assert sorted(map(len, clusters.values())) == [1, 1, 1]
    assert len(set.union(*clusters.values())) == 3
    assert summary["source"]["text"] == list(case.text)
    assert len(summary["warnings"]) == len(case.notes)
    for note, warning in zip(case.notes, summary["warnings"], strict=True):
        assert note in warning


@pytest.mark.parametrize("name", READ)
def test_an_ordinary_file_is_read_as_intended(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = run([*READ[name].write(tmp_path), *OPTIONS], monkeypatch)

    assert code == 0, capfd.readouterr().err
    check_read(READ[name], tmp_path)


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_not_read_is_refused_in_one_line_with_the_remedy(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = run([*REFUSED[name].write(tmp_path), *OPTIONS], monkeypatch)

    error = capfd.readouterr().err.strip()
    assert code == 2
    assert len(error.splitlines()) == 1, error
    assert "Traceback" not in error
    assert [words for words in REFUSED[name].refused if words not in error] == [], error
    assert not (tmp_path / "found").exists()


@pytest.mark.parametrize("name", REAL_PROCESSES)
def test_the_command_in_a_process_of_its_own_does_the_same(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    command = [sys.executable, "-m", "shoal.cli.main", "cluster", *case.write(tmp_path), *OPTIONS]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert "Traceback" not in done.stderr
    if case.refused:
        assert done.returncode == 2
        assert all(words in done.stderr for words in case.refused)
    else:
        assert done.returncode == 0, done.stderr
        check_read(case, tmp_path)


def test_the_corpus_has_at_least_sixty_files() -> None:
    assert len(CASES) >= 60
