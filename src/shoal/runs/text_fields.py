"""The fields that name clusters: those that a configuration or a run asks for, checked against the documents."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from shoal import deadline
from shoal.errors import InvalidField, OutOfTime
from shoal.labeling import trimmed
from shoal.records.cluster import Cluster
from shoal.records.document import own_fields
from shoal.records.labeling import Labeling, read_labeling
from shoal.records.queries.fields import find_field
from shoal.records.queries.filters import MATCH_ALL, Condition
from shoal.records.queries.paging import Page
from shoal.records.scope import Scope
from shoal.storage.protocols.documents import DocumentReader
from shoal.storage.protocols.records import Query

__all__ = ["check_text_fields", "inputs_of", "named_fields"]

_LISTED: Final = 20
_AT_ONCE: Final = 20
_WINDOWS: Final = 6
"""Places in a collection at which so many documents are looked at."""
_DEEPEST: Final = 4
_SEARCH_SECONDS: Final = 1.0


def named_fields(cluster: Cluster, request: Mapping[str, Any]) -> list[str]:
    """The fields that were asked for: by the run before the cluster, as `text_fields` before inputs of
    `llm_labeling`; none where they are to be chosen."""
    asked = (
        request.get("text_fields"), inputs_of(read_labeling(request.get("llm_labeling"))), cluster.text_fields,
        inputs_of(cluster.llm_labeling),
    )  # fmt: skip
    return list(dict.fromkeys(next((fields for fields in asked if fields), ())))


def check_text_fields(
    store: DocumentReader, scope: Scope, keys: Sequence[str], fields: Sequence[str], stored: Sequence[str] = ()
) -> list[str]:
    """Look for fields in the documents; of collections that are empty nothing is known.

    A sample is looked at first, then, for a second in all, every document. A field of `fields` that none has is
    refused; one of `stored`, which a configuration has named before, gets a sentence, as does one that documents beyond
    the sample may have.

    Parameters
    ----------
    keys : sequence of str
        Storage keys of the collections.
    fields, stored : sequence of str
        Dotted names.

    Returns
    -------
    list of str
        A sentence for each field that was not found and not refused.

    Raises
    ------
    InvalidField
        With the nearest name that there is.
    """
    asked = list(dict.fromkeys([*fields, *stored]))
    sample = [payload for key in keys for payload in _sample(store, scope, key)] if asked else []
    missing = [name for name in asked if sample and not any(_holds(payload, name) for payload in sample)]
    if not missing:
        return []
    known = sorted({name for payload in sample for name in _names(payload)})
    sentences = list[str]()
    for name, found in _found_soon(store, scope, keys, missing).items():
        if found is False and name in fields:
            remedy = f"{_hint(name, known)}They have {', '.join(known[:_LISTED])}. Without text_fields they are chosen."
            raise InvalidField("text_fields", "is no field of the documents", value=name, remedy=remedy)
        if not found:
            looked = "the documents" if found is False else "the documents looked at"
            hint = _hint(name, known).strip() or f"There are: {', '.join(known[:_LISTED])}."
            sentences.append(f"None of {looked} has the field {name!r}: no name can come from it. {hint}")
    return sentences


def _found_soon(
    store: DocumentReader, scope: Scope, keys: Sequence[str], fields: Sequence[str]
) -> dict[str, bool | None]:
    """Whether a document has each of the fields; None where that is not known once the second for all is over."""
    found: dict[str, bool | None] = dict.fromkeys(fields)
    try:
        with deadline.within(_SEARCH_SECONDS):
            for field in fields:
                there = Query(filter=Condition(field, "is_null", False), page=Page(limit=1))
                found[field] = any(store.find(scope, key, there).items for key in keys)
    except OutOfTime:
        deadline.check()  # the request's own time may be over as well
    return found


def _hint(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}? " if near else ""


def inputs_of(labeling: Labeling | None) -> list[str]:
    """The payload fields that a labelling configuration names."""
    return [] if labeling is None else labeling.field_paths()


def _sample(store: DocumentReader, scope: Scope, key: str) -> Iterator[Mapping[str, Any]]:
    """Documents from everywhere in a collection, long texts cut, without what Shoal itself keeps in them."""
    count = store.count(scope, key)
    last = max(count - _AT_ONCE, 0)
    for start in sorted({last * window // (_WINDOWS - 1) for window in range(_WINDOWS)}):
        window = Query(filter=MATCH_ALL, page=Page(limit=_AT_ONCE, offset=start))
        for document in store.find(scope, key, window).items:
            yield trimmed(own_fields(document.payload))


def _holds(payload: Mapping[str, Any], field: str) -> bool:
    return find_field(payload, field)[1] is not None


def _names(value: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted names of the fields of a document, those inside objects included."""
    for name, inner in value.items():
        if isinstance(inner, Mapping) and inner and prefix.count(".") < _DEEPEST:
            yield from _names(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
