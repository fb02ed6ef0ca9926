"""Events, feeds and schedules of an in-memory metadata store."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import orjson

from shoal.records.scope import Scope
from shoal.storage.memory.state import EVERY_HEAD, EVERY_SCHEDULE, UNCLAIMED, LeasedFeed, LeasedSchedule
from shoal.storage.memory.transaction import MemoryTransaction
from shoal.storage.memory.view import View
from shoal.storage.protocols.events import EVENTS_KEPT, Event, Feed
from shoal.storage.protocols.records import Json
from shoal.storage.protocols.schedules import Schedule, first_fence

__all__ = ["MemoryAccess", "MemoryOutbox", "OutboxTransaction", "OutboxView"]

T = TypeVar("T")


class OutboxView(View):
    """A View that is an EventReader and a ScheduleReader as well."""

    def events(self, scope: Scope, *, after: int, most: int) -> Sequence[Event]:
        """See EventReader."""
        place = (scope.organization_id, scope.namespace_id)
        last = self.row(self.state.event_heads, place) or 0
        numbers = range(max(after, last - EVENTS_KEPT) + 1, last + 1)[:most]
        events = [self.row(self.state.events, (*place, number)) for number in numbers]
        return [event for event in events if event is not None]

    def get_schedule(self, scope: Scope, schedule_id: str) -> Schedule | None:
        """See ScheduleReader."""
        leased = self.row(self.state.schedules, (scope.organization_id, scope.namespace_id, schedule_id))
        return None if leased is None else leased.schedule

    def schedules(self) -> list[LeasedSchedule]:
        """Return all schedules, by due time."""
        rows = self.rows(self.state.schedules, EVERY_SCHEDULE)
        return [leased for _, leased in sorted(rows, key=lambda row: (row[1].schedule.due, row[0]))]


class OutboxTransaction(MemoryTransaction, OutboxView):
    """A MemoryTransaction that is an EventWriter and a ScheduleWriter as well."""

    def append_event(self, scope: Scope, type: str, subject: str, data: Json, now: datetime) -> Event:
        """See EventWriter."""
        with self._writing():
            place = (scope.organization_id, scope.namespace_id)
            number = (self.row(self.state.event_heads, place) or 0) + 1
            event = Event(scope, number, type, subject, now, orjson.loads(orjson.dumps(data)))
            self.put(self.state.event_heads, place, number)
            self.put(self.state.events, (*place, number), event)
            if number > EVENTS_KEPT:
                self.put(self.state.events, (*place, number - EVENTS_KEPT), None)
        return event

    def advance_feed(self, feed: Feed, position: int) -> bool:
        """See EventWriter."""
        return self.change_feed(feed, lambda leased: leased._replace(position=position))

    def change_feed(self, feed: Feed, change: Callable[[LeasedFeed], LeasedFeed]) -> bool:
        """Change a feed that is leased under this fence. Returns False if it is not."""
        key = (feed.consumer, feed.scope.organization_id, feed.scope.namespace_id)
        with self._writing():
            leased = self.row(self.state.feeds, key)
            if leased is None or leased.fence != feed.fence or leased.lease_until is None:
                return False
            self.put(self.state.feeds, key, change(leased))
        return True

    def put_schedule(self, scope: Scope, schedule_id: str, due: datetime, payload: Json) -> None:
        """See ScheduleWriter."""
        key = (scope.organization_id, scope.namespace_id, schedule_id)
        with self._writing():
            earlier = self.row(self.state.schedules, key)
            fence = first_fence() if earlier is None else earlier.schedule.fence + 1
            schedule = Schedule(scope, schedule_id, due, orjson.loads(orjson.dumps(payload)), fence, None)
            self.put(self.state.schedules, key, LeasedSchedule(schedule, None))

    def remove_schedule(self, scope: Scope, schedule_id: str) -> bool:
        """See ScheduleWriter."""
        key = (scope.organization_id, scope.namespace_id, schedule_id)
        with self._writing():
            present = self.row(self.state.schedules, key) is not None
            if present:
                self.put(self.state.schedules, key, None)
        return present

    def advance_schedule(self, schedule: Schedule, due: datetime | None) -> bool:
        """See ScheduleWriter."""
        key = (schedule.scope.organization_id, schedule.scope.namespace_id, schedule.schedule_id)
        with self._writing():
            leased = self.row(self.state.schedules, key)
            if leased is None or leased.lease_until is None:
                return False
            if (leased.schedule.fence, leased.schedule.worker) != (schedule.fence, schedule.worker):
                return False
            later = None if due is None else LeasedSchedule(replace(leased.schedule, due=due, worker=None), None)
            self.put(self.state.schedules, key, later)
        return True

    def delete_scope(self, scope: Scope) -> int:
        """See RecordWriter."""
        place = (scope.organization_id, scope.namespace_id)
        for event, _ in self.rows(self.state.events, place):
            self.put(self.state.events, event, None)
        for feed, _ in self.rows(self.state.feeds, place):
            self.put(self.state.feeds, feed, None)
        self.put(self.state.event_heads, place, None)
        for leased in self.schedules():
            if leased.schedule.scope == scope:
                self.put(self.state.schedules, (*place, leased.schedule.schedule_id), None)
        return super().delete_scope(scope)


class MemoryAccess(ABC):
    """How the parts of an in-memory metadata store read and write."""

    @abstractmethod
    def _look(self, read: Callable[[OutboxView], T]) -> T:
        """Read committed data."""

    @abstractmethod
    def _change(self, body: Callable[[OutboxTransaction], T]) -> T:
        """Run a body that cannot conflict."""


class MemoryOutbox(MemoryAccess):
    """The EventLog and the ScheduleStore."""

    def events(self, scope: Scope, *, after: int, most: int) -> Sequence[Event]:
        """See EventReader."""
        return self._look(lambda view: view.events(scope, after=after, most=most))

    def claim_feed(self, consumer: str, worker: str, now: datetime, lease_until: datetime) -> Feed | None:
        """See EventLog."""

        def claim(tx: OutboxTransaction) -> Feed | None:
            heads = tx.rows(tx.state.event_heads, EVERY_HEAD)
            feeds = {place: tx.row(tx.state.feeds, (consumer, *place)) or UNCLAIMED for place, _ in heads}
            claimable = [
                (feeds[place].served, place)
                for place, last in heads
                if last > feeds[place].position and _is_free(feeds[place].lease_until, now)
            ]
            if not claimable:
                return None
            _, place = min(claimable)
            feed = feeds[place]
            served = 1 + max(other.served for other in feeds.values())
            leased = LeasedFeed(feed.position, feed.fence + 1, served, worker, lease_until)
            tx.put(tx.state.feeds, (consumer, *place), leased)
            return Feed(consumer, Scope(*place), feed.position, feed.fence + 1)

        return self._change(claim)

    def release_feed(self, feed: Feed) -> bool:
        """See EventLog."""
        return self._change(
            lambda tx: tx.change_feed(feed, lambda leased: leased._replace(worker=None, lease_until=None))
        )

    def release_feeds(self, worker: str) -> int:
        """See EventLog."""

        def release(tx: OutboxTransaction) -> int:
            places = [place for place, _ in tx.rows(tx.state.event_heads, EVERY_HEAD)]
            held = [row for place in places for row in tx.rows(tx.state.feeds, place) if row[1].worker == worker]
            for key, leased in held:
                tx.put(tx.state.feeds, key, leased._replace(worker=None, lease_until=None))
            return len(held)

        return self._change(release)

    def get_schedule(self, scope: Scope, schedule_id: str) -> Schedule | None:
        """See ScheduleReader."""
        return self._look(lambda view: view.get_schedule(scope, schedule_id))

    def claim_schedule(self, worker: str, now: datetime, lease_until: datetime) -> Schedule | None:
        """See ScheduleStore."""

        def claim(tx: OutboxTransaction) -> Schedule | None:
            for leased in tx.schedules():
                if leased.schedule.due <= now and _is_free(leased.lease_until, now):
                    schedule = replace(leased.schedule, fence=leased.schedule.fence + 1, worker=worker)
                    scope = schedule.scope
                    key = (scope.organization_id, scope.namespace_id, schedule.schedule_id)
                    tx.put(tx.state.schedules, key, LeasedSchedule(schedule, lease_until))
                    return schedule
            return None

        return self._change(claim)

    def release_schedules(self, worker: str) -> int:
        """See ScheduleStore."""

        def release(tx: OutboxTransaction) -> int:
            held = [leased.schedule for leased in tx.schedules() if leased.schedule.worker == worker]
            for schedule in held:
                key = (schedule.scope.organization_id, schedule.scope.namespace_id, schedule.schedule_id)
                tx.put(tx.state.schedules, key, LeasedSchedule(replace(schedule, worker=None), None))
            return len(held)

        return self._change(release)

    def next_due(self) -> datetime | None:
        """See ScheduleStore."""
        return self._look(lambda view: next((leased.schedule.due for leased in view.schedules()), None))


def _is_free(lease_until: datetime | None, now: datetime) -> bool:
    return lease_until is None or lease_until <= now
