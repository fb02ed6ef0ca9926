"""Partition values in folder names (`lang=en`) as columns."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from shoal.files.paths.shards import Shard

__all__ = ["partition_columns"]

_WHOLE: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})")


def partition_columns(shards: Sequence[Shard], columns: Mapping[str, pa.DataType]) -> dict[str, pa.Array]:
    """Return the partition columns: one value per file, by name."""
    partitions: dict[str, pa.Array] = {}
    for name in shards[0].partition:
        if name not in columns:
            values = [shard.partition[name] for shard in shards]
            whole = all(value is None or _WHOLE.fullmatch(value) for value in values)
            numbers = [None if value is None else int(value) for value in values] if whole else values
            partitions[name] = pa.array(numbers, pa.int64() if whole else pa.string())
    return partitions
