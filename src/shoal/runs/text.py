"""The texts that name the clusters of a run: their fields, and their volume."""

import sys
from collections.abc import Sequence
from typing import Final

import numpy as np

from shoal.labeling import Volume, choose_text_fields, document_text, trim_payload
from shoal.records.documents.document import RESULT_FIELDS, own_fields
from shoal.records.queries.fields import find_field
from shoal.records.queries.filters import MATCH_ALL, Filter
from shoal.records.queries.paging import Page
from shoal.records.scope import Scope
from shoal.storage.protocols.documents import DocumentReader
from shoal.storage.protocols.records import Json, Query

__all__ = ["texts_of_run", "volume_of_run"]

_LOOKED_AT: Final = 200
"""Documents that are sampled to choose the fields with text."""
_AT_ONCE: Final = 20
_ERRORS: Final = 3.0
"""Standard errors that are added to the mean of a sample, so that volumes are not underestimated."""


def texts_of_run(
    store: DocumentReader,
    scope: Scope,
    requested: Sequence[str],
    filter: Filter,
    keys: Sequence[str],
    documents: Sequence[tuple[str, str]],
) -> tuple[list[str] | None, Sequence[str]]:
    """One text for each of the documents, (id, storage key of the collection), None where no field holds any; and the
    fields that they are from: those `requested` for, else chosen ones."""
    fields = _fields(store, scope, requested, filter, keys)
    if not fields:
        return None, ()
    ids, where, texts = store.load_made(scope, keys, fields, document_text, filter=filter)
    loaded = list(zip(ids, where, strict=True))
    if loaded == documents:
        return texts, fields
    by_document = dict(zip(loaded, texts, strict=True))
    return [by_document.get(document, "") for document in documents], fields


def volume_of_run(
    store: DocumentReader, scope: Scope, requested: Sequence[str], filter: Filter, counts: Sequence[tuple[str, int]]
) -> Volume:
    """Estimate from a sample how much text a run would read, rather too much than too little.

    Parameters
    ----------
    counts : sequence of (str, int)
        The storage key of each collection, and how many of its documents match.
    """
    total = sum(count for _, count in counts)
    fields = _fields(store, scope, requested, filter, [key for key, _ in counts]) if total else []
    if not fields:
        return Volume(total)
    sample = [
        document_text([find_field(payload, field)[1] for field in fields])
        for key, count in counts
        for payload in _spread(store, scope, filter, key, count)
    ]
    sizes = np.array([sys.getsizeof(text) for text in sample], np.float64)
    error = 0.0 if len(sizes) >= total else sizes.std() / np.sqrt(len(sizes)) / sizes.mean()
    volume = Volume.of(sample).scale(total)
    more = 1 + _ERRORS * float(error)
    return Volume(total, volume.held_bytes * more, volume.words * more, volume.long_bytes * more)


def _fields(
    store: DocumentReader, scope: Scope, requested: Sequence[str], filter: Filter, keys: Sequence[str]
) -> Sequence[str]:
    """Return the requested fields, else those that read most like text.

    Fields with results of clusters are excluded: names must not be made from names.
    """
    if requested:
        return requested
    sample = [payload for key in keys for payload in _first(store, scope, filter, key)]
    return choose_text_fields(sample, without=RESULT_FIELDS | store.result_fields(scope, keys))


def _first(store: DocumentReader, scope: Scope, filter: Filter, key: str) -> list[Json]:
    """Read the first documents of a collection."""
    payloads: list[Json] = []
    while len(payloads) < _LOOKED_AT:
        page = _page(store, scope, filter, key, len(payloads))
        payloads += page
        if len(page) < _AT_ONCE:
            break
    return payloads


def _spread(store: DocumentReader, scope: Scope, filter: Filter, key: str, count: int) -> list[Json]:
    """Sample documents across a collection; with a filter, which each page would evaluate again, the first ones."""
    if filter != MATCH_ALL or count <= _LOOKED_AT:
        return _first(store, scope, filter, key)
    starts = np.linspace(0, count - _AT_ONCE, _LOOKED_AT // _AT_ONCE).astype(int)
    return [payload for start in starts.tolist() for payload in _page(store, scope, filter, key, start)]


def _page(store: DocumentReader, scope: Scope, filter: Filter, key: str, start: int) -> list[Json]:
    """Read some payloads, with long texts cut, without Shoal's own fields."""
    window = Query(filter=filter, page=Page(limit=_AT_ONCE, offset=start))
    return [trim_payload(own_fields(document.payload)) for document in store.find(scope, key, window).items]
