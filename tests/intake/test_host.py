"""The process that readers start from: killed from outside, it harms no other process and is replaced."""

import gzip
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.api.errors import error_reply
from shoal.errors import Unavailable
from shoal.intake import readers
from shoal.intake.readers import READERS, FileReaders, readers_needed
from shoal.intake.request import Limits, ReadOptions

pytestmark = pytest.mark.process

ROWS = 60_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More than a socket buffer holds, so that the reader waits for its consumer."""
    path = tmp_path_factory.mktemp("files") / "rows.parquet"
    vectors = np.random.default_rng(0).normal(size=ROWS * 16).astype(np.float32)
    pq.write_table(pa.table({"embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors), 16)}), path)
    return path


@pytest.fixture
def files() -> FileReaders:
    files = FileReaders(Limits())
    files.prepare()
    return files


def host() -> int:
    process = readers._HOST._process
    assert process is not None
    return process.pid


def rows_of(files: FileReaders, path: Path) -> int:
    with files.reading(path, ReadOptions(), "org_1") as file:
        return sum(len(batch) for batch in file.batches())


def test_a_file_whose_host_is_ended_while_it_is_read_can_be_sent_again(files: FileReaders, path: Path) -> None:
    before = host()

    with files.reading(path, ReadOptions(), "org_1") as file:
        batches = file.batches()
        next(batches)
        os.kill(before, signal.SIGKILL)
        with pytest.raises(Unavailable, match=r"rows\.parquet: reading was interrupted.*Send it again") as caught:
            list(batches)

    assert error_reply(caught.value).status_code == 503
    assert rows_of(files, path) == ROWS
    assert host() != before


def test_a_host_that_died_unseen_is_replaced_before_the_next_file(files: FileReaders, path: Path) -> None:
    before = host()
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)

    assert rows_of(files, path) == ROWS
    assert host() != before


def test_a_file_whose_host_dies_before_it_starts_a_reader_is_read_by_the_next(files: FileReaders, path: Path) -> None:
    before = host()
    os.kill(before, signal.SIGSTOP)
    threading.Timer(0.3, os.kill, (before, signal.SIGKILL)).start()

    assert rows_of(files, path) == ROWS
    assert host() != before


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_the_host_has_one_thread_since_a_process_with_more_cannot_be_forked_safely(
    files: FileReaders, path: Path
) -> None:
    assert rows_of(files, path) == ROWS

    threads = list(Path(f"/proc/{host()}/task").iterdir())

    assert [(thread / "comm").read_text().strip() for thread in threads if thread.name != str(host())] == []


def test_a_small_archive_has_the_memory_of_a_large_file(tmp_path: Path) -> None:
    packed = tmp_path / "docs.jsonl.gz"
    packed.write_bytes(gzip.compress(b'{"id": "a", "v": [1, 2]}\n'))
    files = FileReaders(Limits())

    with files.reading(packed, ReadOptions(), "org_1"):
        assert files._reading.total() == 2


def test_files_that_are_read_at_once_have_at_most_twice_the_memory_of_one(tmp_path: Path) -> None:
    large, small = tmp_path / "large.jsonl", tmp_path / "small.jsonl"
    large.write_text('{"id": "a", "v": [1, 2]}\n' + " " * 2**20)
    small.write_text('{"id": "a", "v": [1, 2]}\n')
    files = FileReaders(limits := Limits())

    with files.reading(large, ReadOptions(), "org_1"), files.reading(small, ReadOptions(), "org_1"):
        taken = files._reading.total()
        with files.reading(small, ReadOptions(), "org_2"):
            assert files._reading.total() == READERS

    assert taken == readers_needed(large.stat().st_size) + readers_needed(small.stat().st_size) == 3
    assert READERS * limits.halve().memory_mib == 2 * limits.memory_mib
    assert files._reading.total() == 0
