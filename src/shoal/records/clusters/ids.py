"""Cluster ids as text: the one place that writes and reads them.

A cluster of a run is `cl_<n>`, or `cl_<n>_sub_<m>…` inside a group of clusters; documents in no cluster are in
`cl_noise`. Clusters of a coarser or finer layer are `broad_<n>` and `fine_<n>`.
"""

import re
from typing import Final, Literal, NamedTuple

__all__ = ["NOISE_ID", "PARTITION_END", "SERIES", "LayerId", "Path", "Series", "complete_cluster_id"]
__all__ += ["format_cluster_id", "format_layer_id", "format_number", "has_cluster_prefix", "id_in_partition"]
__all__ += ["is_cluster_id", "is_layer_id", "parse_cluster_id", "parse_layer_id", "top_number"]

Path = tuple[int, ...]
"""The numbers of a cluster id, outermost group first: (3, 0) is `cl_3_sub_0`."""
Series = Literal["broad", "fine"]
"""Clusters above and below the chosen layer are numbered apart from its own."""
SERIES: Final[tuple[Series, ...]] = ("broad", "fine")

_PREFIX: Final = "cl_"
_INSIDE: Final = "_sub_"
NOISE_ID: Final = f"{_PREFIX}noise"
"""The cluster id of documents that belong to no cluster."""
PARTITION_END: Final = ":"
"""Between the name of a partition and the id of a cluster in it."""
_CLUSTER: Final = re.compile(r"cl_([0-9]+(?:_sub_[0-9]+)*)")
_LAYER: Final = re.compile(r"(broad|fine)_([0-9]+)")


class LayerId(NamedTuple):
    """The parts of the id of a cluster in a coarser or finer layer."""

    series: Series
    number: int


def format_cluster_id(path: Path) -> str:
    """`cl_3_sub_0` for (3, 0); the empty path has no id and gives an empty string."""
    return _PREFIX + _INSIDE.join(map(str, path)) if path else ""


def parse_cluster_id(id: str) -> Path:
    """(3, 0) for `cl_3_sub_0`, and the empty path for an empty string. Raises ValueError for any other text, the noise
    id included."""
    if not id:
        return ()
    match = _CLUSTER.fullmatch(id)
    if match is None:
        raise ValueError(f"{id!r} is not the id of a cluster.")
    return tuple(int(number) for number in match[1].split(_INSIDE))


def top_number(id: str) -> int | None:
    """3 for `cl_3`; None for clusters inside a group, and for any other text."""
    match = _CLUSTER.fullmatch(id)
    return int(match[1]) if match is not None and match[1].isdigit() else None


def is_cluster_id(id: str) -> bool:
    """Whether a text is the id of a cluster or of the noise."""
    return id == NOISE_ID or _CLUSTER.fullmatch(id) is not None


def has_cluster_prefix(id: str) -> bool:
    """Whether a text begins as the ids of clusters do."""
    return id.startswith(_PREFIX)


def complete_cluster_id(text: str) -> str:
    """What a person types for short (`3`, `noise`) with the prefix of cluster ids."""
    return f"{_PREFIX}{text}"


def format_number(path: Path) -> str:
    """The numbers of an id for a name that only counts: `3.0` for (3, 0)."""
    return ".".join(map(str, path))


def format_layer_id(series: Series, number: int) -> str:
    """`broad_2` for the third cluster of the layers above the chosen one."""
    return f"{series}_{number}"


def parse_layer_id(id: str) -> LayerId:
    """The parts of the id of a cluster in a coarser or finer layer. Raises ValueError for any other text."""
    match = _LAYER.fullmatch(id)
    if match is None:
        raise ValueError(f"{id!r} is not the id of a cluster in another layer.")
    return LayerId("broad" if match[1] == "broad" else "fine", int(match[2]))


def is_layer_id(id: str) -> bool:
    """Whether a text is the id of a cluster in a coarser or finer layer."""
    return _LAYER.fullmatch(id) is not None


def id_in_partition(cluster_id: str, partition: str | None) -> str:
    """`cl_0`, or `<partition>:cl_0` where the run has a filter of its own."""
    return cluster_id if partition is None else f"{partition}{PARTITION_END}{cluster_id}"
