"""The command as a whole: help, version, errors."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from cli.conftest import Command
from shoal.cli.output.table import Row, build_clusters_table, make_console, strip_controls

pytestmark = pytest.mark.process


def test_help_names_every_command(shoal: Command) -> None:
    done = shoal("--help")

    assert done.code == 0
    for name in ("cluster", "demo", "serve", "import", "worker", "keys"):
        assert f"  {name} " in done.out


def test_version_is_that_of_the_package(here: Command) -> None:
    assert here("--version").out == f"shoal {version('shoal')}\n"


def test_an_unknown_command_ends_with_2(here: Command) -> None:
    done = here("clusters")

    assert done.code == 2
    assert "cluster" in done.err


def test_a_file_in_place_of_a_command_suggests_the_cluster_command(here: Command, parquet: Path) -> None:
    done = here(parquet, "--clusters", 3)

    assert done.code == 2
    assert done.complaint.endswith(f"is a file, not a command. To cluster it: shoal cluster {parquet} --clusters 3")


def test_a_folder_that_cannot_be_written_is_one_line(here: Command, parquet: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    done = here("cluster", parquet, "--clusters", 3, "--out", "file/below")

    assert done.code == 2
    assert "file" in done.complaint


def test_the_error_about_a_full_disk_names_the_requested_folder(parquet: Path, tmp_path: Path) -> None:
    command = f"ulimit -f 1; {sys.executable} -m shoal.cli.main cluster {parquet} --clusters 3 --out results"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=False)

    assert (done.returncode, done.stderr) == (2, f"shoal: File too large: {tmp_path / 'results'}.\n")
    assert {entry.name for entry in tmp_path.iterdir()} == {parquet.name}


STEERING = "\x1b[31m\x1b]0;owned\x07\x9b2J\u202e\r"


def test_file_names_and_options_cannot_control_the_terminal(here: Command, parquet: Path) -> None:
    hostile = parquet.rename(parquet.with_name(f"a{STEERING}.parquet"))

    for arguments in (
        ("cluster", f"absent{STEERING}.parquet"),
        ("cluster", hostile, "--text", f"no{STEERING}column"),
        ("cluster", hostile, f"--no{STEERING}option"),
        ("cluster", hostile, "--clusters", 3, "--out", f"out{STEERING}"),
        ("cluster", hostile, "--clusters", 3, "--json"),
        ("import", hostile, "--collection", f"named{STEERING}", "--data", f"data{STEERING}"),
        (f"no{STEERING}command",),
    ):
        done = here(*arguments)

        assert not set("\x1b\x07\x9b\u202e\r") & set(done.out + done.err), arguments


def test_ctrl_c_during_imports_prints_no_traceback() -> None:
    """The interrupt arrives at the first import of a third-party module."""
    code = """
import sys
class Interrupt:
    @staticmethod
    def find_spec(name, *_):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt)
from shoal.cli.start import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (130, "")


def test_a_closed_pipe_leaves_no_traceback(parquet: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m shoal.cli.main cluster {parquet} --clusters 3 | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=False)

    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_the_table_fits_its_terminal_and_shows_every_cluster(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Row(f"cl_{n}", f"Cluster of things {n}", ["one", "two words", "three"], 10 * n) for n in range(9, 0, -1)]
    console = make_console()
    console.width = width

    console.print(build_clusters_table(rows, 500, 50, width=width))

    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert sum("Clus" in line for line in lines) == 9
    assert any("10.0%" in line for line in lines)


def test_only_the_largest_clusters_are_shown_and_the_rest_counted(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Row(f"cl_{n}", f"Name {n}", [], 2) for n in range(100)]

    make_console().print(build_clusters_table(rows, 200, 0, width=120, most=10))

    assert "… and 90 more" in capsys.readouterr().out


def test_text_is_shown_without_control_and_direction_characters() -> None:
    assert strip_controls("a\x1b[31mb\u202ec\x00d\te") == "a[31mbcd e"
    assert strip_controls("日本語 naïve 👍") == "日本語 naïve 👍"
