"""Lists of ids in batches that fit into one SQL statement."""

from collections.abc import Iterator, Sequence

__all__ = ["split_batches"]


def split_batches(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Yield slices of at most `size` ids, because SQL statements take a bounded number of parameters."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
