"""Processes of Shoal's own never import pandas, which pyarrow does at its first array wherever it is installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

_MARKING: str = """
from pathlib import Path
Path(__file__).with_name("imported").touch()
raise ImportError
"""


@pytest.fixture
def import_marker(tmp_path: Path) -> Path:
    """A file that exists once a process with `environ` has imported pandas."""
    (tmp_path / "pandas").mkdir()
    (tmp_path / "pandas/__init__.py").write_text(_MARKING)
    return tmp_path / "pandas/imported"


def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tmp_path), "SHOAL_DATA": str(tmp_path / "data")}


def test_arrow_alone_would_import_it(import_marker: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-c", "import pyarrow; pyarrow.array([1])"]
    subprocess.run(program, env=environ(tmp_path), check=True)

    assert import_marker.exists()


@pytest.mark.parametrize(
    "command", [("cluster", "docs.jsonl", "--quiet"), ("import", "docs.jsonl", "--collection", "docs")]
)
def test_no_command_and_no_reader_of_files_imports_it(
    import_marker: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    rows = (f'{{"id": "d{row}", "kind": "k", "v": [{row}, {row % 3}, 1]}}\n' for row in range(20))
    (tmp_path / "docs.jsonl").write_text("".join(rows))

    program = [sys.executable, "-m", "shoal.cli.main", *command]
    done = subprocess.run(program, env=environ(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert not import_marker.exists()
