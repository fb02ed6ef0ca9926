"""Schedules: work that is due at a time, claimed under a lease."""

from dataclasses import dataclass
from datetime import datetime
from secrets import randbits
from typing import Protocol

from shoal.records.scope import Scope
from shoal.storage.protocols.records import Json

__all__ = ["Schedule", "ScheduleReader", "ScheduleStore", "ScheduleWriter", "first_fence"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Work that is due at a time.

    `fence` grows with each claim: a change with an older fencing token is refused. It starts at a random number, so
    that a schedule created under the id of a removed one does not share its fences.
    """

    scope: Scope
    schedule_id: str
    due: datetime
    payload: Json
    fence: int
    worker: str | None
    """The worker that claimed it; None if unclaimed since it was put or advanced."""
    damaged: bool = False
    """Whether it does not match what was stored; the payload is empty then, and ids and `due` may be wrong.

    It holds up no other schedule. It can be claimed when its stored time has come, or does not begin like a time, so
    that a worker removes it (`advance_schedule` finds it even if its ids are damaged) or puts it anew. While damage has
    moved its time into the future, only `shoal doctor` and `get_schedule` show it."""


def first_fence() -> int:
    """Draw the fence of a new schedule."""
    return randbits(48)


class ScheduleReader(Protocol):
    """Reads of schedules, of the store or inside a transaction."""

    def get_schedule(self, scope: Scope, schedule_id: str) -> Schedule | None:
        """Return a schedule; None if the scope has no such schedule."""


class ScheduleWriter(Protocol):
    """Changes of schedules, inside the transaction of their effect."""

    def put_schedule(self, scope: Scope, schedule_id: str, due: datetime, payload: Json) -> None:
        """Create or replace a schedule. The fence of a worker that holds the earlier one becomes stale."""

    def remove_schedule(self, scope: Scope, schedule_id: str) -> bool:
        """Remove a schedule. Returns whether it existed."""

    def advance_schedule(self, schedule: Schedule, due: datetime | None) -> bool:
        """Record, in the transaction of its effect, that a claimed schedule was carried out.

        Ends the lease and sets the next time, or removes the schedule if `due` is None; a next time does not repair a
        damaged schedule. Returns False if the fence is stale: another worker carries it out then, and the transaction
        of the caller must do nothing.
        """


class ScheduleStore(ScheduleReader, Protocol):
    """Schedules for workers. Each call is its own transaction."""

    def claim_schedule(self, worker: str, now: datetime, lease_until: datetime) -> Schedule | None:
        """Lease a schedule that is due; its fence grows by 1. Returns None if there is none.

        A schedule may be claimed when both of these hold:

        - it is due at or before `now`;
        - it is not leased, or its lease ended at or before `now`.

        Of several, the one due first, then the smaller scope, then the smaller id.
        """

    def release_schedules(self, worker: str) -> int:
        """End the leases of a worker that is known to be dead, so that its schedules may be claimed at once, whatever
        the clock says. Returns their number. Their fences become stale."""

    def next_due(self) -> datetime | None:
        """Return the time of the next schedule, of all scopes, leased or not; None if there is none. A time that
        cannot be read does not count."""
