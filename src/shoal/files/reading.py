"""The seam to foreign readers: what they raise becomes one sentence about the file."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from shoal.errors import InvalidField

__all__ = ["speaking_shoal"]

_SHOWN = 200


@contextmanager
def speaking_shoal(label: str) -> Iterator[None]:
    """Raises InvalidField about the file `label` for bytes that cannot be read."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:_SHOWN].rstrip(".")
        remedy = "The file may be cut off or damaged: write it again."
        raise InvalidField(label, f"cannot be read ({reason})", remedy=remedy) from error
