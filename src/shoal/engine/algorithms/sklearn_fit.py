"""Shared by the algorithms that use scikit-learn: collect its warnings, and reject fits that cost too much."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shoal.errors import InvalidField

__all__ = ["check_affordable", "collect_warnings"]

_MAX_SECONDS = 3600.0
_MAX_BYTES = 4 << 30


@contextmanager
def collect_warnings(messages: list[str]) -> Iterator[None]:
    """Append the warnings raised inside the block to `messages`, once each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        text = " ".join(str(warning.message).split())
        if text not in messages:
            messages.append(text)


def check_affordable(field: str, value: object, seconds: float, size: float, remedies: Sequence[str]) -> None:
    """Raises InvalidField if a fit would take more than an hour or 4 GiB, by a rough estimate."""
    if seconds <= _MAX_SECONDS and size <= _MAX_BYTES:
        return
    cost = f"would take about {seconds / 3600:,.1f} hours and {size / (1 << 30):,.1f} GiB"
    raise InvalidField(field, f"{cost}; the limits are 1 hour and 4 GiB", value=value, remedy=" ".join(remedies))
