"""At the start of a run, every text without a vector, or with an outdated one, is encoded and stored.

Documents get their vectors when they are written; what failed there, what was changed in bulk, what an earlier version
of the encoder made, and everything that a fitted encoder makes, is brought up to date here.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import numpy as np

from shoal.columns import VectorColumn
from shoal.encoders import Encoder, needs_fit
from shoal.engine.plan import Progress
from shoal.errors import EncoderFailed, Unavailable
from shoal.labeling import whole_text
from shoal.quantities import plural
from shoal.records.collection import Collection
from shoal.records.queries.fields import find_field
from shoal.records.queries.filters import MATCH_ALL
from shoal.records.scope import Scope
from shoal.records.text_encoding import EncodingMark, TextEncoding, encoding_fields
from shoal.runs.encoders import Encoded, PermittedEncoders, hash_text
from shoal.storage.protocols.documents import DerivedVectors, DocumentStore
from shoal.storage.protocols.records import Json

__all__ = ["RunEncoding", "StoredTexts", "encode_outdated", "text_of"]

_AT_ONCE: Final = 4096
"""Documents that are encoded and stored together."""


def text_of(payload: Json, fields: Sequence[str]) -> str:
    """Return the text of a document that is encoded."""
    return whole_text([find_field(payload, field)[1] for field in fields])


@dataclass(frozen=True, slots=True)
class StoredTexts:
    """Stored documents: aligned ids, texts, marks of their vectors, and whether they brought these themselves.

    A text is None where its vector is known to be up to date.
    """

    ids: Sequence[str]
    texts: Sequence[str | None]
    marks: Sequence[EncodingMark | None]
    own: Sequence[bool]

    def block(self, first: int, size: int) -> "StoredTexts":
        """Return some of the documents."""
        rows = slice(first, first + size)
        return StoredTexts(self.ids[rows], self.texts[rows], self.marks[rows], self.own[rows])

    def find_outdated(self, encoder: str) -> list[int]:
        """Return the rows whose text is new, was changed or emptied, or was encoded by another encoder or version."""
        return [
            row
            for row, (text, mark) in enumerate(zip(self.texts, self.marks, strict=True))
            if text is not None and not self.own[row] and _is_outdated(text, mark, encoder)
        ]


class RunEncoding:
    """Brings the vectors of collections up to date. `now` is UTC."""

    def __init__(self, store: DocumentStore, encoders: PermittedEncoders, now: Callable[[], datetime]) -> None:
        self._store, self._encoders, self._now = store, encoders, now

    def update(
        self, scope: Scope, sources: Sequence[Collection], features: Sequence[str], progress: Progress, *, fit: bool
    ) -> list[str]:
        """Encode what these features of the collections lack. Returns sentences about what could not be encoded.

        `fit` says whether fitted encoders may learn anew, which moves all of their vectors. Raises Cancelled from
        `progress`, and the errors of the store.
        """
        warnings = list[str]()
        for feature in features:
            group = [
                (source, source.text_encoding)
                for source in sources
                if source.text_encoding is not None and source.text_encoding.vector_name == feature
            ]
            try:
                if group:
                    warnings += self._update_feature(scope, group, progress, fit=fit)
            except EncoderFailed as error:
                warnings.append(f"Texts without vectors could not be encoded: {error.message}")
        return warnings

    def _update_feature(
        self, scope: Scope, group: Sequence[tuple[Collection, TextEncoding]], progress: Progress, *, fit: bool
    ) -> list[str]:
        uri = group[0][1].encoder
        encoder = self._encoders.load(uri)
        is_fitted = needs_fit(encoder)
        if is_fitted and not fit:
            return self._describe_left(scope, group)
        progress("encode", 0.0)
        current = None if is_fitted else encoder.name
        loaded = [self._load(scope, source, encoding, current) for source, encoding in group]
        if is_fitted:
            texts = [text for stored in loaded for text in stored.texts if text and not text.isspace()]
            encoder = self._encoders.fit(uri, texts) if texts else encoder
        done, total = 0, sum(len(stored.ids) for stored in loaded)
        for (source, encoding), stored in zip(group, loaded, strict=True):
            for first in range(0, len(stored.ids), _AT_ONCE):
                block = stored.block(first, _AT_ONCE)
                encode_outdated(self._store, scope, source, encoding, block, (self._encoders, encoder), self._now())
                done += len(block.ids)
                progress("encode", done / total)
        return []

    def open_encoders(self, sources: Sequence[Collection], features: Sequence[str]) -> dict[str, Encoder]:
        """Return by feature the encoders that are ready for further texts: none that learns from a collection, and none
        that cannot be opened."""
        opened = dict[str, Encoder]()
        for source in sources:
            encoding = source.text_encoding
            if encoding is None or encoding.vector_name not in features:
                continue
            with contextlib.suppress(EncoderFailed):
                encoder = self._encoders.load(encoding.encoder)
                if not needs_fit(encoder):
                    opened[encoding.vector_name] = encoder
        return opened

    def find_versions(self, scope: Scope, sources: Sequence[Collection], features: Sequence[str]) -> dict[str, str]:
        """Return the encoder of the vectors of each encoded feature, with its version and, if it is fitted, its fit.

        Call it after the vectors are read: vectors are replaced block by block, so if all have the same version now,
        those that were read had it too. Raises Unavailable where fits are mixed, since distances between their vectors
        mean nothing.
        """
        versions = dict[str, str]()
        for feature in features:
            names = {name for source in sources for name in self._versions_of(scope, source, feature)}
            if len(names) > 1:
                problem = (
                    f"The texts of {feature!r} are being encoded anew by another run, or one was interrupted at it."
                )
                raise Unavailable(f"{problem} Execute the cluster again, in full.", 5)
            if names:
                versions[feature] = names.pop()
        return versions

    def _versions_of(self, scope: Scope, source: Collection, feature: str) -> list[str]:
        encoding = source.text_encoding
        if encoding is None or encoding.vector_name != feature:
            return []
        try:
            encoder = self._encoders.load(encoding.encoder)
        except EncoderFailed:
            return []
        if not needs_fit(encoder):
            return [encoder.name]
        field = f"{encoding_fields(encoding)[0]}.encoder"
        values, _ = self._store.distinct(scope, source.storage_key, field, MATCH_ALL, 2)
        return [str(value) for value, _ in values]

    def _describe_left(self, scope: Scope, group: Sequence[tuple[Collection, TextEncoding]]) -> list[str]:
        """Say how many documents a run that learns nothing leaves without a vector of their text."""
        left = 0
        for source, encoding in group:
            fields = encoding_fields(encoding)
            ids, _, waiting = self._store.load_made(scope, [source.storage_key], fields, _needs_vector)
            present = set(self._store.load_ids_with_vector(scope, source.storage_key, encoding.vector_name))
            left += sum(changed or (new and id not in present) for id, (new, changed) in zip(ids, waiting, strict=True))
        if not left:
            return []
        have = plural(left, "document has", "documents have")
        return [
            f"{have} no vector of the present text: {group[0][1].encoder} learns and encodes in full runs only. "
            "Execute the cluster in full to include new and changed texts."
        ]

    def _load(self, scope: Scope, source: Collection, encoding: TextEncoding, current: str | None) -> StoredTexts:
        """Load the state of the vectors of all documents of a collection, and their texts; with the name of the
        `current` encoder only the outdated ones, others are None."""
        fields, name = encoding_fields(encoding), encoding.vector_name
        ids, _, read = self._store.load_made(scope, [source.storage_key], fields, partial(_read_text, current))
        with_vector = set(self._store.load_ids_with_vector(scope, source.storage_key, name))
        own = [mark is None and id in with_vector for id, (mark, _) in zip(ids, read, strict=True)]
        return StoredTexts(ids, [text for _, text in read], [mark for mark, _ in read], own)


def encode_outdated(
    store: DocumentStore,
    scope: Scope,
    source: Collection,
    encoding: TextEncoding,
    stored: StoredTexts,
    by: tuple[PermittedEncoders, Encoder],
    now: datetime,
) -> int:
    """Encode the outdated ones of these documents, and store vectors and marks; where there is no text to encode any
    more, the vector goes.

    A document that has its own vector keeps it, also if it came while the others were encoded. May be repeated at any
    time: a text that changes meanwhile is found outdated by the next run, since the mark has its hash. Returns the
    number of outdated texts in which there is nothing to encode. Raises EncoderFailed, and the errors of the store.
    """
    encoders, encoder = by
    outdated = stored.find_outdated(encoder.name)
    if not outdated:
        return 0
    encoded = encoders.encode(encoding, [stored.texts[row] or "" for row in outdated], encoder)
    derived = _derive(encoding, stored, outdated, encoded)
    if derived.updates:
        store.store_derived(scope, source.storage_key, [derived], now=now)
    return len(outdated) - len(encoded.rows)


def _derive(encoding: TextEncoding, stored: StoredTexts, outdated: Sequence[int], encoded: Encoded) -> DerivedVectors:
    """Return what is stored for the outdated documents: their new vectors, and none for those that lose theirs."""
    marks = dict(zip(encoded.rows.tolist(), encoded.marks, strict=True))
    changed = [row for row in range(len(outdated)) if row in marks or stored.marks[outdated[row]] is not None]
    rows = np.searchsorted(np.array(changed, dtype=np.int64), encoded.rows)
    before = [stored.marks[outdated[row]] for row in changed]
    return DerivedVectors(
        encoding.vector_name,
        encoding_fields(encoding)[0],
        [None if mark is None else mark.model_dump() for mark in before],
        [
            (stored.ids[outdated[row]], {"_internal": EncodingMark.update(encoding.vector_name, marks.get(row))})
            for row in changed
        ],
        VectorColumn(rows, encoded.points),
    )


def _is_outdated(text: str, mark: EncodingMark | None, encoder: str) -> bool:
    if mark is None:
        return bool(text)
    return mark.encoder != encoder or mark.text != hash_text(text)


def _read_text(current: str | None, values: Sequence[Any]) -> tuple[EncodingMark | None, str | None]:
    """Return the mark of a vector, which is the first value, and the text of the others unless it is up to date."""
    mark = EncodingMark.model_validate(values[0]) if isinstance(values[0], dict) else None
    text = whole_text(values[1:])
    is_current = mark is not None and mark.encoder == current and mark.text == hash_text(text)
    return mark, None if is_current else text


def _needs_vector(values: Sequence[Any]) -> tuple[bool, bool]:
    """Return whether a document has a text and no mark, and whether its text differs from that of its mark."""
    mark, text = _read_text(None, values)
    return mark is None and bool(text and not text.isspace()), mark is not None and mark.text != hash_text(text or "")
