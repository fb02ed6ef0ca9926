"""Whether this server should be sent requests, and which of its parts ask for attention; each with its reason."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shoal.assemble import Services
from shoal.errors import ShoalError
from shoal.jobs.liveness import living

__all__ = ["Check", "Readiness"]

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Check:
    """One part. `required` ones make the server not ready; the others leave it serving with less."""

    ok: bool
    reason: str | None = None
    required: bool = True


@dataclass(slots=True)
class Readiness:
    """`draining` is set at the first signal to end. `workers` tells how many of the workers that this server keeps are
    alive; None where they run elsewhere."""

    draining: bool = False
    workers: Callable[[], int] | None = field(default=None)

    def checks(self, services: Services) -> Mapping[str, Check]:
        """Every part, looked at now."""
        return {
            "server": Check(not self.draining, "The server is shutting down." if self.draining else None),
            "database": _database(services),
            "data_folder": _folder(services),
            "disk": _disk(services),
            "workers": self._present(services),
        }

    def _present(self, services: Services) -> Check:
        expected = services.settings.workers
        if self.workers is not None and expected:
            alive = self.workers()
            missing = f"{expected - alive} of {expected} workers are not running; they are started again."
            return Check(alive >= expected, None if alive >= expected else missing, required=False)
        if living(services.settings.data / "workers"):
            return Check(True, required=False)
        reason = "No worker runs on this data folder: runs wait until `shoal worker` is started."
        return Check(False, reason, required=False)


def _database(services: Services) -> Check:
    try:
        services.metadata.running_workers()
    except ShoalError as error:
        return Check(False, error.message)
    return Check(True)


def _folder(services: Services) -> Check:
    usable = os.access(services.settings.data, os.R_OK | os.W_OK | os.X_OK)
    return Check(usable, None if usable else "The data folder cannot be read and written.")


def _disk(services: Services) -> Check:
    try:
        room = services.disk.space()
    except OSError as error:
        return Check(False, f"The disk does not answer ({error.strerror}).")
    if not room.low:
        return Check(True, required=False)
    kept = (room.reserve + room.owed) / _MIB
    reason = f"{room.free / _MIB:,.0f} MiB are free and {kept:,.0f} MiB kept in reserve: new data are refused."
    return Check(False, reason, required=False)
