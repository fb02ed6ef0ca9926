"""An answer of an embeddings endpoint, trusted in nothing."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

from shoal.columns import Points
from shoal.errors import ShoalError

__all__ = ["Batch", "read_answer"]

LARGEST_DIMENSION: Final = 16_384


@dataclass(frozen=True)
class Batch:
    """What was asked for: so many vectors, of so many numbers if that is known."""

    count: int
    dimension: int = 0


def read_answer(content: bytes, batch: Batch) -> Points:
    """The vectors of an answer, in the order of the texts.

    Parameters
    ----------
    content : bytes
    batch : Batch

    Returns
    -------
    (count, d) float32

    Raises
    ------
    ShoalError
        If the answer is anything but one vector of finite numbers for each text, all of one length.
    """
    try:
        rows = sorted(orjson.loads(content)["data"], key=lambda row: row["index"])
        numbers = [row["index"] for row in rows]
        vectors = np.array([check_row(row["embedding"]) for row in rows], np.float32)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError):
        raise ShoalError("The encoder's answer is not a list of vectors as /v1/embeddings returns it.") from None
    if numbers != list(range(batch.count)):
        raise ShoalError(f"The encoder answered {len(rows):,} texts where {batch.count:,} were sent.")
    if vectors.ndim != 2 or not 0 < vectors.shape[1] <= LARGEST_DIMENSION:
        raise ShoalError(f"The encoder's vectors do not have 1 to {LARGEST_DIMENSION:,} numbers each.")
    if batch.dimension and vectors.shape[1] != batch.dimension:
        raise ShoalError(f"The encoder's vectors have {vectors.shape[1]} numbers, earlier ones {batch.dimension}.")
    if not np.isfinite(vectors).all():
        raise ShoalError("The encoder's vectors hold numbers that are not finite.")
    return vectors


def check_row(row: Any) -> list[float]:
    if not isinstance(row, list) or any(type(number) not in (int, float) for number in row):
        raise TypeError
    return row
