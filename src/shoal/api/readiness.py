"""Whether this server should receive requests, and which of its parts need attention, with the reasons."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shoal.assemble import Services
from shoal.errors import ShoalError
from shoal.jobs.liveness import list_alive

__all__ = ["Check", "Readiness"]

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Check:
    """The state of one part. A failed `required` check makes the server not ready; others only degrade it."""

    ok: bool
    reason: str | None = None
    required: bool = True


@dataclass(slots=True)
class Readiness:
    """The readiness checks. `draining` is set by the first signal to stop. `workers` returns how many of the workers
    that this server runs are alive; None where they run elsewhere."""

    draining: bool = False
    workers: Callable[[], int] | None = field(default=None)

    def checks(self, services: Services) -> Mapping[str, Check]:
        """Check every part now."""
        return {
            "server": Check(not self.draining, "The server is shutting down." if self.draining else None),
            "database": _database(services),
            "data_folder": _data_folder(services),
            "disk": _disk(services),
            "workers": self._workers(services),
        }

    def _workers(self, services: Services) -> Check:
        expected = services.settings.workers
        if self.workers is not None and expected:
            alive = self.workers()
            missing = f"{expected - alive} of {expected} workers are not running; they are started again."
            return Check(alive >= expected, None if alive >= expected else missing, required=False)
        if list_alive(services.settings.data / "workers"):
            return Check(True, required=False)
        reason = "No worker runs on this data folder: runs wait until `shoal worker` is started."
        return Check(False, reason, required=False)


def _database(services: Services) -> Check:
    try:
        services.metadata.running_workers()
    except ShoalError as error:
        return Check(False, error.message)
    return Check(True)


def _data_folder(services: Services) -> Check:
    usable = os.access(services.settings.data, os.R_OK | os.W_OK | os.X_OK)
    return Check(usable, None if usable else "The data folder cannot be read and written.")


def _disk(services: Services) -> Check:
    try:
        space = services.disk.space()
    except OSError as error:
        return Check(False, f"The disk does not answer ({error.strerror}).")
    if not space.low:
        return Check(True, required=False)
    reserve_mib = (space.reserve + space.owed) / _MIB
    reason = f"{space.free / _MIB:,.0f} MiB are free and {reserve_mib:,.0f} MiB kept in reserve: new data is rejected."
    return Check(False, reason, required=False)
