"""What to try next after a clustering: commands that work as they stand."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shoal.cli.output.table import called_as
from shoal.engine.algorithms import count_parameter
from shoal.files.addresses import Address, Place

if TYPE_CHECKING:
    from shoal.engine.layers.layers import Layers
    from shoal.library.clustering import Clustering
    from shoal.library.from_file import FileClustering

__all__ = ["next_commands", "same_command"]

_FEW: Final = 10
"""Documents that are too few for groups to show."""
_MANY: Final = 8
"""Clusters of which fewer may be easier to read."""


def same_command(
    files: Sequence[Place], options: Mapping[str, Sequence[object] | None], flags: Mapping[str, bool]
) -> str | None:
    """The command that reads and compares the same documents again, with options that have values, and `flags` that
    were given or not; None for an address that cannot be shown whole, since it holds a key or a signature."""
    if any(isinstance(file, Address) and file.holds_secrets for file in files):
        return None
    given = [(option, value) for option, values in options.items() for value in values or () if value is not None]
    words = [
        called_as(),
        "cluster",
        *(shlex.quote(file.text if isinstance(file, Address) else str(file)) for file in files),
    ]
    words += [f"{option} {shlex.quote(str(value))}" for option, value in given]
    return " ".join([*words, *(flag for flag, there in flags.items() if there)])


@dataclass(frozen=True, slots=True)
class _Hint:
    """Options that come after the file, and what they are good for."""

    options: str
    purpose: str


def next_commands(found: "FileClustering", again: str | None) -> list[str]:
    """One or two commands that make sense after this result, none with a gap to fill in, and none where there is no
    command to run `again`."""
    clustering = found.clustering
    layers = clustering.analysis.outcome.layers
    hints = [] if again is None else _hints(clustering)
    told = [] if layers is None else _other_layers(layers)
    first = ["Try: ", *["     "] * len(hints)]
    commands = [f"{again} {hint.options}".rstrip() for hint in hints]
    return [
        *told,
        *(f"{lead}{command}    {hint.purpose}" for lead, command, hint in zip(first, commands, hints, strict=False)),
    ]


def _hints(clustering: "Clustering") -> list[_Hint]:
    algorithm, documents, clusters = clustering.plan.algorithm, len(clustering), len(clustering.clusters)
    if documents < _FEW and clusters < 2:
        return (
            [_Hint("--algorithm agglomerative --clusters 2", "few documents: a place for every one")]
            if documents > 2
            else []
        )
    if algorithm in ("auto", "evoc"):
        return _after_auto(clustering)
    if clusters < 2 or clusters > documents / 2:
        return [_Hint("", "finds the number of clusters, leaves outliers out")]
    if algorithm == "hdbscan":
        return _after_hdbscan(clustering)
    if algorithm in ("dbscan", "mean_shift"):
        name = "eps" if algorithm == "dbscan" else "bandwidth"
        width = float(str(clustering.analysis.outcome.params.get(name) or 0))
        wider = (
            [_Hint(f"--algorithm {algorithm} --param {name}={1.1 * width:.4g}", "fewer, larger clusters")]
            if width
            else []
        )
        return [*wider, _Hint("", "finds a scale of its own for every region")]
    if count_parameter(algorithm) is None:
        return [_Hint("", "finds the number of clusters, needs no parameters")]
    other = max(clusters // 2, 2) if clusters > 4 else min(2 * clusters, documents)
    return [
        _Hint("", "finds the number of clusters, leaves outliers out"),
        _Hint(f"--algorithm {algorithm} --clusters {other}", "fewer clusters" if other < clusters else "more clusters"),
    ]


def _after_auto(clustering: "Clustering") -> list[_Hint]:
    layers, documents, clusters = clustering.analysis.outcome.layers, len(clustering), len(clustering.clusters)
    if clusters == 0:
        places = max(2, min(8, documents // 10))
        return [_Hint(f"--algorithm agglomerative --clusters {places}", "gives every document a place")]
    counts = [] if layers is None else [layer.clusters for layer in layers.layers]
    chosen = 0 if layers is None else layers.chosen
    coarser = [count for count in counts[:chosen] if count > 1][-1:]
    finer = [count for count in counts[chosen + 1 :]][:1]
    hints = [_Hint(f"--clusters {count}", "fewer, broader clusters") for count in coarser]
    if not hints:
        hints = [_Hint(f"--clusters {count}", "more, narrower clusters") for count in finer]
    if 2 * clustering.noise > documents:
        hints.append(_Hint("--param noise_level=0", "leaves no document out"))
    return hints


def _after_hdbscan(clustering: "Clustering") -> list[_Hint]:
    size = int(str(clustering.analysis.outcome.params["min_cluster_size"]))
    if 2 * clustering.noise > len(clustering):
        return [_Hint("", "leaves fewer documents out")]
    if len(clustering.clusters) > _MANY and 6 * size < len(clustering):
        return [_Hint(f"--algorithm hdbscan --param min_cluster_size={2 * size}", "fewer, broader clusters")]
    return [_Hint("", "needs no parameters, and shows fewer and more clusters as layers")]


def _other_layers(layers: "Layers") -> list[str]:
    others = [
        str(layer.clusters)
        for number, layer in enumerate(layers.layers)
        if number != layers.chosen and layer.clusters > 1
    ]
    if not others:
        return []
    return [f"The same documents in {', '.join(others)} clusters are in layers.parquet."]
