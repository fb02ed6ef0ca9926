"""Slices of id lists."""

from collections.abc import Iterator, Sequence

__all__ = ["batched"]


def batched(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Slices of at most `size` ids, because SQL statements take a bounded number of parameters."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
