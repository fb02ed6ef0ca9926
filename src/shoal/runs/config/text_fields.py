"""The fields whose text names clusters: requested by a configuration or a run, and checked against the documents."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from shoal import deadline
from shoal.errors import InvalidField, OutOfTime
from shoal.labeling import trim_payload
from shoal.records.clusters.cluster import Cluster
from shoal.records.clusters.labeling import Labeling, read_labeling
from shoal.records.documents.document import own_fields
from shoal.records.queries.fields import find_field
from shoal.records.queries.filters import MATCH_ALL, Condition
from shoal.records.queries.paging import Page
from shoal.records.scope import Scope
from shoal.storage.protocols.documents import DocumentReader
from shoal.storage.protocols.records import Query

__all__ = ["check_text_fields", "inputs_of", "resolve_text_fields"]

_LISTED: Final = 20
_AT_ONCE: Final = 20
_WINDOWS: Final = 6
"""Places in a collection from which documents are sampled."""
_DEEPEST: Final = 4
_SEARCH_SECONDS: Final = 1.0


def resolve_text_fields(cluster: Cluster, request: Mapping[str, Any]) -> list[str]:
    """Return the requested fields, or none if they are to be chosen automatically.

    Those of the run take precedence over those of the cluster, and `text_fields` over the inputs of `llm_labeling`.
    """
    candidates = (
        request.get("text_fields"), inputs_of(read_labeling(request.get("llm_labeling"))), cluster.text_fields,
        inputs_of(cluster.llm_labeling),
    )  # fmt: skip
    return list(dict.fromkeys(next((fields for fields in candidates if fields), ())))


def check_text_fields(
    store: DocumentReader, scope: Scope, keys: Sequence[str], fields: Sequence[str], stored: Sequence[str] = ()
) -> list[str]:
    """Check that fields occur in the documents; empty collections are not checked.

    A sample is searched first, then, for at most a second in total, every document. A field of `fields` that no
    document has is refused; one of `stored`, from an earlier configuration, gets a warning, as does one that documents
    beyond the sample may have.

    Parameters
    ----------
    keys : sequence of str
        Storage keys of the collections.
    fields, stored : sequence of str
        Dotted names.

    Returns
    -------
    list of str
        A warning for each field that was neither found nor refused.

    Raises
    ------
    InvalidField
        A field does not exist; the message suggests the most similar name.
    """
    names = list(dict.fromkeys([*fields, *stored]))
    sample = [payload for key in keys for payload in _sample(store, scope, key)] if names else []
    missing = [name for name in names if sample and not any(_holds(payload, name) for payload in sample)]
    if not missing:
        return []
    available = sorted({name for payload in sample for name in _names(payload)})
    sentences = list[str]()
    for name, is_present in _search_fields(store, scope, keys, missing).items():
        if is_present is False and name in fields:
            remedy = (
                f"{_hint(name, available)}They have {', '.join(available[:_LISTED])}. "
                "Without text_fields they are chosen."
            )
            raise InvalidField("text_fields", "is not a field of the documents", value=name, remedy=remedy)
        if not is_present:
            looked = "the documents" if is_present is False else "the sampled documents"
            hint = _hint(name, available).strip() or f"There are: {', '.join(available[:_LISTED])}."
            sentences.append(f"None of {looked} has the field {name!r}: no name can come from it. {hint}")
    return sentences


def _search_fields(
    store: DocumentReader, scope: Scope, keys: Sequence[str], fields: Sequence[str]
) -> dict[str, bool | None]:
    """Search for each field in all documents; None if the time ran out before it was found."""
    present: dict[str, bool | None] = dict.fromkeys(fields)
    try:
        with deadline.within(_SEARCH_SECONDS):
            for field in fields:
                there = Query(filter=Condition(field, "is_null", False), page=Page(limit=1))
                present[field] = any(store.find(scope, key, there).items for key in keys)
    except OutOfTime:
        deadline.check()  # the deadline of the request may be over as well
    return present


def _hint(name: str, available: Sequence[str]) -> str:
    near = get_close_matches(name, available, n=1)
    return f"Did you mean {near[0]!r}? " if near else ""


def inputs_of(labeling: Labeling | None) -> list[str]:
    """Return the payload fields of a labelling configuration."""
    return [] if labeling is None else labeling.field_paths()


def _sample(store: DocumentReader, scope: Scope, key: str) -> Iterator[Mapping[str, Any]]:
    """Sample documents across a collection, with long texts cut, without Shoal's own fields."""
    count = store.count(scope, key)
    last = max(count - _AT_ONCE, 0)
    for start in sorted({last * window // (_WINDOWS - 1) for window in range(_WINDOWS)}):
        window = Query(filter=MATCH_ALL, page=Page(limit=_AT_ONCE, offset=start))
        for document in store.find(scope, key, window).items:
            yield trim_payload(own_fields(document.payload))


def _holds(payload: Mapping[str, Any], field: str) -> bool:
    return find_field(payload, field)[1] is not None


def _names(value: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of the fields of a document, nested ones included."""
    for name, inner in value.items():
        if isinstance(inner, Mapping) and inner and prefix.count(".") < _DEEPEST:
            yield from _names(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
