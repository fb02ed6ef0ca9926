"""Vectors for documents that come without: texts are encoded on the way into a collection that names an encoder.

What fails here, and what would keep a request or an import too long, is left to the next run, which encodes every text
that has no vector or an outdated one (`runs/encoding.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import numpy as np
import orjson

from shoal.columns import DocumentBatch, Rows, VectorColumn
from shoal.encoders import Encoder, estimate_encoding, needs_fit
from shoal.errors import EncoderFailed
from shoal.quantities import plural
from shoal.records.collection import Collection
from shoal.records.scope import Scope
from shoal.records.text_encoding import EncodingMark, TextEncoding
from shoal.runs.encoders import Encoded, PermittedEncoders
from shoal.runs.encoding import StoredTexts, encode_outdated, text_of
from shoal.storage.protocols.documents import DocumentStore
from shoal.storage.protocols.records import Json

__all__ = ["Bare", "IngestEncoding"]

_MOST_CHARACTERS: Final = 4 * 2**20
_REQUEST_SECONDS: Final = 20.0
"""What is encoded before a request is answered, by the estimate for its encoder."""
_IMPORT_SECONDS: Final = 120.0
_IMPORTED_AT_ONCE: Final = 1_000
_MOST_IMPORTED: Final = 2_000_000
"""Ids of documents without vectors that are remembered while a file is imported."""
_LATER: Final = "The next run encodes them."


class IngestEncoding:
    """Encodes the texts of documents that are written. `now` is UTC."""

    def __init__(self, store: DocumentStore, encoders: PermittedEncoders, now: Callable[[], datetime]) -> None:
        self._store, self._encoders, self._now = store, encoders, now

    def fill(self, collection: Collection, batch: DocumentBatch) -> tuple[DocumentBatch, list[str]]:
        """Return the batch with vectors for the documents without any, and sentences for the caller. Documents that
        brought vectors, under whatever name, stay as they are."""
        encoding = collection.text_encoding
        if encoding is None or not len(batch):
            return batch, []
        sent = batch.vectors.get(encoding.vector_name)
        rows = _find_bare(batch)
        payloads = [orjson.loads(batch.payloads[row]) for row in rows]
        encoded, warnings = self._encode(encoding, [text_of(payload, encoding.fields) for payload in payloads])
        if encoded is None or not len(encoded.rows):
            return batch, warnings
        marked = list(batch.payloads)
        for row, mark in zip(encoded.rows.tolist(), encoded.marks, strict=True):
            internal = {**payloads[row].get("_internal", {}), **EncodingMark.update(encoding.vector_name, mark)}
            marked[rows[row]] = orjson.dumps({**payloads[row], "_internal": internal})
        column = _join(sent, VectorColumn(rows[encoded.rows], encoded.points))
        return replace(batch, payloads=marked, vectors={**batch.vectors, encoding.vector_name: column}), warnings

    def note_bare(
        self, collection: Collection, batches: Iterator[DocumentBatch], bare: "Bare"
    ) -> Iterator[DocumentBatch]:
        """Pass the batches of an import on, and add their documents without vectors to `bare`."""
        for batch in batches:
            if collection.text_encoding is not None:
                bare.add([batch.ids[row] for row in _find_bare(batch).tolist()])
            yield batch

    def encode_imported(self, scope: Scope, collection: Collection, bare: "Bare") -> list[str]:
        """Encode documents that an import has written, a few at a time: other writers of the namespace do not wait.

        The first failure, and a bound on the time, leave the rest to the next run. Returns sentences for the caller.
        """
        encoding = collection.text_encoding
        if encoding is None or not bare.ids:
            return []
        done, empty, failure = 0, 0, "that takes too long for an import."
        try:
            encoder = self._encoders.load(encoding.encoder)
            if needs_fit(encoder):
                return []
            for count, without_text in self._encode_pieces(scope, collection, encoding, encoder, bare.ids):
                done, empty = done + count, empty + without_text
        except EncoderFailed as error:
            failure = error.message
        bare.encoded = done - empty
        rest = bare.count - done
        notes = [f"{plural(rest, 'document')} got no vector yet: {failure} {_LATER}"] if rest else []
        return [*notes, *([_describe_empty(empty, encoding)] if empty else [])]

    def _encode_pieces(
        self, scope: Scope, collection: Collection, encoding: TextEncoding, encoder: Encoder, ids: Sequence[str]
    ) -> Iterator[tuple[int, int]]:
        """Encode stored documents piece by piece. Yields the number of those that were read, and had no text."""
        left = _IMPORT_SECONDS
        for first in range(0, len(ids), _IMPORTED_AT_ONCE):
            piece = ids[first : first + _IMPORTED_AT_ONCE]
            stored = self._read(scope, collection, encoding, piece)
            seconds = _estimate_seconds(encoder, stored.texts)
            if seconds > left:
                return
            left -= seconds
            by = (self._encoders, encoder)
            lacking = encode_outdated(self._store, scope, collection, encoding, stored, by, self._now())
            yield len(piece), lacking + stored.texts.count("")

    def mark_sent(self, collection: Collection, batch: DocumentBatch, internal: Json) -> Json:
        """Return `_internal` of a document after its change: a vector that is sent is not an encoded one any more."""
        encoding = collection.text_encoding
        if encoding is None or encoding.vector_name not in batch.vectors:
            return internal
        return {**internal, **EncodingMark.update(encoding.vector_name, None)}

    def refresh(self, scope: Scope, collection: Collection, ids: Sequence[str]) -> None:
        """Encode the texts of documents anew where they changed. What fails is left to the next run."""
        encoding = collection.text_encoding
        if encoding is None or not ids:
            return
        try:
            encoder = self._encoders.load(encoding.encoder)
            if needs_fit(encoder):
                return
            stored = self._read(scope, collection, encoding, ids)
            stored = stored.block(0, _count_affordable(encoder, stored.texts))
            encode_outdated(self._store, scope, collection, encoding, stored, (self._encoders, encoder), self._now())
        except EncoderFailed:
            return

    def _read(self, scope: Scope, collection: Collection, encoding: TextEncoding, ids: Sequence[str]) -> StoredTexts:
        """Read the texts and marks of documents; those with any vector of their own have their own."""
        documents = [
            document
            for document in self._store.get(scope, collection.storage_key, ids, vectors="all")
            if document is not None
        ]
        name = encoding.vector_name
        marks = [EncodingMark.of(document.payload.get("_internal", {}), name) for document in documents]
        return StoredTexts(
            [document.document_id for document in documents],
            [text_of(document.payload, encoding.fields) for document in documents],
            marks,
            [mark is None and bool(document.vectors) for mark, document in zip(marks, documents, strict=True)],
        )

    def _encode(self, encoding: TextEncoding, texts: Sequence[str]) -> tuple[Encoded | None, list[str]]:
        """Encode as many texts as a request may."""
        try:
            encoder = self._encoders.load(encoding.encoder)
            if needs_fit(encoder):
                return None, []
            count = _count_affordable(encoder, texts)
            encoded = self._encoders.encode(encoding, texts[:count], encoder)
        except EncoderFailed as error:
            return None, [f"{plural(len(texts), 'document')} got no vector: {error.message} {_LATER}"]
        notes = []
        if count < len(texts):
            notes.append(f"{plural(len(texts) - count, 'document')} got no vector yet: that takes too long. {_LATER}")
        if len(encoded.rows) < count:
            notes.append(_describe_empty(count - len(encoded.rows), encoding))
        return encoded, notes


@dataclass(slots=True)
class Bare:
    """The documents of an import without vectors: their number, the ids of the first ones, and how many
    were encoded afterwards."""

    ids: list[str] = field(default_factory=list)
    count: int = 0
    encoded: int = 0

    def add(self, ids: Sequence[str]) -> None:
        """Add documents."""
        self.count += len(ids)
        self.ids += ids[: _MOST_IMPORTED - len(self.ids)]


def _estimate_seconds(encoder: Encoder, texts: Sequence[str | None]) -> float:
    return estimate_encoding(encoder, len(texts), sum(len(text or "") for text in texts))[0]


def _count_affordable(encoder: Encoder, texts: Sequence[str | None]) -> int:
    """Return how many of the texts, from the first on, are encoded within a request."""
    seconds = np.cumsum([_estimate_seconds(encoder, [text]) for text in texts])
    characters = np.cumsum([len(text or "") for text in texts])
    return int(np.count_nonzero((seconds <= _REQUEST_SECONDS) & (characters <= _MOST_CHARACTERS)))


def _find_bare(batch: DocumentBatch) -> Rows:
    """Return the rows of the documents without any vector."""
    bare = np.ones(len(batch), np.bool_)
    for column in batch.vectors.values():
        bare[column.rows] = False
    return np.flatnonzero(bare)


def _describe_empty(count: int, encoding: TextEncoding) -> str:
    have = plural(count, "document has", "documents have")
    return f"{have} no vector, and no text to encode in {', '.join(encoding.fields)}."


def _join(sent: VectorColumn | None, encoded: VectorColumn) -> VectorColumn:
    """Join vectors that were sent with encoded ones, by row."""
    if sent is None:
        return encoded
    rows = np.concatenate([sent.rows, encoded.rows])
    order = np.argsort(rows)
    return VectorColumn(rows[order], np.ascontiguousarray(np.concatenate([sent.values, encoded.values])[order]))
