"""The cache by content: bounded, shared, and never a reason to fail."""

import multiprocessing
from pathlib import Path

import pytest

from shoal.content_cache import ContentCache


def test_what_was_kept_last_is_there(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path / "cache")
    cache.put_many({b"first": b"1", b"second": b"2"})
    cache.put_many({b"first": b"3"})
    assert cache.get_many([b"first", b"second", b"none"]) == {b"first": b"3", b"second": b"2"}


def test_the_file_never_grows_beyond_its_size(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    cache = ContentCache(path, largest=1 << 20)
    for number in range(40):
        cache.put_many({f"{number} {part}".encode(): bytes(4000) for part in range(25)})
        assert path.stat().st_size <= 1 << 20
    assert cache.get_many([b"39 24"]) == {b"39 24": bytes(4000)} and not cache.get_many([b"0 0"])


@pytest.mark.parametrize("damage", [b"no database at all" * 1000, b"", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "cache"
    ContentCache(path).put_many({b"key": b"old"})
    path.write_bytes(damage)
    cache = ContentCache(path)
    assert not cache.get_many([b"key"])
    cache.put_many({b"key": b"new"})
    assert cache.get_many([b"key"]) == {b"key": b"new"}


def test_a_torn_page_is_replaced_too(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    cache = ContentCache(path)
    cache.put_many({f"{number}".encode(): bytes(500) for number in range(500)})
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xaa" * (len(content) - 4096)
    path.write_bytes(content)
    cache.get_many([b"5"])
    cache.put_many({b"5": b"again"})
    cache.put_many({b"5": b"again"})
    assert cache.get_many([b"5"]) == {b"5": b"again"}


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_cache(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    cache = ContentCache(blocked / "cache")
    cache.put_many({b"key": b"value"})
    assert not cache.get_many([b"key"])


def fill(path: str, name: int) -> None:
    cache = ContentCache(Path(path))
    for number in range(50):
        cache.put_many({f"{name} {number}".encode(): f"{number}".encode()})


@pytest.mark.process
def test_several_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=fill, args=(str(path), name)) for name in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    cache = ContentCache(path)
    keys = [f"{name} {number}".encode() for name in range(3) for number in range(50)]
    assert len(cache.get_many(keys)) == len(keys)
