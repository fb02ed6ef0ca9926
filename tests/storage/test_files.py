"""Files are complete or absent."""

import threading
from pathlib import Path

import pytest

from shoal.durable import (
    atomic_write,
    create_locked_file,
    is_abandoned,
    make_folder,
    remove_abandoned,
    remove_tree,
)


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_a_file_appears_only_when_the_block_ends(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"new")
        during = (tmp_path / "a.bin").exists()

    assert not during
    assert (tmp_path / "a.bin").read_bytes() == b"new"
    assert names(tmp_path) == {"a.bin"}


def test_a_write_that_fails_halfway_leaves_only_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")

    def write() -> None:
        with atomic_write(tmp_path / "a.bin") as file:
            file.write(b"ne")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()

    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert names(tmp_path) == {"a.bin"}


def test_a_reader_sees_one_version_or_the_other_but_never_a_mixture(tmp_path: Path) -> None:
    path, size = tmp_path / "a.bin", 1 << 16
    versions = [bytes([number]) * size for number in range(50)]
    with atomic_write(path) as file:
        file.write(versions[0])
    done, seen = threading.Event(), set[bytes]()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for version in versions:
        with atomic_write(path) as file:
            file.write(version)
    done.set()
    reader.join()

    assert seen
    assert seen <= set(versions)


def test_folders_are_created_with_their_parents_and_may_exist(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b" / "c")
    (tmp_path / "a" / "b" / "c" / "file").write_bytes(b"x")

    make_folder(tmp_path / "a" / "b" / "c")

    assert names(tmp_path / "a" / "b" / "c") == {"file"}


def test_removing_a_tree_does_not_follow_links_out_of_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"x")
    make_folder(tmp_path / "tree" / "deep")
    (tmp_path / "tree" / "deep" / "file").write_bytes(b"x")
    (tmp_path / "tree" / "link").symlink_to(outside)
    (tmp_path / "tree" / "dangling").symlink_to(tmp_path / "nowhere")

    remove_tree(tmp_path / "tree")
    remove_tree(tmp_path / "tree")

    assert names(tmp_path) == {"outside"}
    assert names(outside) == {"kept"}


def test_a_tree_is_removed_with_files_added_concurrently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "tree")
    rmdir, late = Path.rmdir, iter([True, False])

    def put_and_remove(path: Path) -> None:
        if next(late):
            (path / "late").write_bytes(b"x")
        rmdir(path)

    monkeypatch.setattr(Path, "rmdir", put_and_remove)

    remove_tree(tmp_path / "tree")

    assert names(tmp_path) == set()


def test_a_private_file_is_owner_only_while_it_is_written(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "secret", private=True) as file:
        (beside,) = tmp_path.iterdir()
        assert beside.stat().st_mode & 0o777 == 0o600
        file.write(b"x")

    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_an_abandoned_file_is_removed_under_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a process that has just created it could take the lock in between and lose the file while using it."""
    unlink, free_meanwhile = Path.unlink, list[bool]()

    def unlink_and_look(path: Path) -> None:
        free_meanwhile.append(is_abandoned(path))
        unlink(path)

    (tmp_path / "abandoned").touch()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlink_and_look)
        removed = remove_abandoned(tmp_path / "abandoned")

    assert removed
    assert free_meanwhile == [False]
    assert names(tmp_path) == set()


def test_a_file_in_use_is_not_removed_as_abandoned(tmp_path: Path) -> None:
    with create_locked_file(tmp_path) as path:
        assert not remove_abandoned(path)
        assert path.exists()
    assert not remove_abandoned(path)
