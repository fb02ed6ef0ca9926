"""D4: a disk that fills, in several sizes. Writes are refused in words, reads go on, nothing acknowledged is lost, and
once there is room again writes succeed by themselves.

A filler lies on the disk beside the data folder and is removed when the disk is full: room comes back as it does when
an operator makes some.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from faults.disk import small_disk
from faults.invariants import Violated, check_all, check_files, check_settled
from faults.victim import Victim, victim
from faults.workload import Operations

__all__ = ["SIZES", "Filled", "fill"]

SIZES: Final = (12, 14, 16, 18, 20, 24, 28, 32, 40, 48, 56, 64)
"""MiB."""
_FILLER: Final = 0.4
_BATCHES: Final = 4_000
_REFUSALS: Final = 3
_ROOM_SECONDS: Final = 5.0


@dataclass(slots=True)
class Filled:
    """What came of it."""

    disks: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    """How writes to a full disk were answered."""
    slowest_s: float = 0.0
    """From the moment there was room to the first write that succeeded."""
    violations: list[str] = field(default_factory=list)


def fill(mib: int, filled: Filled) -> None:
    """Fill one disk of that size, look, make room, go on. Raises NoDisk where none can be mounted."""
    filled.disks += 1
    with small_disk(mib) as disk:
        filler = disk / "filler"
        filler.write_bytes(bytes(int(mib * _FILLER * 2**20)))
        try:
            # Reserves that are made for disks of many gigabytes would leave nothing of one this small.
            with victim(disk, workers=1, SHOAL_DISK_RESERVE_MIB="1", SHOAL_BALLAST_MIB="4") as server:
                _fill(server, filled)
                filler.unlink()
                _go_on(server, filled)
                server.stop()
                server.check_gone()
                check_files(server.data, idle=True)
        except (Violated, RuntimeError, OSError) as problem:
            filled.violations.append(f"{mib} MiB: {problem}")


def _fill(server: Victim, filled: Filled) -> None:
    with server.client() as client:
        ops, refused = Operations(client, server.ledger), 0
        for batch in range(_BATCHES):
            entry = ops.ingest(batch)
            if entry.fate != "ack":
                filled.statuses[entry.reply["status"]] += 1
                refused += 1
            if refused == _REFUSALS:
                break
        else:
            raise Violated("I1", f"{_BATCHES} batches did not fill the disk")
        run = ops.execute("plain")  # refused, or a run that ends
        if run.fate != "ack":
            filled.statuses[run.reply["status"]] += 1
        check_settled(client)
        check_all(client, server.ledger, since=len(server.ledger.entries))
        ops.delete(0)  # may be refused as well; check_all knows either


def _go_on(server: Victim, filled: Filled) -> None:
    began = time.monotonic()
    with server.client() as client:
        ops, batch = Operations(client, server.ledger), _BATCHES
        while ops.ingest(batch).fate != "ack":
            batch += 1
            if time.monotonic() - began > _ROOM_SECONDS:
                raise Violated("I7", f"{_ROOM_SECONDS} s after there was room writes are still refused")
            time.sleep(0.1)
        filled.slowest_s = max(filled.slowest_s, time.monotonic() - began)
        entry = ops.execute("plain")
        if entry.fate != "ack":
            raise Violated("I7", f"after there was room an execution is answered {entry.reply}")
        check_settled(client)
        run = client.get(f"/clusters/plain/executions/{entry.reply['run_id']}").json()
        if run["status"] != "completed":
            raise Violated("I7", f"after there was room a run ended as {run['status']}: {run['error_message']}")
        check_all(client, server.ledger)
