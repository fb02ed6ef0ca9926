"""What to try next after a clustering: commands that work as they stand."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.cli.table import called_as
from shoal.files.remote_names import remote_address, shown_address

if TYPE_CHECKING:
    from shoal.from_file import FileClustering

__all__ = ["next_commands", "same_command"]


def same_command(files: Sequence[Path], options: Mapping[str, Sequence[object] | None]) -> str:
    """The command that reads the same documents again."""
    given = [(option, value) for option, values in options.items() for value in values or () if value is not None]
    words = [called_as(), "cluster", *(shlex.quote(_shown(file)) for file in files)]
    return " ".join([*words, *(f"{option} {shlex.quote(str(value))}" for option, value in given)])


def _shown(file: Path) -> str:
    address = remote_address(file)
    return str(file) if address is None else shown_address(address)


def next_commands(found: "FileClustering", again: str) -> list[str]:
    """One or two commands that make sense now."""
    if found.clustering.plan.algorithm == "kmeans":
        return [
            f"Try: {again}    finds their number, leaves outliers out",
            f"     {again} --algorithm kmeans --clusters N    another number of clusters",
        ]
    layers = found.clustering.analysis.outcome.layers
    if layers is None:
        return [f"Try: {again} --algorithm hdbscan --param min_cluster_size=N    larger: fewer, broader clusters"]
    counts = [layer.clusters for layer in layers.layers]
    others = [str(count) for number, count in enumerate(counts) if number != layers.chosen and count > 1]
    if not others:
        return []
    coarser = [count for count in counts[: layers.chosen] if count > 1]
    told = f"The same documents in {', '.join(others)} clusters are in layers.parquet."
    return [told, *(f"Try: {again} --clusters {count}" for count in coarser[-1:])]
