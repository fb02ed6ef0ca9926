"""The clock by which things are forgotten: old rows of the audit log, saved replies.

What is deleted on the word of one wrong reading of the wall clock does not come back. So this clock follows the wall
clock at most `FASTEST` times as fast as time passes by the machine's steady clock: an hour in a wrong future moves it
by two and a half days, not by years, and after a server was off for a month it catches up within a day. Where the wall
clock is behind it, it is set back at once.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from shoal.records.base import format_stored_time
from shoal.records.scope import Scope
from shoal.storage.protocols.records import Stored
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["FASTEST", "RetentionClock"]

FASTEST: Final = 60
_ROOT: Final = Scope("")
_ID: Final = "retention"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class RetentionClock:
    """One for all processes of a data folder, kept in the metadata. `now` is UTC; `steady` counts seconds since the
    machine started, the same for all its processes."""

    def __init__(
        self, store: RecordStore, now: Callable[[], datetime], steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._now, self._steady = store, now, steady

    def __call__(self) -> datetime:
        """What time it is at least, as far as anybody can rely on it. Reads only."""
        kept = self._store.get(_ROOT, "clock", _ID)
        wall = self._now()
        return wall if kept is None else min(wall, _told(kept))

    def tick(self) -> None:
        """Let it follow the wall clock. Call it every so often, outside of transactions on documents."""
        self._store.transact(self._tick)

    def _tick(self, tx: Transaction) -> None:
        kept = tx.get(_ROOT, "clock", _ID)
        if kept is None:
            tx.insert(_ROOT, "clock", _ID, self._body(self._now()))
        else:
            moved = min(self._now(), _told(kept) + FASTEST * self._elapsed(kept))
            tx.replace(_ROOT, "clock", _ID, self._body(moved), expect_version=kept.version)

    def _elapsed(self, kept: Stored) -> timedelta:
        """Since the last tick; nothing where the machine was started since, or it is another one."""
        if kept.body["boot"] != _boot():
            return timedelta(0)
        return timedelta(seconds=max(0.0, self._steady() - float(kept.body["steady"])))

    def _body(self, at: datetime) -> dict[str, object]:
        return {"at": format_stored_time(at), "steady": self._steady(), "boot": _boot()}


def _told(kept: Stored) -> datetime:
    return datetime.fromisoformat(kept.body["at"])


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:  # not Linux: only the process that ticks can tell; a restart costs nothing but time
        return ""
