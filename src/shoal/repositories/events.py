"""Delivery of events: at least once, and in order within each namespace.

A consumer that falls further behind than a store keeps events (`EVENTS_KEPT`) loses some, and an event that is damaged
on disk is lost. Both are logged as errors, with the number, and delivery goes on: nothing would bring the lost ones
back, and to wait for them would withhold all later ones. `shoal doctor` finds damaged events before they are due.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from shoal.storage.protocols.events import Event, EventLog, Feed
from shoal.storage.protocols.transactions import RecordStore

__all__ = ["LEASE", "EventStore", "Events"]

LEASE: Final = timedelta(seconds=60)
"""How long a worker may take to handle a batch of events of a namespace; the lease is not renewed."""
_BATCH: Final = 100
_log = logging.getLogger("shoal.events")


class EventStore(EventLog, RecordStore, Protocol):
    """The part of the metadata store that delivery uses."""


class Events:
    """Delivers the events of all namespaces to named consumers, such as triggers, webhooks or live progress.

    Parameters
    ----------
    store
        The metadata store.
    now
        The clock, in UTC.
    """

    def __init__(self, store: EventStore, now: Callable[[], datetime]) -> None:
        self._store, self._now = store, now

    def deliver(self, consumer: str, worker: str, handle: Callable[[Event], None], *, most: int = _BATCH) -> int:
        """Hand the next events of one namespace to a consumer.

        The position moves on after each event that was handled, so after a crash the last one comes again: `handle`
        has to be idempotent, and may use scope and number as its key. Where `handle` raises, the events from that one
        on come again with the next call.

        Parameters
        ----------
        consumer
            Whose position counts. All workers of a consumer share it.
        worker
            Who holds the lease meanwhile; a name that is unique to each process.
        handle
            Called with one event at a time, in the order of their numbers.
        most
            The maximum number of events before the lease is released, so that other namespaces have their turn.

        Returns
        -------
        int
            How many events were handled or, since they are damaged, passed over; 0 where none wait, or another worker
            took over.
        """
        now = self._now()
        feed = self._store.claim_feed(consumer, worker, now, now + LEASE)
        if feed is None:
            return 0
        try:
            return self._deliver(feed, handle, most)
        finally:
            self._store.release_feed(feed)

    def _deliver(self, feed: Feed, handle: Callable[[Event], None], most: int) -> int:
        handled = 0
        for event in self._store.events(feed.scope, after=feed.position, most=most):
            if event.number > feed.position + 1:
                _log_gap(feed, event)
            if event.damaged:
                _log_damage(feed, event)
            else:
                handle(event)
            if not self._advance(feed, event.number):
                break  # the lease ended and another worker goes on from the position before
            feed, handled = replace(feed, position=event.number), handled + 1
        return handled

    def _advance(self, feed: Feed, position: int) -> bool:
        return self._store.transact(lambda tx: tx.advance_feed(feed, position))


def _log_gap(feed: Feed, event: Event) -> None:
    lost = event.number - feed.position - 1
    _log.error("events.lost", extra={"consumer": feed.consumer, "id": feed.scope.namespace_id, "lost": lost})


def _log_damage(feed: Feed, event: Event) -> None:
    about = {"consumer": feed.consumer, "id": feed.scope.namespace_id, "number": event.number}
    _log.error("events.damaged", extra=about)
