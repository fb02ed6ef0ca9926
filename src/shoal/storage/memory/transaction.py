"""Optimistic transactions of an in-memory store: writes are buffered until the commit has validated the reads."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeVar

import orjson

from shoal.errors import AlreadyExists, Conflict, NotFound, StaleVersion
from shoal.records.base import format_wire_time
from shoal.records.scope import Scope
from shoal.storage.memory.state import KINDS, Counter, Place, Position, Record, State
from shoal.storage.memory.table import Table
from shoal.storage.memory.view import View
from shoal.storage.protocols.queue import Job
from shoal.storage.protocols.records import Json, Kind, Stored
from shoal.storage.protocols.replies import SavedReply
from shoal.storage.retries import Conflicted

__all__ = ["MemoryTransaction"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_PENDING: Final = float("inf")


class MemoryTransaction(View):
    """An optimistic Transaction over a snapshot.

    `commit` raises Conflicted if another transaction has written, since the snapshot, a key or a group that this one
    has read, or a key that it writes.
    """

    def __init__(self, state: State, moment: int) -> None:
        super().__init__(state, moment)
        self._stored = 0
        self._counted: list[tuple[tuple[str, ...], float]] = []
        self._forget_before: datetime | None = None
        self._on_commit: list[Callable[[], None]] = []

    def on_commit(self, action: Callable[[], None]) -> None:
        """See Transaction."""
        self._on_commit.append(action)

    def run_commit_actions(self) -> None:
        """Run the actions registered with `on_commit`."""
        for action in self._on_commit:
            action()

    # ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def insert(self, scope: Scope, kind: Kind, id: str, body: Json, *, name: str | None = None) -> Stored:
        """See RecordWriter."""
        with self._writing():
            here = (kind, scope.organization_id, scope.namespace_id)
            if self.row(self.state.records, (*here, id)) is not None:
                raise AlreadyExists(kind, id)
            self._take_name(scope, kind, name, id)
            text = orjson.dumps(body)
            self.put(self.state.records, (*here, id), Record(self.new_position(), name, 1, text))
            return Stored(id, name, 1, body)

    def replace(
        self, scope: Scope, kind: Kind, id: str, body: Json, *, name: str | None = None, expect_version: int
    ) -> Stored:
        """See RecordWriter."""
        with self._writing():
            key = (kind, scope.organization_id, scope.namespace_id, id)
            old = self.row(self.state.records, key)
            if old is None:
                raise NotFound(kind, id)
            if old.version != expect_version:
                raise StaleVersion(
                    f"The {kind} {id!r} was changed meanwhile (version {old.version}, not {expect_version}). "
                    "Read it again.",
                    id=id,
                    version=old.version,
                )
            if name != old.name:
                self._take_name(scope, kind, name, id)
                self._free_name(scope, kind, old.name)
            self.put(self.state.records, key, Record(old.position, name, old.version + 1, orjson.dumps(body)))
            return Stored(id, name, old.version + 1, body)

    def delete(self, scope: Scope, kind: Kind, id: str) -> bool:
        """See RecordWriter."""
        with self._writing():
            key = (kind, scope.organization_id, scope.namespace_id, id)
            old = self.row(self.state.records, key)
            if old is None:
                return False
            self._free_name(scope, kind, old.name)
            self.put(self.state.records, key, None)
            return True

    def prune(self, scope: Scope, kind: Kind, before: datetime, *, now: datetime, keep: int, most: int) -> int:
        """See RecordWriter."""
        rows = [(record.position, body.get("created_at"), id) for id, body, record in self._parse_rows(scope, kind)]
        rows = sorted((position, time if isinstance(time, str) else None, id) for position, time, id in rows)
        old, latest = format_wire_time(before), format_wire_time(now)
        first_recent = next((at for at, time, _ in rows if time is not None and old <= time <= latest), None)
        aged = [
            at
            for at, time, _ in rows
            if time is not None and time < old and (first_recent is None or at < first_recent)
        ]
        doomed = [id for at, _, id in rows if aged and at <= aged[-1]][:most]
        left = [id for _, _, id in rows if id not in set(doomed)]
        doomed += left[: min(max(len(left) - keep, 0), most)]
        return sum(self.delete(scope, kind, id) for id in doomed)

    def delete_scope(self, scope: Scope) -> int:
        """See RecordWriter."""
        group = (scope.organization_id, scope.namespace_id)
        for key, _ in self.rows(self.state.replies, group):
            self.put(self.state.replies, key, None)
        for place in list(self.places()):
            if place.job.scope == scope:
                self.move(place, None)
        doomed = [key for kind in KINDS for key, _ in self.rows(self.state.records, (kind, *group))]
        return sum(self.delete(scope, key[0], key[3]) for key in doomed)  # type: ignore[arg-type]

    def _take_name(self, scope: Scope, kind: Kind, name: str | None, id: str) -> None:
        if name is None:
            return
        key = (kind, scope.organization_id, scope.namespace_id, name)
        holder = self.row(self.state.names, key)
        if holder is not None:
            raise AlreadyExists(kind, name, existing_id=holder)
        self.put(self.state.names, key, id)

    def _free_name(self, scope: Scope, kind: Kind, name: str | None) -> None:
        if name is not None:
            self.put(self.state.names, (kind, scope.organization_id, scope.namespace_id, name), None)

    # ── jobs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def enqueue(
        self, scope: Scope, job_id: str, queue: str, payload: Json, now: datetime, *, subject: str | None = None
    ) -> None:
        """See JobWriter."""
        with self._writing():
            if self.row(self.state.jobs, job_id) is not None:
                raise AlreadyExists("job", job_id)
            if subject is not None and self.row(self.state.holders, _holder(scope, queue, subject)) is not None:
                raise Conflict(f"Another job for {subject} is open.", subject=subject)
            read = orjson.loads(orjson.dumps(payload))
            job = Job(job_id, scope, queue, read, "queued", 0, 0, None, None, False, "", 0.0)
            self.move(None, Place(job, self.new_position(), now, subject, subject is not None))

    def release_subject(self, scope: Scope, job_id: str) -> None:
        """See JobWriter."""
        place = self.place(scope, job_id)
        if place is not None:
            self.move(place, place._replace(holds=False))

    def request_cancel(self, scope: Scope, job_id: str) -> Job | None:
        """See JobWriter."""
        place = self.place(scope, job_id)
        if place is None:
            return None
        job = place.job
        cancel_requested = job.cancel_requested or job.state != "done"
        job = replace(job, cancel_requested=cancel_requested, state="done" if job.state == "queued" else job.state)
        return self.move(place, place._replace(job=job, holds=False))

    def remove_job(self, scope: Scope, job_id: str) -> bool:
        """See JobWriter."""
        place = self.place(scope, job_id)
        if place is not None:
            self.move(place, None)
        return place is not None

    def move(self, old: Place | None, new: Place | None) -> Job | None:
        """Move a job to another place, and update the indexes of the queue. Returns the job as it is then."""
        with self._writing():
            for place, stays in ((old, False), (new, True)):
                if place is None:
                    continue
                job = place.job
                if place.subject is not None and place.holds:
                    held = job.job_id if stays else None
                    self.put(self.state.holders, _holder(job.scope, job.queue, place.subject), held)
                if job.state == "queued":
                    waits = place.position if stays else None
                    self.put(self.state.waiting, (job.queue, job.scope.organization_id, job.job_id), waits)
            present = new or old
            if present is not None:
                self.put(self.state.jobs, present.job.job_id, new)
        return None if new is None else new.job

    # ── replies and counters ─────────────────────────────────────────────────────────────────────────────────────────

    def save_reply(self, scope: Scope, key: str, saved: SavedReply, *, forget_before: datetime) -> None:
        """See ReplyWriter."""
        with self._writing():
            self._forget_before = forget_before
            self.put(self.state.replies, (scope.organization_id, scope.namespace_id, key), saved)

    def count(self, *name: str, amount: float = 0.0) -> None:
        """See CounterWriter."""
        self.check()
        self._counted.append((name, amount))

    # ── the commit ───────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, table: Table[K, V], key: K, value: V | None) -> None:
        """Write a value, None to delete."""
        self.written[table][key] = value

    def new_position(self) -> Position:
        """Return a position after everything that is stored, in the order of the calls."""
        self._stored += 1
        return _PENDING, self._stored

    @property
    def writes(self) -> bool:
        """Whether there is anything to store."""
        return bool(self._counted) or any(self.written.values())

    def commit(self) -> None:
        """Store everything. Raises Conflicted, and then nothing is stored."""
        self.check()
        self.usable = False
        if not self.writes:
            return  # reads of one snapshot are serialisable without validation
        with self.state.lock:
            self._validate()
            self.state.commit(self._apply)

    def _validate(self) -> None:
        for table in self.state.tables:
            keys = {**self.read_keys[table], **self.written[table]}
            if any(table.written(key) > self.moment for key in keys):
                raise Conflicted
            if any(table.last_write(group) > self.moment for group in self.scanned[table]):
                raise Conflicted

    def _apply(self, moment: int) -> None:
        oldest = self.state.oldest_snapshot()
        for table, rows in self.written.items():
            for key, value in rows.items():
                table.put(key, _index_place(value, moment), moment, oldest)
        for key, saved in self.written[self.state.replies].items():
            if saved is not None:
                self.state.add_reply(key, saved)
        if self._forget_before is not None:
            self.state.forget_replies(self._forget_before, moment)
        for name, amount in self._counted:
            counter = self.state.counters.setdefault(name, Counter())
            counter.count, counter.total = counter.count + 1, counter.total + amount

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self.check()
        try:
            yield
        except BaseException:
            self.usable = False
            raise


def _holder(scope: Scope, queue: str, subject: str) -> tuple[str, str, str, str]:
    return queue, scope.organization_id, scope.namespace_id, subject


def _index_place(value: Any, moment: int) -> Any:
    """Set the moment of the commit as the position of a row that was not stored yet."""
    if isinstance(value, (Record, Place)) and value.position[0] == _PENDING:
        return value._replace(position=(float(moment), value.position[1]))
    return (float(moment), value[1]) if isinstance(value, tuple) and value[:1] == (_PENDING,) else value
