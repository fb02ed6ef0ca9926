"""The outbox: events of a namespace, appended in the transaction of their effect and read in order by consumers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from shoal.records.scope import Scope
from shoal.storage.protocols.records import Json

__all__ = ["EVENTS_KEPT", "Event", "EventLog", "EventReader", "EventWriter", "Feed"]

EVENTS_KEPT: Final = 10_000
"""Events of a namespace that a store keeps at least; older ones may be gone."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a namespace."""

    scope: Scope
    number: int
    """1 for the first event of the namespace; each further one has the next number, in the order of the commits."""
    type: str
    """Resource and past participle, such as `run.completed`."""
    subject: str
    """The id of what it happened to."""
    occurred_at: datetime
    data: Json
    damaged: bool = False
    """Whether the event does not match what was stored; then only scope and number are certain, and `data` is empty."""


@dataclass(frozen=True, slots=True)
class Feed:
    """The place of a consumer in the events of a namespace, leased to one worker. `fence` grows with each claim."""

    consumer: str
    scope: Scope
    position: int
    """The number of the last event that the consumer has handled; 0 for none."""
    fence: int


class EventReader(Protocol):
    """Reads of events, of the store or inside a transaction."""

    def events(self, scope: Scope, *, after: int, most: int) -> Sequence[Event]:
        """At most `most` events of exactly this scope with numbers greater than `after`, in order. A first number
        greater than `after + 1` says that the events between were dropped. A damaged event is among them, marked."""


class EventWriter(Protocol):
    """Changes of the outbox, inside the transaction of the effect."""

    def append_event(self, scope: Scope, type: str, subject: str, data: Json, now: datetime) -> Event:
        """Append an event to those of the scope. Events more than `EVENTS_KEPT` behind it may be dropped."""

    def advance_feed(self, feed: Feed, position: int) -> bool:
        """Record that the events up to `position` were handled; the lease stays. False where the fence is stale: the
        feed was claimed by another worker, which handles the same events again."""


class EventLog(EventReader, Protocol):
    """The outbox as consumers see it. Each call is a transaction of its own."""

    def claim_feed(self, consumer: str, worker: str, now: datetime, lease_until: datetime) -> Feed | None:
        """Lease a feed of the consumer that has events to handle; None where there is none.

        A feed may be claimed when both of these hold:

        - its scope has an event with a number greater than the feed's position;
        - it is not leased, or its lease ended at or before `now`.

        Of several, the one claimed longest ago, those never claimed first, then the smaller scope. The claim and these
        conditions are one transaction, so two workers never hold the same feed under a current fence.
        """

    def release_feed(self, feed: Feed) -> bool:
        """End the lease. False where the fence is stale."""

    def release_feeds(self, worker: str) -> int:
        """End the leases of a worker that is known to be dead, so that its feeds may be claimed at once, whatever the
        clock says. Returns their number. Their fences become stale."""
