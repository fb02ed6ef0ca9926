"""Hints printed by `shoal cluster`: they fit the result and work as printed."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cli.conftest import Command
from shoal.cli.output.hints import repeat_command
from shoal.files.paths.addresses import Address

pytestmark = pytest.mark.slow


def make_groups(rows: int, count: int, spread: float) -> NDArray[np.float32]:
    rng = np.random.default_rng([rows, count])
    return (np.eye(16)[np.arange(rows) % count] + spread * rng.normal(size=(rows, 16))).astype(np.float32)


SHAPES: dict[str, tuple[NDArray[np.float32], tuple[str, ...], str]] = {
    "five rows": (make_groups(5, 2, 0.1), (), "agglomerative --clusters 2"),
    "two rows": (make_groups(2, 2, 0.0), (), ""),
    "one group": (make_groups(60, 1, 0.0), (), ""),
    "auto": (make_groups(300, 12, 0.15), (), "--clusters"),
    "auto with a count": (make_groups(300, 12, 0.15), ("--clusters", "3"), "--clusters"),
    "k-means": (make_groups(120, 4, 0.1), ("--algorithm", "kmeans"), "--algorithm kmeans --clusters"),
    "k-means, many": (make_groups(120, 4, 0.1), ("--algorithm", "kmeans", "--clusters", "100"), "finds the number"),
    "hdbscan, all noise": (make_groups(60, 1, 5.0), ("--algorithm", "hdbscan"), "finds the number"),
    "hdbscan": (make_groups(300, 12, 0.1), ("--algorithm", "hdbscan"), "min_cluster_size=10"),
    "dbscan": (make_groups(120, 4, 0.1), ("--algorithm", "dbscan"), "--param eps="),
    "dbscan, all noise": (
        make_groups(60, 4, 0.3),
        ("--algorithm", "dbscan", "--param", "eps=0.0001"),
        "finds the number",
    ),
    "agglomerative": (
        make_groups(120, 8, 0.1),
        ("--algorithm", "agglomerative"),
        "--algorithm agglomerative --clusters 4",
    ),
    "mixture": (make_groups(120, 8, 0.1), ("--algorithm", "gaussian_mixture", "--clusters", "2"), "--clusters 4"),
    "leiden": (make_groups(120, 8, 0.1), ("--algorithm", "leiden"), "needs no parameters"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_hint_fits_the_result_and_works_as_it_stands(here: Command, tmp_path: Path, shape: str) -> None:
    points, options, expected = SHAPES[shape]
    np.save(tmp_path / "some rows.npy", points)

    done = here("cluster", "some rows.npy", *options, "--out", "found")

    assert done.code == 0, done.err
    output = " ".join(done.out.split())
    hints = re.findall(r"shoal cluster 'some rows.npy'((?: --\S+ \S+)*)", output)
    assert expected in output
    assert ("Try:" in output) == bool(hints)
    for number, hint in enumerate(hints):
        words = shlex.split(hint)
        again = here("cluster", "some rows.npy", *words, "--out", f"other-{number}")
        assert again.code == 0, again.err
        before, after = (
            json.loads((tmp_path / folder / "summary.json").read_bytes()) for folder in ("found", f"other-{number}")
        )
        key = ("num_clusters", "noise", "algorithm", "parameters")
        assert [before[name] for name in key] != [after[name] for name in key]  # a hint must change the result


def test_hints_keep_the_options_that_change_the_result(here: Command, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", 3 * make_groups(300, 12, 0.15))
    options = ["--sample", "200", "--seed", "7", "--out", "found", "--no-normalize", "--no-labels", "--no-map"]

    done = here("cluster", "rows.npy", *options)
    hints = [line.split("shoal ")[1].partition("    ")[0] for line in done.out.splitlines() if "shoal cluster" in line]

    assert done.code == 0 and hints
    before = json.loads((tmp_path / "found" / "summary.json").read_bytes())
    for hint in hints:
        assert here(*shlex.split(hint)).code == 0
        after = json.loads((tmp_path / "found" / "summary.json").read_bytes())
        for name in ("sample_size", "seed", "normalize", "text"):
            assert after[name] == before[name]
        assert not (tmp_path / "shoal-out").exists()


def test_hints_never_repeat_an_address_with_secrets() -> None:
    whole, signed = Address("https://host/a.csv"), Address("https://host/a.csv?key=secret")

    assert repeat_command([whole], {}, {}) == "shoal cluster https://host/a.csv"
    assert repeat_command([signed], {}, {}) is None
    assert repeat_command([Address("https://me:secret@host/a.csv")], {}, {}) is None
