"""The seam to third-party readers: whatever they raise becomes one sentence about the file."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import pyarrow as pa

from shoal.errors import InvalidField, ShoalError, TooLarge

__all__ = ["convert_column", "out_of_memory_error", "translate_errors"]

_Converted = TypeVar("_Converted")
_log = logging.getLogger("shoal.files")
_MAX_REASON: Final = 200
_EXPECTED: Final = (pa.ArrowException, OSError, ValueError)
"""What readers raise for malformed bytes. Anything else is translated too, and logged as unexpected."""


@contextmanager
def translate_errors(label: str, remedy: str = "The file may be cut off or damaged: write it again.") -> Iterator[None]:
    """Raise InvalidField about `label` (a file, or a row and a column of one) for whatever a reader raises in the
    block.

    Raises TooLarge where it ran out of memory. Shoal's own errors pass unchanged.
    """
    try:
        yield
    except ShoalError:
        raise
    except MemoryError as error:
        raise out_of_memory_error(label) from error
    except Exception as error:  # readers raise anything at all for malicious bytes
        if not isinstance(error, _EXPECTED):
            _log.info("%s: a reader raised what was not foreseen", label, exc_info=error)
        reason = " ".join(str(error).split())[:_MAX_REASON].rstrip(".") or type(error).__name__
        raise InvalidField(label, f"cannot be read ({reason})", remedy=remedy) from error


def convert_column(
    column: pa.Array, convert: Callable[[pa.Array], _Converted], place: Callable[[int], str]
) -> _Converted:
    """Return `convert(column)` for a column of a batch.

    Where it raises anything but Shoal's own errors, the InvalidField names the first row that fails: `place(row)`.
    """
    try:
        return convert(column)
    except (ShoalError, MemoryError):
        raise
    except Exception as error:  # as above
        row, error = _find_failing_row(column, convert, error)
        with translate_errors(place(row), remedy="Give the column another type, or leave it out."):
            raise error


def _find_failing_row(
    column: pa.Array, convert: Callable[[pa.Array], object], error: Exception
) -> tuple[int, Exception]:
    """Return the first row that cannot be converted, found by bisection, and the exception it raises."""
    start, stop = 0, len(column)
    while stop - start > 1:
        middle = (start + stop) // 2
        failure = _try_convert(column.slice(start, middle - start), convert)
        if failure is None:
            start = middle
        else:
            stop, error = middle, failure
    return start, error


def _try_convert(column: pa.Array, convert: Callable[[pa.Array], object]) -> Exception | None:
    try:
        convert(column)
    except Exception as error:  # noqa: BLE001  # as above
        return error
    return None


def out_of_memory_error(label: str) -> TooLarge:
    """Build the error about a file that exceeded the memory limit of its reader."""
    return TooLarge(
        f"{label}: needs more memory to read than is allowed (SHOAL_IMPORT_MEMORY_MIB). Write it in smaller batches or "
        "row groups, or raise the setting.",
        field=label,
        setting="SHOAL_IMPORT_MEMORY_MIB",
    )
