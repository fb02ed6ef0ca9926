"""The clock by which data expires: old rows of the audit log, saved replies.

Data that is deleted because of one wrong reading of the wall clock is lost. So this clock follows the wall clock at
most `FASTEST` times as fast as the machine's monotonic clock: an hour with a wrong date in the future advances it by
two and a half days, not by years, and a server that was off for a month catches up within a day. Where the wall clock
is behind it, it is set back at once."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from shoal.records.base import format_stored_time
from shoal.repositories.clock_record import get_clock, put_clock
from shoal.storage.protocols.records import Stored
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["FASTEST", "RetentionClock"]

FASTEST: Final = 60
_ID: Final = "retention"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class RetentionClock:
    """One clock for all processes of a data folder, stored in the metadata. `now` is UTC; `steady` counts seconds since
    boot, the same for all processes of the machine."""

    def __init__(
        self, store: RecordStore, now: Callable[[], datetime], steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._now, self._steady = store, now, steady

    def __call__(self) -> datetime:
        """Return a time that has certainly passed. Reads only."""
        stored = get_clock(self._store, _ID)
        wall = self._now()
        return wall if stored is None else min(wall, _parse_time(stored))

    def tick(self) -> None:
        """Let the clock follow the wall clock. Call it periodically, outside of transactions on documents."""
        self._store.transact(self._tick)

    def _tick(self, tx: Transaction) -> None:
        stored, at = get_clock(tx, _ID), self._now()
        if stored is not None:
            at = min(at, _parse_time(stored) + FASTEST * self._time_since(stored))
        put_clock(tx, _ID, self._body(at))

    def _time_since(self, stored: Stored) -> timedelta:
        """Return the time since the last tick; zero after a reboot or on another machine."""
        if stored.body["boot"] != _boot_id():
            return timedelta(0)
        return timedelta(seconds=max(0.0, self._steady() - float(stored.body["steady"])))

    def _body(self, at: datetime) -> dict[str, object]:
        return {"at": format_stored_time(at), "steady": self._steady(), "boot": _boot_id()}


def _parse_time(stored: Stored) -> datetime:
    return datetime.fromisoformat(stored.body["at"])


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:  # not Linux: then a reboot is not detected, which only slows the clock
        return ""
