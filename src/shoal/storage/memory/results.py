"""Writing, rewriting and clearing results of clusters in documents in memory, under the guards of the protocol."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import orjson

from shoal.storage.memory.document import Document, Mark
from shoal.storage.memory.namespace import Change, Fence, Namespace
from shoal.storage.protocols.documents import Results
from shoal.storage.protocols.records import Json
from shoal.storage.result_marks import (
    clear_fields,
    conflict_with_later_run,
    keep_unchanged,
    marks_of,
    merge_fields,
    without,
)

__all__ = ["clear_all", "clear_earlier", "forget", "rewrite", "write"]


def write(
    space: Namespace, results: Results, updates: Iterable[tuple[str, Json]], step: int, now: datetime
) -> tuple[Change, list[str]]:
    """See DocumentStore.write_results."""
    for place in {results.target, *([""] if results.by_run else [])}:
        _check_latest(space, results, place)
    change, present = Change(), dict[str, None]()
    for id, update in updates:
        document = space.document(change, results.target, id)
        if document is None:
            continue
        present[id] = None
        mark = document.marks.get(results.cluster_id)
        if mark is None or mark.intent != results.id or mark.step < step:
            put = _with_payload(document, merge_fields(document.decode(), update), now)
            marks = {**document.marks, results.cluster_id: _next_mark(results, mark, update, step)}
            change.puts[results.target, id] = replace(put, marks=marks)
    change.fences[results.target, results.cluster_id] = Fence(results.sequence, results.run_id, now)
    return change, list(present)


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
        before = document.decode()
        fresh = keep_unchanged(before, mark.fields, update)
        after = merge_fields(before, fresh)
        if after != before:
            changed += 1
            fields = merge_fields(mark.fields, marks_of(fresh))
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
    doomed = [(place, id, document) for place, id, document in _every(space) if cluster_id in document.marks][:most]
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
    return [
        (place, id, document) for place, documents in space.collections.items() for id, document in documents.items()
    ]


def _check_latest(space: Namespace, results: Results, collection: str) -> None:
    fence = space.fences.get((collection, results.cluster_id))
    if fence is not None and fence.sequence > results.sequence:
        raise conflict_with_later_run(results.run_id, fence.run_id)


def _next_mark(results: Results, mark: Mark | None, update: Json, step: int) -> Mark:
    """Return the mark after an update; fields of earlier intents that this one has not written yet are stale."""
    fields, stale, by_run = marks_of(update), dict[str, object](), False
    if mark is not None and mark.intent == results.id:
        fields, stale, by_run = merge_fields(mark.fields, fields), mark.stale, mark.by_run
    elif mark is not None:
        stale, by_run = merge_fields(mark.fields, mark.stale), mark.by_run
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
    """Return the document without what a cluster wrote or, for the run to keep, without the stale fields."""
    mark = document.marks[cluster_id]
    is_kept_run = kept_run is not None and mark.run_id == kept_run
    doomed = mark.stale if is_kept_run else merge_fields(mark.fields, mark.stale)
    others: Json = {}
    for cluster, other in document.marks.items():
        others = others if cluster == cluster_id else merge_fields(others, other.fields)
    marks = {cluster: mark for cluster, mark in document.marks.items() if cluster != cluster_id}
    if is_kept_run:
        marks[cluster_id] = replace(mark, stale={})
    return replace(_with_payload(document, clear_fields(document.decode(), doomed, others), now), marks=marks)


def _with_payload(document: Document, payload: Json, now: datetime) -> Document:
    """Replace the payload; a document whose payload does not change keeps its update time."""
    text = orjson.dumps(payload)
    return document if text == document.payload else replace(document, payload=text, updated_at=now)
