"""The words that name the clusters of a run: which fields of the documents they come from, and how much they are."""

import sys
from collections.abc import Sequence
from typing import Final

import numpy as np

from shoal.labeling import Volume, choose_text_fields, document_text, trimmed
from shoal.records.document import RESULT_FIELDS, own_fields
from shoal.records.queries.fields import find_field
from shoal.records.queries.filters import MATCH_ALL, Filter
from shoal.records.queries.paging import Page
from shoal.records.scope import Scope
from shoal.storage.protocols.documents import DocumentReader
from shoal.storage.protocols.records import Json, Query

__all__ = ["texts_of_run", "volume_of_run"]

_LOOKED_AT: Final = 200
"""Documents whose fields are looked at to choose the ones that speak."""
_AT_ONCE: Final = 20
_ERRORS: Final = 3.0
"""Standard errors above the mean of a sample that a volume is told with."""


def texts_of_run(
    store: DocumentReader,
    scope: Scope,
    asked: Sequence[str],
    wanted: Filter,
    keys: Sequence[str],
    documents: Sequence[tuple[str, str]],
) -> tuple[list[str] | None, Sequence[str]]:
    """One text for each of the documents, (id, storage key of the collection), None where no field holds any; and the
    fields that they are from: those `asked` for, else chosen ones."""
    fields = _fields(store, scope, asked, wanted, keys)
    if not fields:
        return None, ()
    ids, where, texts = store.load_made(scope, keys, fields, document_text, filter=wanted)
    found = list(zip(ids, where, strict=True))
    if found == documents:
        return texts, fields
    by_document = dict(zip(found, texts, strict=True))
    return [by_document.get(document, "") for document in documents], fields


def volume_of_run(
    store: DocumentReader, scope: Scope, asked: Sequence[str], wanted: Filter, counts: Sequence[tuple[str, int]]
) -> Volume:
    """How much text a run would read, told from a sample and rather too much than too little.

    Parameters
    ----------
    counts : sequence of (str, int)
        The storage key of each collection, and how many of its documents match.
    """
    total = sum(count for _, count in counts)
    fields = _fields(store, scope, asked, wanted, [key for key, _ in counts]) if total else []
    if not fields:
        return Volume(total)
    sample = [
        document_text([find_field(payload, field)[1] for field in fields])
        for key, count in counts
        for payload in _spread(store, scope, wanted, key, count)
    ]
    sizes = np.array([sys.getsizeof(text) for text in sample], np.float64)
    error = 0.0 if len(sizes) >= total else sizes.std() / np.sqrt(len(sizes)) / sizes.mean()
    volume = Volume.of(sample).scaled(total)
    more = 1 + _ERRORS * float(error)
    return Volume(total, volume.held_bytes * more, volume.words * more, volume.long_bytes * more)


def _fields(
    store: DocumentReader, scope: Scope, asked: Sequence[str], wanted: Filter, keys: Sequence[str]
) -> Sequence[str]:
    """The fields asked for, else those that read most like text, but for those that hold results of clusters: names
    must not feed on names."""
    if asked:
        return asked
    sample = [payload for key in keys for payload in _first(store, scope, wanted, key)]
    return choose_text_fields(sample, without=RESULT_FIELDS | store.result_fields(scope, keys))


def _first(store: DocumentReader, scope: Scope, wanted: Filter, key: str) -> list[Json]:
    """The first documents of a collection."""
    found: list[Json] = []
    while len(found) < _LOOKED_AT:
        page = _page(store, scope, wanted, key, len(found))
        found += page
        if len(page) < _AT_ONCE:
            break
    return found


def _spread(store: DocumentReader, scope: Scope, wanted: Filter, key: str, count: int) -> list[Json]:
    """Documents from everywhere in a collection; with a filter, which would be asked again of all, the first ones."""
    if wanted != MATCH_ALL or count <= _LOOKED_AT:
        return _first(store, scope, wanted, key)
    starts = np.linspace(0, count - _AT_ONCE, _LOOKED_AT // _AT_ONCE).astype(int)
    return [payload for start in starts.tolist() for payload in _page(store, scope, wanted, key, start)]


def _page(store: DocumentReader, scope: Scope, wanted: Filter, key: str, start: int) -> list[Json]:
    """Some payloads, long texts cut, without what Shoal itself keeps in them."""
    window = Query(filter=wanted, page=Page(limit=_AT_ONCE, offset=start))
    return [trimmed(own_fields(document.payload)) for document in store.find(scope, key, window).items]
