"""D4: full disks of several sizes. Writes are refused with an error, reads continue, nothing acknowledged is lost,
and once space is free again writes succeed without intervention.

A filler file beside the data folder is removed when the disk is full, as an operator would free space.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from faults.disk import small_disk
from faults.invariants import Violated, check_all, check_files, check_settled
from faults.victim import Victim, victim
from faults.workload import Operations

__all__ = ["SIZES", "FillResult", "fill"]

SIZES: Final = (12, 14, 16, 18, 20, 24, 28, 32, 40, 48, 56, 64)
"""MiB."""
_FILLER: Final = 0.4
_BATCHES: Final = 4_000
_REFUSALS: Final = 3
_RECOVERY_SECONDS: Final = 5.0


@dataclass(slots=True)
class FillResult:
    """Outcome of filling the disks."""

    disks: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    """Answers to writes on a full disk, by status."""
    slowest_s: float = 0.0
    """Longest time from freeing space to the first successful write."""
    violations: list[str] = field(default_factory=list)


def fill(mib: int, result: FillResult) -> None:
    """Fill one disk of that size, check, free space, check again. Raises NoDisk if none can be mounted."""
    result.disks += 1
    with small_disk(mib) as disk:
        filler = disk / "filler"
        filler.write_bytes(bytes(int(mib * _FILLER * 2**20)))
        try:
            # The default reserves are for disks of many gigabytes and would fill one this small.
            with victim(disk, workers=1, SHOAL_DISK_RESERVE_MIB="1", SHOAL_BALLAST_MIB="4") as server:
                _fill(server, result)
                filler.unlink()
                _check_recovery(server, result)
                server.stop()
                server.check_gone()
                check_files(server.data, idle=True)
        except (Violated, RuntimeError, OSError) as problem:
            result.violations.append(f"{mib} MiB: {problem}")


def _fill(server: Victim, result: FillResult) -> None:
    with server.client() as client:
        ops, refused = Operations(client, server.ledger), 0
        for batch in range(_BATCHES):
            entry = ops.ingest(batch)
            if entry.fate != "ack":
                result.statuses[entry.reply["status"]] += 1
                refused += 1
            if refused == _REFUSALS:
                break
        else:
            raise Violated("I1", f"{_BATCHES} batches did not fill the disk")
        run = ops.execute("plain")  # refused, or a run that ends
        if run.fate != "ack":
            result.statuses[run.reply["status"]] += 1
        check_settled(client)
        check_all(client, server.ledger, since=len(server.ledger.entries))
        ops.delete(0)  # may be refused as well; check_all accepts both


def _check_recovery(server: Victim, result: FillResult) -> None:
    began = time.monotonic()
    with server.client() as client:
        ops, batch = Operations(client, server.ledger), _BATCHES
        while ops.ingest(batch).fate != "ack":
            batch += 1
            if time.monotonic() - began > _RECOVERY_SECONDS:
                raise Violated("I7", f"{_RECOVERY_SECONDS} s after space was freed writes are still refused")
            time.sleep(0.1)
        result.slowest_s = max(result.slowest_s, time.monotonic() - began)
        entry = ops.execute("plain")
        if entry.fate != "ack":
            raise Violated("I7", f"after space was freed an execution is answered {entry.reply}")
        check_settled(client)
        run = client.get(f"/clusters/plain/executions/{entry.reply['run_id']}").json()
        if run["status"] != "completed":
            raise Violated("I7", f"after space was freed a run ended as {run['status']}: {run['error_message']}")
        check_all(client, server.ledger)
