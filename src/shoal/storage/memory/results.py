"""Results of clusters in documents in memory: written, rewritten and cleared under the guards of the protocol."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import orjson

from shoal.storage.memory.document import Document, Mark
from shoal.storage.memory.namespace import Change, Fence, Namespace
from shoal.storage.protocols.documents import Results
from shoal.storage.protocols.records import Json
from shoal.storage.result_marks import cleared, marks_of, merged, overtaken, unchanged, without

__all__ = ["clear_all", "clear_earlier", "forget", "rewrite", "write"]


def write(
    space: Namespace, results: Results, updates: Iterable[tuple[str, Json]], step: int, now: datetime
) -> tuple[Change, list[str]]:
    """See DocumentStore.write_results."""
    for place in {results.target, *([""] if results.by_run else [])}:
        _check_latest(space, results, place)
    change, found = Change(), dict[str, None]()
    for id, update in updates:
        document = space.document(change, results.target, id)
        if document is None:
            continue
        found[id] = None
        mark = document.marks.get(results.cluster_id)
        if mark is None or mark.intent != results.id or mark.step < step:
            put = _with_payload(document, merged(document.decoded(), update), now)
            marks = {**document.marks, results.cluster_id: _next_mark(results, mark, update, step)}
            change.puts[results.target, id] = replace(put, marks=marks)
    change.fences[results.target, results.cluster_id] = Fence(results.sequence, results.run_id, now)
    return change, list(found)


def rewrite(
    space: Namespace, collection: str, cluster_id: str, run_id: str, updates: Iterable[tuple[str, Json]], now: datetime
) -> tuple[Change, int]:
    """See DocumentStore.rewrite_results."""
    change, changed = Change(), 0
    own = space.fences.get((collection, cluster_id))
    later = {
        cluster
        for (target, cluster), fence in space.fences.items()
        if target == collection and own is not None and fence.written_at > own.written_at
    }
    for id, update in updates:
        document = space.document(change, collection, id)
        mark = None if document is None else document.marks.get(cluster_id)
        if document is None or mark is None or mark.run_id != run_id:
            continue
        for other in later & document.marks.keys():
            update = without(update, document.marks[other].fields)
        before = document.decoded()
        fresh = unchanged(before, mark.fields, update)
        after = merged(before, fresh)
        if after != before:
            changed += 1
            fields = merged(mark.fields, marks_of(fresh))
            marks = {**document.marks, cluster_id: replace(mark, fields=fields)}
            change.puts[collection, id] = replace(_with_payload(document, after, now), marks=marks)
    return change, changed


def clear_earlier(
    space: Namespace, results: Results, after: str, most: int, now: datetime
) -> tuple[Change, str | None]:
    """See DocumentStore.clear_results."""
    places = sorted(space.collections) if results.by_run else [results.target]
    for place in {target for target, _ in space.fences} if results.by_run else [results.target]:
        _check_latest(space, results, place)
    doomed = [
        (place, id, document)
        for place in places
        for id, document in sorted(space.collections.get(place, {}).items())
        if f"{place}\0{id}" > after and _is_earlier(document.marks.get(results.cluster_id), results)
    ][:most]
    change = Change()
    for place, id, document in doomed:
        change.puts[place, id] = _without_results(document, results.cluster_id, now, results.run_id)
    change.fences["" if results.by_run else results.target, results.cluster_id] = Fence(
        results.sequence, results.run_id, now
    )
    place, id, _ = doomed[-1] if doomed else ("", "", None)
    return change, f"{place}\0{id}" if len(doomed) == most else None


def clear_all(space: Namespace, cluster_id: str, most: int, now: datetime) -> tuple[Change, bool]:
    """See DocumentStore.clear_all_results."""
    doomed = [(place, id, one) for place, id, one in _every(space) if cluster_id in one.marks][:most]
    change = Change()
    for place, id, document in doomed:
        change.puts[place, id] = _without_results(document, cluster_id, now)
    return change, len(doomed) == most


def forget(space: Namespace, cluster_id: str) -> Change:
    """See DocumentStore.forget_results."""
    change = Change()
    for place, id, document in _every(space):
        if cluster_id in document.marks:
            marks = {cluster: mark for cluster, mark in document.marks.items() if cluster != cluster_id}
            change.puts[place, id] = replace(document, marks=marks)
    return change


def _every(space: Namespace) -> list[tuple[str, str, Document]]:
    return [(place, id, one) for place, documents in space.collections.items() for id, one in documents.items()]


def _check_latest(space: Namespace, results: Results, collection: str) -> None:
    fence = space.fences.get((collection, results.cluster_id))
    if fence is not None and fence.sequence > results.sequence:
        raise overtaken(results.run_id, fence.run_id)


def _next_mark(results: Results, mark: Mark | None, update: Json, step: int) -> Mark:
    """The mark after an update; what earlier intents wrote and this one has not written so far is stale."""
    fields, stale, by_run = marks_of(update), dict[str, object](), False
    if mark is not None and mark.intent == results.id:
        fields, stale, by_run = merged(mark.fields, fields), mark.stale, mark.by_run
    elif mark is not None:
        stale, by_run = merged(mark.fields, mark.stale), mark.by_run
    return Mark(
        intent=results.id,
        run_id=results.run_id,
        step=step,
        partition=results.partition,
        by_run=by_run or results.by_run,
        fields=fields,
        stale=without(stale, fields),
    )


def _is_earlier(mark: Mark | None, results: Results) -> bool:
    if mark is None or not (mark.run_id != results.run_id or mark.stale):
        return False
    if not results.by_run:
        return True
    return mark.by_run and (not results.partition or mark.partition == results.partition)


def _without_results(document: Document, cluster_id: str, now: datetime, kept_run: str | None = None) -> Document:
    """The document without what a cluster wrote, or, of the run to keep, without what is stale."""
    mark = document.marks[cluster_id]
    kept = kept_run is not None and mark.run_id == kept_run
    doomed = mark.stale if kept else merged(mark.fields, mark.stale)
    others: Json = {}
    for cluster, other in document.marks.items():
        others = others if cluster == cluster_id else merged(others, other.fields)
    marks = {cluster: one for cluster, one in document.marks.items() if cluster != cluster_id}
    if kept:
        marks[cluster_id] = replace(mark, stale={})
    return replace(_with_payload(document, cleared(document.decoded(), doomed, others), now), marks=marks)


def _with_payload(document: Document, payload: Json, now: datetime) -> Document:
    """A document that stays as it was keeps its time too."""
    text = orjson.dumps(payload)
    return document if text == document.payload else replace(document, payload=text, updated_at=now)
