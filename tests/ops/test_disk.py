"""On a full disk, new data is rejected and existing data can be read and deleted; the server recovers on its own."""

import errno
import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from ops.disk_sweep import BATCH, can_mount, fill_and_free, mounted
from shoal.columns import DocumentBatch, VectorColumn
from shoal.durable import disk_error
from shoal.errors import InsufficientStorage, Unavailable
from shoal.records.queries.filters import MATCH_ALL
from shoal.records.scope import Scope
from shoal.storage.local.disk import BALLAST_NAME, Disk, measure_space
from shoal.storage.sqlite.documents.store import SqliteDocuments

pytestmark = pytest.mark.process

MIB = 2**20
SIZES = (8, 21, 38, 63)

needs_mounts = pytest.mark.skipif(not can_mount(), reason="a tmpfs cannot be mounted here (needs root)")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of 16 MiB."""
    with mounted(tmp_path, 16) as folder:
        yield folder


@needs_mounts
@pytest.mark.parametrize("size", SIZES)
def test_a_full_disk_loses_nothing_and_accepts_writes_again_once_freed(size: int, tmp_path: Path) -> None:
    outcome = fill_and_free(tmp_path, size)

    assert outcome.lost == []
    assert outcome.held == outcome.acknowledged * BATCH - 1
    assert set(outcome.statuses) == {200, 507}
    assert outcome.acknowledged > 1
    assert set(outcome.reads) == {200}
    assert outcome.ready == 200
    assert outcome.deleted == 1


def test_the_reserve_is_a_share_of_the_disk_within_bounds_unless_set(tmp_path: Path) -> None:
    found = measure_space(tmp_path)

    assert found.reserve == min(10 * 1024 * MIB, max(1024 * MIB, int(found.total * 0.05)))
    assert measure_space(tmp_path, 7).reserve == 7 * MIB
    assert measure_space(tmp_path, 0).usable == measure_space(tmp_path, 0).free


def test_writes_that_would_use_the_reserve_are_rejected_with_the_figures(tmp_path: Path) -> None:
    disk = Disk(tmp_path, reserve_mib=0, ballast_mib=0)

    disk.check(MIB)
    with pytest.raises(InsufficientStorage, match="kept in reserve") as refused:
        disk.check(10**18)

    assert refused.value.details["needed_bytes"] == 10**18
    assert refused.value.details["retry_after_seconds"] == 5


@needs_mounts
def test_the_ballast_is_released_on_a_full_disk_and_restored_afterwards(
    disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    emptied: list[bool] = []
    tended = Disk(disk, reserve_mib=2, ballast_mib=4, emptied=lambda: emptied.append(True))
    ballast, filler = disk / BALLAST_NAME, disk / "filler"

    tended.tend()
    assert ballast.stat().st_blocks * 512 >= 4 * MIB
    filler.write_bytes(b"\0" * (12 * MIB - 65_536))
    with caplog.at_level(logging.WARNING, "shoal.disk"):
        tended.tend()
    assert not ballast.exists()
    assert emptied == [True]
    assert "ballast_given_up" in caplog.text
    assert tended.space().low  # space released by the ballast is not for new data
    tended.tend()
    assert not ballast.exists()
    filler.unlink()
    tended.tend()
    assert ballast.exists()
    assert not tended.space().low


@needs_mounts
def test_a_large_deletion_on_a_full_disk_succeeds_in_batches(disk: Path, scope: Scope, now: datetime) -> None:
    store, filler = SqliteDocuments(disk / "documents"), disk / "filler"
    for start in range(0, 4000, 500):
        ids = [f"d{start + row:05d}" for row in range(500)]
        payloads = [b'{"text":"%s"}' % (b"w" * 900) for _ in ids]
        values = np.ones((500, 4), dtype=np.float32)
        batch = DocumentBatch(ids, payloads, {"v": VectorColumn(np.arange(500), values)})
        store.write(scope, "col", [batch], now=now)
    store.checkpoint()
    with filler.open("wb") as file:
        file.write(b"\0" * (measure_space(disk, 0).free - 512 * 1024))

    gone = store.delete_where(scope, "col", MATCH_ALL)

    assert gone == 4000
    assert store.count(scope, "col") == 0
    store.close()


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, InsufficientStorage), (errno.EDQUOT, InsufficientStorage)])
def test_a_full_disk_is_distinguished_from_other_errors(number: int, kind: type[Unavailable]) -> None:
    assert type(disk_error(OSError(number, "x"), "It failed")) is kind
    assert type(disk_error(OSError(errno.EIO, "x"), "It failed")) is Unavailable
