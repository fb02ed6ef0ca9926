"""Fill and free the disk of a server, on real small file systems of each size.

python tests/ops/disk_sweep.py 8 64     # 57 sizes, a few seconds each; needs to be root, for the mounts
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from server_process import ServerProcess
from shoal.storage.local.disk import BALLAST_NAME

__all__ = ["Outcome", "can_mount", "fill_and_free", "mounted"]

MIB = 2**20
BATCH = 50


@dataclass
class Outcome:
    """The outcome on one disk. `statuses` counts the responses to all writes and deletions."""

    size_mib: int
    acknowledged: int = 0
    deleted: int = 0
    held: int = 0
    lost: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    reads: Counter[int] = field(default_factory=Counter)
    ready: int = 0
    recovered_after_s: float = 0.0


def can_mount() -> bool:
    """Whether this process may mount a tmpfs."""
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.suppress(OSError, subprocess.CalledProcessError), mounted(Path(folder), 1):
            return True
        return False


@contextlib.contextmanager
def mounted(folder: Path, size_mib: int) -> Iterator[Path]:
    """A file system of this size at `folder`."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


def fill_and_free(folder: Path, size_mib: int, deadline_s: float = 60.0) -> Outcome:
    """Write until the disk is full, let another program take the rest, read, delete, free, write again, restart."""
    outcome = Outcome(size_mib)
    with mounted(folder, size_mib) as disk:
        filler, rest = disk / "filler", disk / "rest"
        filler.write_bytes(b"\0" * (size_mib * MIB // 3))
        server = _server(disk, size_mib).start()
        try:
            with server.client("default") as client:
                body = {"collection_name": "docs", "source": {"type": "direct_upsert"}}
                client.post("/collections", json=body).raise_for_status()
                _write_until_full(client, outcome)
                _take_the_rest(rest)
                if not (
                    disk / "data" / BALLAST_NAME
                ).exists():  # the ballast was just released, and the other program took the space
                    os.truncate(rest, max(0, rest.stat().st_size - _ballast_mib(size_mib) * MIB))
                for _ in range(5):
                    _write_the_next(client, outcome)
                outcome.ready = httpx.get(f"{server.url}/readyz", trust_env=False).status_code
                outcome.reads[client.get("/collections/docs/documents/b00000-00").status_code] += 1
                outcome.reads[client.post("/collections/docs/documents/list", json={}).status_code] += 1
                _delete(client, outcome, deadline_s)
                rest.unlink()
                filler.unlink()
                _write_again(client, outcome, deadline_s)
            assert server.stop() == 0
            with server.start().client("default") as client:
                _count(client, outcome)
        finally:
            server.stop()
    return outcome


def _server(disk: Path, size_mib: int) -> ServerProcess:
    # 1.5 times the largest journal, which on a small disk is at most as large as the data that fit.
    reserve, ballast = 2 if size_mib >= 24 else 1, _ballast_mib(size_mib)
    return ServerProcess(disk / "data", workers=0, SHOAL_DISK_RESERVE_MIB=str(reserve), SHOAL_BALLAST_MIB=str(ballast))


def _ballast_mib(size_mib: int) -> int:
    return 6 if size_mib >= 24 else size_mib // 4


def _write(client: httpx.Client, batch: int) -> httpx.Response:
    documents = [
        {
            "document_id": f"b{batch:05d}-{row:02d}",
            "vectors": {"v": [float(row)] * 64},
            "payload": {"batch": batch, "text": "w" * 500},
        }
        for row in range(BATCH)
    ]
    body = {"collection_id": "docs", "documents": documents}
    return client.post("/namespaces/default/documents/upsert", json=body)


def _write_until_full(client: httpx.Client, outcome: Outcome) -> None:
    refused = 0
    while refused < 3:
        refused += not _write_the_next(client, outcome)


def _write_the_next(client: httpx.Client, outcome: Outcome) -> bool:
    """Whether it was taken."""
    reply = _write(client, outcome.acknowledged)
    outcome.statuses[reply.status_code] += 1
    outcome.acknowledged += reply.status_code == 200
    return reply.status_code == 200


def _take_the_rest(path: Path) -> None:
    """Fill the disk to the last block, as another program would."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


def _delete(client: httpx.Client, outcome: Outcome, deadline_s: float) -> None:
    """Delete a document on the full disk; releasing the ballast may take a moment."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end and not outcome.deleted:
        reply = client.delete("/collections/docs/documents/b00000-49")
        outcome.statuses[reply.status_code] += 1
        outcome.deleted += reply.status_code == 200
        time.sleep(0.05)


def _write_again(client: httpx.Client, outcome: Outcome, deadline_s: float) -> None:
    began = time.monotonic()
    while time.monotonic() < began + deadline_s:
        if _write_the_next(client, outcome):
            outcome.recovered_after_s = time.monotonic() - began
            return
        time.sleep(0.05)
    raise AssertionError(f"{outcome.size_mib} MiB: no write was taken again: {outcome.statuses}")


def _count(client: httpx.Client, outcome: Outcome) -> None:
    body = {"field": "batch", "limit": 10_000}
    counts = client.post("/collections/docs/documents/distinct", json=body).json()["values"]
    held = {int(item["value"]): int(item["count"]) for item in counts}
    outcome.held = sum(held.values())
    for batch in range(outcome.acknowledged):
        wanted = BATCH - (outcome.deleted if batch == 0 else 0)
        if held.get(batch) != wanted:
            outcome.lost.append(f"batch {batch}: {held.get(batch)} of {wanted}")


def main() -> None:
    first, last = int(sys.argv[1]), int(sys.argv[2])
    for size in range(first, last + 1):
        with tempfile.TemporaryDirectory() as folder:
            print(fill_and_free(Path(folder), size), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
