"""The payloads of the documents of a file, as the JSON objects that a store would hold of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from shoal.files.payloads import check_types, json_of_batch, json_of_rows
from shoal.files.pieces import Attributes
from shoal.records.queries.fields import key_paths
from shoal.records.vectors import Place

__all__ = ["Documents"]

Part: TypeAlias = pa.RecordBatch | pa.LargeBinaryArray
"""Arrow columns, or the JSON object of each document as bytes: one block of memory, not one for each document."""

_READ_AT_ONCE: Final = 4 * 2**20
"""Bytes of Arrow columns that are made into JSON together: what that takes is a small multiple of it."""


@dataclass(frozen=True, slots=True)
class Documents:
    """Payloads in the order of a file. `byo` says that Arrow rows have the shape of a BYODocument."""

    parts: Sequence[Part]
    byo: bool = False

    @classmethod
    def of(cls, attributes: Attributes, place: Place, *, byo: bool) -> "Documents":
        """Those of one stretch of a file. Rows that came as JSON are kept as JSON text, which is smaller. Raises
        InvalidField at a `place` that is nested too deep, or for a column that is no JSON."""
        if isinstance(attributes, pa.RecordBatch):
            check_types(attributes.schema, place)
            return cls([attributes], byo)
        return cls([_packed(json_of_rows(attributes, place, byo=byo, stored=False))])

    @classmethod
    def joined(cls, stretches: Sequence["Documents"]) -> "Documents":
        """All of a file."""
        return cls([part for one in stretches for part in one.parts], any(one.byo for one in stretches))

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def nbytes(self) -> int:
        """What they take in memory."""
        return sum(part.nbytes for part in self.parts)

    def read(self, fields: Iterable[str] | None = None) -> Iterator[dict[str, Any]]:
        """The JSON objects, one after the other. With `fields` no more of each than it takes to find those."""
        wanted = None if fields is None else {path[0] for field in fields for path in key_paths(field)}
        for part in self.parts:
            if isinstance(part, pa.RecordBatch):
                yield from _read_columns(part, wanted, byo=self.byo)
            else:
                for piece in _pieces(part):
                    yield from map(orjson.loads, piece.to_pylist())

    def taken(self, rows: NDArray[np.int64]) -> "Documents":
        """These rows alone; `rows` is (m,), ascending."""
        starts = np.cumsum([0, *map(len, self.parts)])
        bounds = np.searchsorted(rows, starts)
        parts = [_taken(part, rows[bounds[i] : bounds[i + 1]] - starts[i]) for i, part in enumerate(self.parts)]
        return Documents([part for part in parts if len(part)], self.byo)

    def trimmed(self, trim: Callable[[dict[str, Any]], dict[str, Any]], most: int) -> "Documents":
        """The same, where documents of over `most` bytes on average are what `trim` makes of them."""
        if self.nbytes <= most * len(self):
            return self
        return Documents([_packed([orjson.dumps(trim(document)) for document in self.read()])])


def _read_columns(batch: pa.RecordBatch, wanted: set[str] | None, *, byo: bool) -> Iterator[dict[str, Any]]:
    count = len(batch)
    if wanted is not None and not byo:
        batch = batch.select([name for name in batch.schema.names if name in wanted])
    if not batch.num_columns:
        yield from ({} for _ in range(count))
        return
    for piece in _pieces(batch):
        yield from map(orjson.loads, json_of_batch(piece, str, byo=byo, stored=False))


def _pieces(part: Part) -> Iterator[Any]:
    """Stretches of about as many bytes as are to be read at once."""
    size = max(1, len(part) * _READ_AT_ONCE // max(part.nbytes, 1))
    for start in range(0, len(part), size):
        yield part.slice(start, size)


def _packed(encoded: Sequence[bytes]) -> pa.LargeBinaryArray:
    return pa.array(encoded, pa.large_binary())


def _taken(part: Part, rows: NDArray[np.int64]) -> Part:
    return part if len(rows) == len(part) else part.take(pa.array(rows))
