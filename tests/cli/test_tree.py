"""`shoal cluster --tree`: broad groups and what is in them, readable at any width."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.cells import cell_len
from rich.console import Console

from cli.conftest import Command
from shared_data import load
from shoal.analysis.named_clusters import NamedCluster, NamedLayer
from shoal.cli.output.tree import print_tree


def cluster(id: str, label: str, size: int, parent: str | None = None, *keywords: str) -> NamedCluster:
    return NamedCluster(id, label, keywords, size, 0.1, 0.9, 0.5, "d", ("d",), parent)


def layers() -> list[NamedLayer]:
    rows = np.zeros(1, np.int32)
    broad = [cluster("broad_0", "Payment, refund", 900, None, "payment"), cluster("broad_1", "Passcode", 40)]
    chosen = [
        cluster("cl_0", "Card payment", 600, "broad_0", "card payment", "pending payment", "payment declined"),
        cluster("cl_1", "Refund", 300, "broad_0", "refund", "item refunded"),
        cluster("cl_2", "Reset passcode", 40, "broad_1", "passcode", "forgot it"),
        cluster("cl_3", "保存した天気予報", 7),
    ]
    fine = [cluster("fine_0", "Too fine to be shown", 5, "cl_0")]
    return [NamedLayer(rows, broad, False), NamedLayer(rows, chosen, True), NamedLayer(rows, fine, False)]


def draw(layers_: Sequence[NamedLayer], width: int, *, every: bool = False) -> list[str]:
    out = io.StringIO()
    print_tree(Console(file=out, width=width, highlight=False), layers_, every=every)
    return out.getvalue().splitlines()


def test_parts_stand_below_the_whole_with_their_sizes_and_keywords() -> None:
    assert draw(layers(), 120) == [
        "900  Payment, refund",
        "├── 600  Card payment  pending payment, payment declined",
        "└── 300  Refund  item refunded",
        " 40  Reset passcode  forgot it",
        "  7  保存した天気予報",
    ]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 300])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = draw(layers(), width)

    assert len(lines) == 5
    assert max(cell_len(line) for line in lines) <= min(width, 120)


def test_of_many_parts_the_largest_are_shown_and_the_rest_is_counted() -> None:
    parts = [cluster(f"cl_{n}", f"Part {n}", 100 - n, "broad_0") for n in range(30)]
    layers_ = [
        NamedLayer(np.zeros(1, np.int32), [cluster("broad_0", "All", 2565)], False),
        NamedLayer(np.zeros(1, np.int32), parts, True),
    ]

    some, everything = draw(layers_, 80), draw(layers_, 80, every=True)

    assert len(some) == 14
    assert "18 more with 1,431 documents" in some[-1]
    assert len(everything) == 31


def test_one_layer_is_a_list() -> None:
    layer = [NamedLayer(np.zeros(1, np.int32), [cluster("cl_0", "Rain", 3), cluster("cl_1", "Bread", 2)], True)]

    assert draw(layer, 80) == ["3  Rain", "2  Bread"]


@pytest.mark.process
@pytest.mark.shared_data
def test_the_tree_of_a_file_holds_every_cluster_once_and_adds_up(here: Command, tmp_path: Path) -> None:
    pq.write_table(load("banking77").slice(0, 3000), tmp_path / "bank.parquet")

    done = here("cluster", tmp_path / "bank.parquet", "--out", "found", "--tree")

    clusters = pq.read_table(tmp_path / "found" / "centroids.parquet")
    lines = [line for line in done.out.splitlines() if re.match(r"[│├└─ ]*[\d,]+  ", line)]
    assert done.code == 0
    assert "\x1b" not in done.out
    assert any(line.startswith(("├", "│")) for line in lines)
    for label in clusters["cluster_label"].to_pylist():
        assert sum(1 for line in lines if re.search(rf"\d  {re.escape(label)}(  |$)", line)) >= 1, label
    top = [int(line.split()[0].replace(",", "")) for line in lines if re.match(r" *[\d,]+  ", line)]
    assert sum(top) <= 3000
    assert sum(top) >= sum(clusters["num_members"].to_pylist())
    shown = here("show", "found", "--tree")
    assert shown.code == 0
    assert shown.out.partition("\n\n")[0] == done.out.partition("\n\n")[0]
