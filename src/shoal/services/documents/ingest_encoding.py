"""Vectors for documents that come without: texts are encoded on the way into a collection that names an encoder.

What fails here, and what would keep a request too long, is left to the next run, which encodes every text that has no
vector or an outdated one (`runs/encoding.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import numpy as np
import orjson

from shoal.columns import DocumentBatch, Rows, VectorColumn
from shoal.errors import ShoalError
from shoal.quantities import plural
from shoal.records.collection import Collection
from shoal.records.scope import Scope
from shoal.records.text_encoding import EncodingMark, TextEncoding
from shoal.runs.encoders import Encoded, PermittedEncoders
from shoal.runs.encoding import StoredTexts, encode_outdated, text_of
from shoal.storage.protocols.documents import DocumentStore
from shoal.storage.protocols.records import Json

__all__ = ["IngestEncoding"]

_MOST_CHARACTERS: Final = 4 * 2**20
"""Characters that are encoded before a request is answered."""
_LATER: Final = "The next run encodes them."


class IngestEncoding:
    """Encodes the texts of documents that are written. `now` is UTC."""

    def __init__(self, store: DocumentStore, encoders: PermittedEncoders, now: Callable[[], datetime]) -> None:
        self._store, self._encoders, self._now = store, encoders, now

    def fill(
        self, collection: Collection, batch: DocumentBatch, most: int = _MOST_CHARACTERS
    ) -> tuple[DocumentBatch, list[str]]:
        """Return the batch with vectors for the documents without any, and sentences for the caller. Documents that
        brought vectors, under whatever name, stay as they are."""
        encoding = collection.text_encoding
        if encoding is None or not len(batch):
            return batch, []
        sent = batch.vectors.get(encoding.vector_name)
        rows = _find_bare(batch)
        payloads = [orjson.loads(batch.payloads[row]) for row in rows]
        encoded, warnings = self._encode(encoding, [text_of(payload, encoding.fields) for payload in payloads], most)
        if encoded is None or not len(encoded.rows):
            return batch, warnings
        marked = list(batch.payloads)
        for row, mark in zip(encoded.rows.tolist(), encoded.marks, strict=True):
            internal = {**payloads[row].get("_internal", {}), **EncodingMark.update(encoding.vector_name, mark)}
            marked[rows[row]] = orjson.dumps({**payloads[row], "_internal": internal})
        column = _join(sent, VectorColumn(rows[encoded.rows], encoded.points))
        return replace(batch, payloads=marked, vectors={**batch.vectors, encoding.vector_name: column}), warnings

    def fill_all(
        self, collection: Collection, batches: Iterator[DocumentBatch], warnings: list[str]
    ) -> Iterator[DocumentBatch]:
        """Fill the batches of an import one by one; the first failure leaves the rest to the next run. Adds sentences
        to `warnings` at the end."""
        encoding, total, empty, failure = collection.text_encoding, 0, 0, list[str]()
        for batch in batches:
            filled, notes = (batch, []) if failure else self.fill(collection, batch, most=2**62)
            failure += [note for note in notes if _LATER in note]
            if encoding is not None and not failure:
                empty += len(_find_bare(filled))
            total += len(batch)
            yield filled
        if failure:
            warnings += failure
        elif encoding is not None and empty and not self._encoders.is_fitted_at_runs(encoding.encoder):
            warnings.append(_describe_empty(empty, encoding))

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
        documents = [
            document
            for document in self._store.get(scope, collection.storage_key, ids, vectors="all")
            if document is not None
        ]
        texts = [text_of(document.payload, encoding.fields) for document in documents]
        if sum(map(len, texts)) > _MOST_CHARACTERS:
            return
        name = encoding.vector_name
        marks = [EncodingMark.of(document.payload.get("_internal", {}), name) for document in documents]
        own = [mark is None and bool(document.vectors) for mark, document in zip(marks, documents, strict=True)]
        stored = StoredTexts([document.document_id for document in documents], texts, marks, own)
        try:
            if not self._encoders.is_fitted_at_runs(encoding.encoder):
                by = (self._encoders, self._encoders.open(encoding.encoder))
                encode_outdated(self._store, scope, collection, encoding, stored, by, self._now())
        except ShoalError:
            return

    def _encode(self, encoding: TextEncoding, texts: Sequence[str], most: int) -> tuple[Encoded | None, list[str]]:
        """Encode as many texts as `most` characters hold."""
        try:
            if self._encoders.is_fitted_at_runs(encoding.encoder):
                return None, []
            count = int(np.searchsorted(np.cumsum([len(text) for text in texts]), most, side="right"))
            encoded = self._encoders.encode(encoding, texts[:count])
        except ShoalError as error:
            return None, [f"{plural(len(texts), 'document')} got no vector: {error.message} {_LATER}"]
        notes = []
        if count < len(texts):
            notes.append(f"{plural(len(texts) - count, 'document')} got no vector yet, for their length. {_LATER}")
        if len(encoded.rows) < count:
            notes.append(_describe_empty(count - len(encoded.rows), encoding))
        return encoded, notes


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
