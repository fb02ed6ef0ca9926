"""What to try next after a clustering: complete commands."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shoal.cli.output.table import program_name
from shoal.engine.algorithms import count_parameter
from shoal.files.paths.addresses import Address, Place

if TYPE_CHECKING:
    from shoal.engine.layers.layers import Layers
    from shoal.library.clustering import Clustering
    from shoal.library.from_file import FileClustering

__all__ = ["next_commands", "repeat_command"]

_FEW: Final = 10
"""Too few documents for groups to emerge."""
_MANY: Final = 8
"""Clusters above which fewer may be easier to read."""


def repeat_command(
    files: Sequence[Place], options: Mapping[str, Sequence[object] | None], flags: Mapping[str, bool]
) -> str | None:
    """Return the command that reads and compares the same documents again, with its options and `flags`.

    None for an address that cannot be shown in full, since it holds a key or a signature.
    """
    if any(isinstance(file, Address) and file.holds_secrets for file in files):
        return None
    option_values = [
        (option, value) for option, values in options.items() for value in values or () if value is not None
    ]
    words = [
        program_name(),
        "cluster",
        *(shlex.quote(file.text if isinstance(file, Address) else str(file)) for file in files),
    ]
    words += [f"{option} {shlex.quote(str(value))}" for option, value in option_values]
    return " ".join([*words, *(flag for flag, is_set in flags.items() if is_set)])


@dataclass(frozen=True, slots=True)
class _Hint:
    """Options to append after the file, and their purpose."""

    options: str
    purpose: str


def next_commands(result: "FileClustering", command_line: str | None) -> list[str]:
    """Return one or two complete commands that make sense after this result; none without a `command_line` to
    repeat."""
    clustering = result.clustering
    layers = clustering.analysis.outcome.layers
    hints = [] if command_line is None else _choose_hints(clustering)
    lines = [] if layers is None else _describe_other_layers(layers)
    first = ["Try: ", *["     "] * len(hints)]
    commands = [f"{command_line} {hint.options}".rstrip() for hint in hints]
    return [
        *lines,
        *(f"{lead}{command}    {hint.purpose}" for lead, command, hint in zip(first, commands, hints, strict=False)),
    ]


def _choose_hints(clustering: "Clustering") -> list[_Hint]:
    algorithm, documents, clusters = clustering.plan.algorithm, len(clustering), len(clustering.clusters)
    if documents < _FEW and clusters < 2:
        return (
            [_Hint("--algorithm agglomerative --clusters 2", "few documents: a place for every one")]
            if documents > 2
            else []
        )
    if algorithm in ("auto", "evoc"):
        return _hint_after_auto(clustering)
    if clusters < 2 or clusters > documents / 2:
        return [_Hint("", "finds the number of clusters, leaves outliers out")]
    if algorithm == "hdbscan":
        return _hint_after_hdbscan(clustering)
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


def _hint_after_auto(clustering: "Clustering") -> list[_Hint]:
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


def _hint_after_hdbscan(clustering: "Clustering") -> list[_Hint]:
    size = int(str(clustering.analysis.outcome.params["min_cluster_size"]))
    if 2 * clustering.noise > len(clustering):
        return [_Hint("", "leaves fewer documents out")]
    if len(clustering.clusters) > _MANY and 6 * size < len(clustering):
        return [_Hint(f"--algorithm hdbscan --param min_cluster_size={2 * size}", "fewer, broader clusters")]
    return [_Hint("", "needs no parameters, and shows fewer and more clusters as layers")]


def _describe_other_layers(layers: "Layers") -> list[str]:
    others = [
        str(layer.clusters)
        for number, layer in enumerate(layers.layers)
        if number != layers.chosen and layer.clusters > 1
    ]
    if not others:
        return []
    return [f"The same documents in {', '.join(others)} clusters are in layers.parquet."]
