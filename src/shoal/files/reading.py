"""The seam to foreign readers: what they raise, whatever it is, becomes one sentence about the file."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import pyarrow as pa

from shoal.errors import InvalidField, ShoalError, TooLarge

__all__ = ["converted", "out_of_memory", "speaking_shoal"]

_Made = TypeVar("_Made")
_log = logging.getLogger("shoal.files")
_SHOWN: Final = 200
_EXPECTED: Final = (pa.ArrowException, OSError, ValueError)
"""What readers raise for bytes that are not right. Everything else is translated as well, and logged as unforeseen."""


@contextmanager
def speaking_shoal(label: str, remedy: str = "The file may be cut off or damaged: write it again.") -> Iterator[None]:
    """Raises InvalidField about `label` (a file, or a row and a column of one) for whatever a reader raises in the
    block, TooLarge where it ran out of memory. Errors of Shoal's own pass."""
    try:
        yield
    except ShoalError:
        raise
    except MemoryError as error:
        raise out_of_memory(label) from error
    except Exception as error:  # readers raise anything at all for bytes that were made to hurt them
        if not isinstance(error, _EXPECTED):
            _log.info("%s: a reader raised what was not foreseen", label, exc_info=error)
        reason = " ".join(str(error).split())[:_SHOWN].rstrip(".") or type(error).__name__
        raise InvalidField(label, f"cannot be read ({reason})", remedy=remedy) from error


def converted(column: pa.Array, convert: Callable[[pa.Array], _Made], place: Callable[[int], str]) -> _Made:
    """What `convert` makes of a column of a batch. Where it raises what is no error of Shoal's, the InvalidField names
    the first row that it fails for: `place(row)`."""
    try:
        return convert(column)
    except (ShoalError, MemoryError):
        raise
    except Exception as error:  # as above
        row, error = _first_failing(column, convert, error)
        with speaking_shoal(place(row), remedy="Give the column another type, or leave it out."):
            raise error


def _first_failing(column: pa.Array, convert: Callable[[pa.Array], object], error: Exception) -> tuple[int, Exception]:
    """The first row that cannot be converted, found by halving, and what was raised for it."""
    start, stop = 0, len(column)
    while stop - start > 1:
        middle = (start + stop) // 2
        failed = _failure(column.slice(start, middle - start), convert)
        if failed is None:
            start = middle
        else:
            stop, error = middle, failed
    return start, error


def _failure(column: pa.Array, convert: Callable[[pa.Array], object]) -> Exception | None:
    try:
        convert(column)
    except Exception as error:  # noqa: BLE001  # as above
        return error
    return None


def out_of_memory(label: str) -> TooLarge:
    """The error about a file whose reading met the limit of memory."""
    return TooLarge(
        f"{label}: takes more memory to read than a file may (SHOAL_IMPORT_MEMORY_MIB). Write it in smaller batches or "
        "row groups, or raise the setting.",
        field=label,
        setting="SHOAL_IMPORT_MEMORY_MIB",
    )
