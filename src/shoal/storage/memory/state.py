"""The state of an in-memory metadata store: multi-version tables under one lock."""

import threading
from bisect import insort
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias, get_args

from shoal.storage.memory.table import Table
from shoal.storage.protocols.events import Event
from shoal.storage.protocols.queue import Job
from shoal.storage.protocols.records import Kind
from shoal.storage.protocols.replies import SavedReply
from shoal.storage.protocols.schedules import Schedule

__all__ = [
    "EVERY_HEAD",
    "EVERY_JOB",
    "EVERY_SCHEDULE",
    "KINDS",
    "UNCLAIMED",
    "LeasedFeed",
    "LeasedSchedule",
    "Place",
    "Position",
    "Record",
    "State",
]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
EVERY_JOB: Final = "jobs"
EVERY_SCHEDULE: Final = "schedules"
EVERY_HEAD: Final = "heads"
Position: TypeAlias = tuple[float, int]
"""The commit that inserted a row, and its number within that commit."""
_FORGOTTEN_AT_ONCE: Final = 100


class Record(NamedTuple):
    """A record; `text` is its body as JSON."""

    position: Position
    name: str | None
    version: int
    text: bytes


class Place(NamedTuple):
    """A job in the queue. `holds` says whether it holds its subject, so that no other job of it can be queued."""

    job: Job
    position: Position
    created_at: datetime
    subject: str | None
    holds: bool


class LeasedFeed(NamedTuple):
    """The position of a consumer in the events of a namespace, with its lease."""

    position: int
    fence: int
    served: int
    worker: str | None
    lease_until: datetime | None


UNCLAIMED: Final = LeasedFeed(0, 0, 0, None, None)


class LeasedSchedule(NamedTuple):
    """A schedule with the end of its lease."""

    schedule: Schedule
    lease_until: datetime | None


def _by_scope(key: tuple[str, ...]) -> Hashable:
    return key[:3]


@dataclass(slots=True)
class Counter:
    """A count, and the sum of the amounts."""

    count: int = 0
    total: float = 0.0


class State:
    """The tables, and the moment: the number of the last commit. Hold `lock` around every use.

    `names`, `holders` and `waiting` are indexes of records by name, of the jobs that hold a subject, and of waiting
    jobs, so that lookups do not read, and conflict with, whole tables.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.moment = 0
        self.records = Table[tuple[str, str, str, str], Record](_by_scope)
        self.names = Table[tuple[str, str, str, str], str](_by_scope)
        self.jobs = Table[str, Place](lambda _: EVERY_JOB)
        self.holders = Table[tuple[str, str, str, str], str](lambda key: key)
        self.waiting = Table[tuple[str, str, str], Position](lambda key: key[:2])
        self.turns = Table[tuple[str, str], int](lambda key: key[0])
        self.replies = Table[tuple[str, str, str], SavedReply](lambda key: key[:2])
        self.events = Table[tuple[str, str, int], Event](lambda key: key[:2])
        self.event_heads = Table[tuple[str, str], int](lambda _: EVERY_HEAD)
        self.feeds = Table[tuple[str, str, str], LeasedFeed](lambda key: key[1:])
        self.schedules = Table[tuple[str, str, str], LeasedSchedule](lambda _: EVERY_SCHEDULE)
        self.counters: dict[tuple[str, ...], Counter] = {}
        self._replies_by_age: list[tuple[datetime, tuple[str, str, str]]] = []
        self._snapshots: dict[int, int] = {}

    @property
    def tables(self) -> tuple[Table[Any, Any], ...]:
        """All tables."""
        return (
            *(self.records, self.names, self.jobs, self.holders, self.waiting, self.turns, self.replies),
            *(self.events, self.event_heads, self.feeds, self.schedules),
        )

    def hold_snapshot(self) -> int:
        """Keep the versions of the current moment until `release_snapshot`. Returns the moment."""
        with self.lock:
            self._snapshots[self.moment] = self._snapshots.get(self.moment, 0) + 1
            return self.moment

    def release_snapshot(self, moment: int) -> None:
        """Stop keeping the versions of a moment."""
        with self.lock:
            self._snapshots[moment] -= 1
            if not self._snapshots[moment]:
                del self._snapshots[moment]

    def oldest_snapshot(self) -> int:
        """Return the earliest moment that is still read."""
        return min(self._snapshots, default=self.moment)

    def commit(self, apply: Callable[[int], None]) -> None:
        """Let `apply` write at the next moment, then advance to it and wake waiting threads."""
        with self.changed:
            apply(self.moment + 1)
            self.moment += 1
            self.changed.notify_all()

    def add_reply(self, key: tuple[str, str, str], saved: SavedReply) -> None:
        """Record the age of a reply that is being stored."""
        insort(self._replies_by_age, (saved.saved_at, key))

    def forget_replies(self, before: datetime, moment: int) -> None:
        """Delete some replies that were saved before a time."""
        oldest = self.oldest_snapshot()
        old = [entry for entry in self._replies_by_age[:_FORGOTTEN_AT_ONCE] if entry[0] < before]
        del self._replies_by_age[: len(old)]
        for saved_at, key in old:
            present = self.replies.at(key, moment)
            if present is not None and present.saved_at == saved_at:
                self.replies.put(key, None, moment, oldest)
