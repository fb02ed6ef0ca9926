"""The vectors of a file, stacked chunk by chunk."""

from collections.abc import Mapping

import numpy as np

from shoal.columns import Points, Rows, VectorColumn
from shoal.files.reader import Chunk

__all__ = ["VectorBlocks", "find_complete_rows"]


class VectorBlocks:
    """Stacks blocks of vectors: in place where the number of rows is known, else concatenated at the end."""

    def __init__(self, rows: int | None, dimension: int) -> None:
        self._room = None if rows is None else np.empty((rows, dimension), np.float32)
        self._filled = 0
        self._blocks: list[Points] = []
        self._rests: list[Points | None] = []
        self._sizes: list[int] = []

    def add(self, column: VectorColumn | None, selected: Rows) -> None:
        if column is None:
            return
        chosen = slice(None) if len(selected) == len(column.rows) else np.isin(column.rows, selected)
        block = column.values[chosen]
        self._rests.append(None if column.rest is None else column.rest[chosen])
        self._sizes.append(len(block))
        if self._room is None:
            self._blocks.append(block)
        else:
            self._room[self._filled : self._filled + len(block)] = block
        self._filled += len(block)

    def concatenate(self) -> Points:
        return np.concatenate(self._blocks) if self._room is None else self._room[: self._filled]

    def residual(self) -> Points | None:
        """Return the rounding residuals of all rows; None where none matters."""
        width = next((rest.shape[1] for rest in self._rests if rest is not None), None)
        if width is None:
            return None
        residual_sizes = zip(self._rests, self._sizes, strict=True)
        return np.concatenate(
            [np.zeros((size, width), np.float32) if rest is None else rest for rest, size in residual_sizes]
        )


def find_complete_rows(chunk: Chunk, names: Mapping[str, object]) -> Rows:
    """Return the rows that have every vector, ascending."""
    rows = np.arange(len(chunk.ids))
    for name in names:
        column = chunk.vectors.get(name)
        if column is None:
            return np.empty(0, np.int64)
        if len(column.rows) < len(chunk.ids):
            rows = np.intersect1d(rows, column.rows, assume_unique=True)
    return rows
