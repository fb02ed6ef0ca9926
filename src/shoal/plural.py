"""Formats counts of things."""

__all__ = ["plural"]


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 cluster`, `1,234 clusters`; `many` is the plural where it is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else many or f'{noun}s'}"
