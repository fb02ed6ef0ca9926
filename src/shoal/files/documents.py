"""The payloads of the documents of a file, as the JSON objects that a store would hold."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from shoal.files.payloads import batch_to_json, check_types, rows_to_json
from shoal.files.reader import Attributes
from shoal.records.documents.vectors import Place
from shoal.records.queries.fields import key_paths

__all__ = ["Documents"]

Part: TypeAlias = pa.RecordBatch | pa.LargeBinaryArray
"""Arrow columns, or the JSON object of each document as bytes: one block of memory instead of one per document."""

_READ_AT_ONCE: Final = 4 * 2**20
"""Bytes of Arrow columns that are converted to JSON together, which takes a small multiple of that."""


@dataclass(frozen=True, slots=True)
class Documents:
    """Payloads in file order. `byo` says that Arrow rows have the shape of a BYODocument."""

    parts: Sequence[Part]
    byo: bool = False

    @classmethod
    def from_attributes(cls, attributes: Attributes, place: Place, *, byo: bool) -> "Documents":
        """Wrap the attributes of one chunk. Rows read as JSON are kept as JSON text, which is smaller.

        Raises InvalidField at a `place` that is nested too deeply, or for a column that is not valid JSON.
        """
        if isinstance(attributes, pa.RecordBatch):
            check_types(attributes.schema, place)
            return cls([attributes], byo)
        return cls([_pack(rows_to_json(attributes, place, byo=byo, stored=False))])

    @classmethod
    def concatenate(cls, chunks: Sequence["Documents"]) -> "Documents":
        """Concatenate the chunks of a file."""
        return cls(
            [part for documents in chunks for part in documents.parts], any(documents.byo for documents in chunks)
        )

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def nbytes(self) -> int:
        """Memory used, in bytes."""
        return sum(part.nbytes for part in self.parts)

    def read(self, fields: Iterable[str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the JSON objects. With `fields`, only as much of each as is needed to find those."""
        roots = None if fields is None else {path[0] for field in fields for path in key_paths(field)}
        for part in self.parts:
            if isinstance(part, pa.RecordBatch):
                yield from _read_columns(part, roots, byo=self.byo)
            else:
                for piece in _split(part):
                    yield from map(orjson.loads, piece.to_pylist())

    def take(self, rows: NDArray[np.int64]) -> "Documents":
        """Return these rows; `rows` is (m,), ascending."""
        starts = np.cumsum([0, *map(len, self.parts)])
        bounds = np.searchsorted(rows, starts)
        parts = [_take_rows(part, rows[bounds[i] : bounds[i + 1]] - starts[i]) for i, part in enumerate(self.parts)]
        return Documents([part for part in parts if len(part)], self.byo)

    def trim(self, trim: Callable[[dict[str, Any]], dict[str, Any]], most: int) -> "Documents":
        """Apply `trim` to every document where they take more than `most` bytes on average."""
        if self.nbytes <= most * len(self):
            return self
        return Documents([_pack([orjson.dumps(trim(document)) for document in self.read()])])


def _read_columns(batch: pa.RecordBatch, roots: set[str] | None, *, byo: bool) -> Iterator[dict[str, Any]]:
    count = len(batch)
    if roots is not None and not byo:
        batch = batch.select([name for name in batch.schema.names if name in roots])
    if not batch.num_columns:
        yield from ({} for _ in range(count))
        return
    for piece in _split(batch):
        yield from map(orjson.loads, batch_to_json(piece, str, byo=byo, stored=False))


def _split(part: Part) -> Iterator[Any]:
    """Yield slices of about as many bytes as are read at once."""
    size = max(1, len(part) * _READ_AT_ONCE // max(part.nbytes, 1))
    for start in range(0, len(part), size):
        yield part.slice(start, size)


def _pack(encoded: Sequence[bytes]) -> pa.LargeBinaryArray:
    return pa.array(encoded, pa.large_binary())


def _take_rows(part: Part, rows: NDArray[np.int64]) -> Part:
    return part if len(rows) == len(part) else part.take(pa.array(rows))
