"""Schedules: what is due at a time, claimed under a lease."""

from dataclasses import dataclass
from datetime import datetime
from secrets import randbits
from typing import Protocol

from shoal.records.scope import Scope
from shoal.storage.protocols.records import Json

__all__ = ["Schedule", "ScheduleReader", "ScheduleStore", "ScheduleWriter", "first_fence"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Something to do at `due`.

    `fence` grows with each claim: a change that carries an older fence is refused. It starts at a random number, so
    that a schedule created under the id of a removed one has no fence of that one.
    """

    scope: Scope
    schedule_id: str
    due: datetime
    payload: Json
    fence: int
    worker: str | None
    """Who claimed it; None where nobody has since it was put or advanced."""


def first_fence() -> int:
    """Draw the fence of a new schedule."""
    return randbits(48)


class ScheduleReader(Protocol):
    """Reads of schedules, of the store or inside a transaction."""

    def get_schedule(self, scope: Scope, schedule_id: str) -> Schedule | None:
        """None where the scope has no such schedule."""


class ScheduleWriter(Protocol):
    """Changes of schedules, inside the transaction of their effect."""

    def put_schedule(self, scope: Scope, schedule_id: str, due: datetime, payload: Json) -> None:
        """Create a schedule or replace it. A worker that holds the earlier one finds its fence stale."""

    def remove_schedule(self, scope: Scope, schedule_id: str) -> bool:
        """Whether there was something to remove."""

    def advance_schedule(self, schedule: Schedule, due: datetime | None) -> bool:
        """Record, in the transaction of its effect, that a claimed schedule was carried out: end the lease and set the
        next time, or remove the schedule where `due` is None. False where the fence is stale: then another worker
        carries it out, and the caller's transaction must do nothing."""


class ScheduleStore(ScheduleReader, Protocol):
    """Schedules as workers see them. Each call is a transaction of its own."""

    def claim_schedule(self, worker: str, now: datetime, lease_until: datetime) -> Schedule | None:
        """Lease a schedule that is due; its fence grows by 1. None where there is none.

        A schedule may be claimed when both of these hold:

        - it is due at or before `now`;
        - it is not leased, or its lease ended at or before `now`.

        Of several, the one due first, then the smaller scope, then the smaller id.
        """

    def next_due(self) -> datetime | None:
        """When the next schedule is due, of all scopes, leased or not; None where there is none."""
