"""Counts and sizes in sentences, and the unit of costs."""

from typing import Final

__all__ = ["PICODOLLARS", "format_bytes", "plural"]

PICODOLLARS: Final = 10**12
"""In a US dollar; costs are whole numbers of them, so that sums are exact."""


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 cluster`, `1,234 clusters`; `many` is the plural where it is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else many or f'{noun}s'}"


def format_bytes(count: float) -> str:
    """Format a number of bytes, as in `3.2 GiB`."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"
