"""What a model is shown of documents: the `labeling_inputs` of a run, read for the sampled documents alone."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson

from shoal.labeling.base import InputReader, Media
from shoal.records.clusters.labeling import InputMapping
from shoal.records.documents.document import own_fields
from shoal.records.queries.fields import find_field
from shoal.records.scope import Scope
from shoal.runs.input import RunInput
from shoal.storage.protocols.documents import DocumentReader, StoredDocument

__all__ = ["input_reader"]

_MAX_CHARACTERS: Final = 5_000
_MAX_NUMBERS: Final = 16
_MAX_MEDIA: Final = 4
_MAX_MEDIA_BYTES: Final = 5 * 2**20
_AT_ONCE: Final = 100
_DATA_URL: Final = re.compile(r"data:((?:image|audio|video)/[\w.+-]{1,80});base64,", re.ASCII)


def input_reader(
    store: DocumentReader, scope: Scope, keys: Mapping[str, str], source: RunInput, mappings: Sequence[InputMapping]
) -> InputReader | None:
    """Return a reader of what the mappings ask for; None without mappings, which shows a model the texts of the run.

    Parameters
    ----------
    keys : mapping
        The storage key of each collection by its id.
    source : RunInput
        The documents of the rows.
    """
    if not mappings:
        return None
    vectors = [mapping.path for mapping in mappings if mapping.source_type == "vector" and mapping.path]
    return lambda rows: [
        _show(document, mappings) for document in _read(store, scope, keys, source, rows, vectors or _all(mappings))
    ]


def _all(mappings: Sequence[InputMapping]) -> Any:
    """Ask for all vectors where a mapping names none."""
    return "all" if any(mapping.source_type == "vector" for mapping in mappings) else ()


def _read(
    store: DocumentReader,
    scope: Scope,
    keys: Mapping[str, str],
    source: RunInput,
    rows: Sequence[int],
    vectors: Any,
) -> list[StoredDocument | None]:
    """Read documents, a few at a time; None for one that was deleted since."""
    read: list[StoredDocument | None] = [None] * len(rows)
    by_collection = dict[str, list[int]]()
    for place, row in enumerate(rows):
        by_collection.setdefault(source.collection_ids[row], []).append(place)
    for collection, places in by_collection.items():
        for start in range(0, len(places), _AT_ONCE):
            part = places[start : start + _AT_ONCE]
            ids = [source.ids[rows[place]] for place in part]
            for place, document in zip(part, store.get(scope, keys[collection], ids, vectors=vectors), strict=True):
                read[place] = document
    return read


def _show(document: StoredDocument | None, mappings: Sequence[InputMapping]) -> dict[str, object]:
    if document is None:
        return {}
    shown = dict[str, object]()
    for mapping in mappings:
        value = _SOURCES[mapping.source_type or "payload"](document, mapping)
        if isinstance(value, list):
            shown |= {mapping.input_key + f" {place}" * (place > 1): each for place, each in enumerate(value, 1)}
        elif value is not None:
            shown[mapping.input_key] = value
    return shown


def _of_payload(document: StoredDocument, mapping: InputMapping) -> object:
    return None if mapping.path is None else _to_text(_find(document, mapping.path))


def _of_literal(document: StoredDocument, mapping: InputMapping) -> object:
    return _to_text(mapping.override)


def _of_vector(document: StoredDocument, mapping: InputMapping) -> object:
    """Return the first numbers of a vector as text."""
    name = mapping.path or next(iter(sorted(document.vectors)), None)
    vector = None if name is None else document.vectors.get(name)
    if vector is None:
        return None
    numbers = ", ".join(f"{number:.3f}" for number in np.asarray(vector, np.float64)[:_MAX_NUMBERS].tolist())
    return f"[{numbers}{', …' if len(vector) > _MAX_NUMBERS else ''}] ({len(vector)} numbers)"


def _of_blob(document: StoredDocument, mapping: InputMapping) -> object:
    """Return the images in a field. An address is not followed: a server downloads nothing."""
    path = (mapping.path or "document_blobs").replace("[]", "")
    base, _, inner = path.rpartition(".")
    value = _find(document, path)
    if value is None and base:
        value = [each.get(inner) for each in _mappings_in(_find(document, base))]
    media = [each for each in map(_decode, _texts_in(value)) if each is not None]
    return media[:_MAX_MEDIA]


_SOURCES: Final[Mapping[str, Callable[[StoredDocument, InputMapping], object]]] = {
    "payload": _of_payload,
    "literal": _of_literal,
    "vector": _of_vector,
    "blob": _of_blob,
}


def _find(document: StoredDocument, path: str) -> Any:
    return find_field(own_fields(document.payload), path)[1]


def _to_text(value: object) -> str | None:
    if value is None or value == [] or value == {}:
        return None
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text.strip()[:_MAX_CHARACTERS] or None


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts_in(value.get("url"))
    elif isinstance(value, list):
        for each in value[:100]:
            yield from _texts_in(each)


def _mappings_in(value: object) -> list[Mapping[str, Any]]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, Mapping)][:100]


def _decode(url: str) -> Media | None:
    """Decode a `data:` address of an image, a recording or a film; None for anything else, or what is too large."""
    head = _DATA_URL.match(url[:120])
    if head is None or len(url) > _MAX_MEDIA_BYTES * 4 // 3 + 200:
        return None
    try:
        data = base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        return None
    return Media(head[1], data) if data else None
