"""The table of clusters: whole names and an example of each, at any width, in any script."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.cells import cell_len

from cli.conftest import Command
from shoal.cli.output.table import Row, build_clusters_table, make_console, print_lines
from shoal.quantities import plural

NAMES = {
    "cl_0": ("Refund", "Please tell me how to get a refund for something I bought last week in a shop"),
    "cl_1": ("Fee for using my card abroad in a foreign currency", "Why was I charged an extra fee?"),
    "cl_2": ("予約のキャンセルと返金の手続きについて", "予約のキャンセルをお願いします。" * 5),
    "cl_3": ("Late parcels 📦 that never arrive", "My parcel 📦 has not come"),
}


def drawn(width: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    rows = [Row(id, label, ["a", "b"], 40, example) for id, (label, example) in NAMES.items()]
    console = make_console()
    console.width = width
    print_lines(console, build_clusters_table(rows, 200, 40, width=width))
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [50, 60, 80, 100, 120, 200])
def test_names_are_whole_and_examples_short(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    lines = drawn(width, capsys)

    assert max(map(cell_len, lines)) <= width
    assert all(line == line.rstrip() and line for line in lines)
    starts = [number for number, line in enumerate(lines) if line.startswith("cl_")]
    assert [lines[number].split()[0] for number in starts] == list(NAMES)
    for number, after, (label, example) in zip(starts, [*starts[1:], len(lines) - 1], NAMES.values(), strict=True):
        own = " ".join(lines[number:after])
        assert all(word in own for word in label.split() if word.isascii())
        assert sum(own.count(character) for character in set(label)) >= len(label.replace(" ", ""))
        assert example[:8] in own
    assert lines[0].endswith("share" if width < 76 else "example")
    assert ("━" in "".join(lines[2:])) == (width >= 100)


@pytest.mark.process
def test_columns_is_honoured_in_a_pipe(here: Command, parquet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here("cluster", parquet, "--algorithm", "kmeans", "--clusters", 3, "--out", "found")
    widths = {}
    for columns in ("60", "80", "120", "", "none"):
        monkeypatch.setenv("COLUMNS", columns)
        out = here("show", "found").out
        assert "\x1b" not in out
        widths[columns] = max(map(cell_len, out.splitlines()))

    assert widths == {"60": 60, "80": 80, "120": 120, "": 120, "none": 120}


@pytest.mark.process
@pytest.mark.parametrize("colors", [True, False])
def test_no_color_means_plain_text_on_a_terminal_too(
    colors: bool, here: Command, parquet: Path, tmp_path: Path
) -> None:
    here("cluster", parquet, "--algorithm", "kmeans", "--clusters", 3, "--out", "found")
    environ = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    environ |= {"TERM": "xterm-256color"} | ({} if colors else {"NO_COLOR": "1"})
    own, other = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "shoal.cli.main", "show", "found"], stdout=other, env=environ, cwd=tmp_path, check=True
    )
    os.close(other)
    out = b""
    while part := _read(own):
        out += part

    assert b"60 documents" in out
    assert (b"\x1b[" in out) == colors


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says so at the end of a terminal
        return b""


@pytest.mark.process
def test_all_shows_every_cluster(here: Command, parquet: Path) -> None:
    here("cluster", parquet, "--algorithm", "kmeans", "--clusters", 45, "--out", "found")

    short, whole = here("show", "found").out, here("show", "found", "--all").out
    assert "… and 5 more: --all" in short and "cl_44" not in short
    assert "more: --all" not in whole and "cl_44" in whole
    assert "cl_44" in here("cluster", parquet, "--algorithm", "kmeans", "--clusters", 45, "--all", "--out", "found").out


@pytest.mark.process
def test_quiet_json_prints_only_json(here: Command, parquet: Path) -> None:
    for more in (["--json"], ["--json", "-q"], ["-q", "--json"]):
        done = here("cluster", parquet, "--algorithm", "kmeans", "--clusters", 3, *more)
        assert json.loads(done.out)["num_clusters"] == 3
        assert done.err == ""


@pytest.mark.process
def test_no_map_and_no_labels_omit_both(here: Command, parquet: Path, tmp_path: Path) -> None:

    done = here(
        "cluster", parquet, "--algorithm", "kmeans", "--clusters", 3, "--no-map", "--no-labels", "--write", "w.csv"
    )

    assert done.code == 0
    assert "Cluster 0" in done.out and "named from" not in done.out and "near-duplicate" not in done.out
    members = pq.read_table(tmp_path / "shoal-out" / "questions" / "members.parquet")
    assert "x" not in members.column_names
    assert (tmp_path / "w.csv").read_text("utf-8-sig").splitlines()[0].endswith(",cluster_id,cluster_label,strength")


def test_a_count_of_one_is_singular(here: Command, tmp_path: Path) -> None:
    rows = ['{"id": 1, "embedding": [1.0, 0.0]}', '{"id": 2, "embedding": [1.0, 0.1]}', '{"id": 3, "embedding": null}']
    (tmp_path / "few.jsonl").write_text("\n".join(rows))
    done = here("cluster", "few.jsonl", "--algorithm", "kmeans", "--clusters", 1)

    assert "2 documents, 1 cluster, 0.0% in none" in done.out
    assert "Note: 1 document has no embedding; left out." in done.out
    assert [plural(n, "cluster") for n in (0, 1, 2, 1234)] == [
        "0 clusters",
        "1 cluster",
        "2 clusters",
        "1,234 clusters",
    ]


@pytest.mark.process
def test_a_closed_pipe_ends_the_output_quietly(here: Command, parquet: Path, tmp_path: Path) -> None:
    here("cluster", parquet, "--algorithm", "kmeans", "--clusters", 45, "--out", "found")
    for more in ("", "--json"):
        command = f"set -o pipefail; {sys.executable} -m shoal.cli.main show found {more} | true"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=False)

        assert done.stderr == ""
        assert done.returncode in (0, 1, 141)
