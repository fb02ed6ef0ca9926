"""Tables of a run are either complete or absent, and never silently altered."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.errors import Conflict, Corrupt, InvalidField, NotFound, Unavailable
from shoal.records.scope import Scope
from shoal.storage.local.artifacts import LocalArtifacts
from shoal.storage.memory.artifacts import MemoryArtifacts
from shoal.storage.memory.faults import Faults
from shoal.storage.protocols.artifacts import ArtifactStore

RUN = "run_0000000000000001"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, root: Path) -> ArtifactStore:
    """To add a store, add a branch here and its name to `params`."""
    stores: dict[str, Callable[[], ArtifactStore]] = {
        "local": lambda: LocalArtifacts(root),
        "memory": MemoryArtifacts,
    }
    return stores[request.param]()


@pytest.fixture
def local(root: Path) -> LocalArtifacts:
    return LocalArtifacts(root)


def table_file(root: Path, name: str) -> Path:
    """The Parquet file of a table of the only run."""
    (path,) = root.rglob(f"{name}.parquet")
    return path


def content_of(store: ArtifactStore, scope: Scope, run_id: str, name: str) -> bytes:
    """The bytes that a download returns."""
    stream, size = store.open(scope, run_id, name)
    with stream:
        content = stream.read()
    assert len(content) == size
    return content


def members(rows: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "document_id": [f"doc_{row:05d}" for row in range(rows)],
            "label": rng.integers(-1, 9, rows, dtype=np.int32),
            "distance": rng.random(rows, dtype=np.float32),
        }
    )


def centroids(k: int) -> pa.Table:
    values = np.random.default_rng(1).standard_normal((k, 8), dtype=np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), 8)
    return pa.table({"cluster": np.arange(k, dtype=np.int32), "vector": vectors})


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# ── every store ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tables_round_trip_unchanged(store: ArtifactStore, scope: Scope) -> None:
    tables = {"members": members(5000), "centroids": centroids(9), "empty": members(0)}

    store.write(scope, RUN, tables, {})

    for name, table in tables.items():
        assert store.read(scope, RUN, name).equals(table)


def test_columns_are_returned_in_the_requested_order_and_an_unknown_one_is_not_found(
    store: ArtifactStore, scope: Scope
) -> None:
    store.write(scope, RUN, {"members": members(100)}, {})

    some = store.read(scope, RUN, "members", ["label", "document_id"])

    assert some.equals(members(100).select(["label", "document_id"]))
    assert store.read(scope, RUN, "members", []).column_names == []
    with pytest.raises(NotFound, match="colour"):
        store.read(scope, RUN, "members", ["label", "colour"])


def test_the_manifest_lists_rows_sizes_and_hashes_of_the_files(store: ArtifactStore, scope: Scope) -> None:
    meta = {"algorithm": "kmeans", "metrics": {"silhouette": 0.1, "none": None}, "params": [1, 2.5, "größer"]}

    written = store.write(scope, RUN, {"members": members(50), "centroids": centroids(3)}, meta)

    assert store.manifest(scope, RUN) == written
    assert written["run_id"] == RUN
    assert written["meta"] == meta
    content = {name: content_of(store, scope, RUN, name) for name in ("members", "centroids")}
    assert written["files"] == {
        name: {"sha256": hashlib.sha256(content[name]).hexdigest(), "size_bytes": len(content[name]), "rows": rows}
        for name, rows in (("members", 50), ("centroids", 3))
    }


def test_missing_runs_and_tables_are_not_found(store: ArtifactStore, scope: Scope) -> None:
    store.write(scope, RUN, {"members": members(1)}, {})

    assert store.manifest(scope, "run_unknown") is None
    for run, name in [("run_unknown", "members"), (RUN, "centroids"), (RUN, "../members"), (RUN, "manifest.json")]:
        with pytest.raises(NotFound):
            store.read(scope, run, name)
        with pytest.raises(NotFound):
            store.open(scope, run, name)


def test_rewriting_a_run_replaces_it_completely(store: ArtifactStore, scope: Scope) -> None:
    store.write(scope, RUN, {"members": members(10), "centroids": centroids(3)}, {"attempt": 1})

    written = store.write(scope, RUN, {"members": members(20, seed=2)}, {"attempt": 2})

    assert store.manifest(scope, RUN) == written
    assert written["meta"] == {"attempt": 2}
    assert store.read(scope, RUN, "members").equals(members(20, seed=2))
    with pytest.raises(NotFound):
        store.read(scope, RUN, "centroids")


def test_readers_see_one_version_or_the_other_but_never_a_mixture(store: ArtifactStore, scope: Scope) -> None:
    store.write(scope, RUN, {"members": members(100, seed=0)}, {})
    done, seen, faults = threading.Event(), set[int](), list[str]()
    versions = {members(100, seed)["distance"].to_numpy().tobytes(): seed for seed in range(15)}

    def read() -> None:
        while not done.is_set():
            seen.add(versions.get(store.read(scope, RUN, "members")["distance"].to_numpy().tobytes(), -1))

    readers = [threading.Thread(target=read) for _ in range(2)]
    previous, threading.excepthook = threading.excepthook, lambda args: faults.append(repr(args.exc_value))
    for reader in readers:
        reader.start()
    for seed in range(15):
        store.write(scope, RUN, {"members": members(100, seed)}, {})
    done.set()
    for reader in readers:
        reader.join()
    threading.excepthook = previous

    assert faults == []
    assert seen
    assert -1 not in seen


def test_a_superseded_attempt_replaces_nothing(store: ArtifactStore, scope: Scope) -> None:
    store.write(scope, RUN, {"members": members(10)}, {"by": 1}, attempt=1)
    later = store.write(scope, RUN, {"members": members(20)}, {"by": 3}, attempt=3)

    with pytest.raises(Conflict, match="Attempt 3 of run_0000000000000001 has written"):
        store.write(scope, RUN, {"members": members(99), "others": members(1)}, {"by": 2}, attempt=2)

    assert store.manifest(scope, RUN) == later
    assert store.read(scope, RUN, "members").num_rows == 20
    assert store.write(scope, RUN, {"members": members(30)}, {}, attempt=3)["files"]["members"]["rows"] == 30


def test_an_open_table_can_be_read_to_its_end(store: ArtifactStore, scope: Scope) -> None:
    store.write(scope, RUN, {"members": members(2000)}, {})
    whole = content_of(store, scope, RUN, "members")
    stream, _ = store.open(scope, RUN, "members")

    with stream:
        start = stream.read(100)
        store.write(scope, RUN, {"members": members(3)}, {})
        store.delete(scope, RUN)
        assert start + stream.read() == whole
        stream.seek(50)
        assert stream.read(10) == whole[50:60]


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_failure_at_any_step_leaves_either_the_old_or_the_new_tables(scope: Scope, at: int) -> None:
    faults = Faults()
    store = MemoryArtifacts(faults=faults)
    before = store.write(scope, RUN, {"members": members(5), "others": members(1)}, {})
    faults.passed, faults.at = 0, at

    with pytest.raises(Unavailable):
        store.write(scope, RUN, {"members": members(6), "others": members(2)}, {})

    seen = store.manifest(scope, RUN)
    assert (seen == before) == (at < 4)
    assert store.read(scope, RUN, "members").num_rows == (5 if at < 4 else 6)


def test_the_same_run_id_in_two_scopes_names_two_runs(store: ArtifactStore) -> None:
    scopes = [Scope("org_1", "ns_1"), Scope("org_1", "ns_2"), Scope("org_2", "ns_1"), Scope("org_1")]
    for number, scope in enumerate(scopes):
        store.write(scope, RUN, {"members": members(number + 1)}, {})

    store.delete(scopes[1], RUN)
    store.delete_scope(scopes[2])

    assert [scope for scope in scopes if store.manifest(scope, RUN) is not None] == [scopes[0], scopes[3]]
    assert store.read(scopes[0], RUN, "members").num_rows == 1
    assert store.read(scopes[3], RUN, "members").num_rows == 4


def test_deleting_a_run_leaves_the_others_and_is_idempotent(store: ArtifactStore, scope: Scope, root: Path) -> None:
    store.write(scope, RUN, {"members": members(10)}, {})
    store.write(scope, "run_2", {"members": members(20)}, {})

    store.delete(scope, RUN)
    store.delete(scope, RUN)

    assert store.manifest(scope, RUN) is None
    assert store.read(scope, "run_2", "members").num_rows == 20
    assert {path.split("/")[2] for path in files_below(root)} <= {"run_2"}
    assert store.runs() == [(scope, "run_2")]
    store.delete_scope(scope)
    store.delete_scope(scope)
    assert files_below(root) == set() and store.runs() == []


@pytest.mark.parametrize(
    "bad", ["", ".", "..", "../x", "a/b", "a\\b", "a\0b", "é", ".hidden", "_", "a" * 129, "run_1\n"]
)
def test_an_id_that_is_not_a_path_component_is_rejected(
    store: ArtifactStore, scope: Scope, bad: str, root: Path
) -> None:
    tables = {"members": members(1)}

    for place, run in [(Scope(bad, "ns_1"), RUN), (scope, bad)]:
        with pytest.raises(InvalidField):
            store.write(place, run, tables, {})
        with pytest.raises(InvalidField):
            store.manifest(place, run)
        with pytest.raises(InvalidField):
            store.delete(place, run)
    if bad:  # without a namespace, the scope is the organisation itself
        with pytest.raises(InvalidField):
            store.delete_scope(Scope("org_1", bad))
    with pytest.raises(InvalidField):
        store.write(scope, RUN, {bad: members(1)}, {})

    assert files_below(root) == set()


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bytes(content))


def test_a_hundred_single_bit_flips_in_a_table_are_all_detected(
    local: LocalArtifacts, scope: Scope, root: Path
) -> None:
    local.write(scope, RUN, {"members": members(2000)}, {})
    path = table_file(root, "members")
    bits = np.random.default_rng(0).choice(path.stat().st_size * 8, 100, replace=False)

    for bit in bits.tolist():
        flip(path, bit)
        with pytest.raises(Corrupt):
            local.read(scope, RUN, "members", ["label"])
        with pytest.raises(Corrupt):
            local.open(scope, RUN, "members")
        flip(path, bit)

    assert local.read(scope, RUN, "members").equals(members(2000))


def test_bit_flips_in_a_manifest_are_detected_or_harmless(local: LocalArtifacts, scope: Scope, root: Path) -> None:
    written = local.write(scope, RUN, {"members": members(10)}, {"k": 7, "note": "größer"})
    (path,) = root.rglob("manifest.json")

    noticed = 0
    for bit in range(0, path.stat().st_size * 8, 7):
        flip(path, bit)
        try:
            assert local.manifest(scope, RUN) == written
        except Corrupt:
            noticed += 1
        flip(path, bit)

    assert noticed > path.stat().st_size * 8 // 7 * 0.7  # the remaining flips are in whitespace
    assert local.manifest(scope, RUN) == written


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_truncated_file_is_corrupt(local: LocalArtifacts, scope: Scope, root: Path, length: int) -> None:
    local.write(scope, RUN, {"members": members(500)}, {})
    path = table_file(root, "members")
    os.truncate(path, length if length >= 0 else path.stat().st_size + length)

    with pytest.raises(Corrupt, match="damaged"):
        local.read(scope, RUN, "members")
    with pytest.raises(Corrupt):
        local.open(scope, RUN, "members")


def test_a_missing_file_is_corrupt_and_so_is_one_swapped_for_another_tables_file(
    local: LocalArtifacts, scope: Scope, root: Path
) -> None:
    local.write(scope, RUN, {"members": members(500), "others": members(500, seed=1)}, {})
    path = table_file(root, "members")
    table_file(root, "others").rename(path)

    with pytest.raises(Corrupt):
        local.read(scope, RUN, "members")
    with pytest.raises(Corrupt):
        local.read(scope, RUN, "others")


def test_a_truncated_manifest_is_corrupt_until_the_run_is_rewritten(
    local: LocalArtifacts, scope: Scope, root: Path
) -> None:
    local.write(scope, RUN, {"members": members(5)}, {})
    (path,) = root.rglob("manifest.json")
    os.truncate(path, 20)

    with pytest.raises(Corrupt):
        local.manifest(scope, RUN)
    local.write(scope, RUN, {"members": members(6)}, {})

    assert local.read(scope, RUN, "members").num_rows == 6


# ── the folder ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_files_are_zstd_parquet_with_page_checksums_and_open_in_any_reader(
    local: LocalArtifacts, scope: Scope, root: Path, tmp_path: Path
) -> None:
    local.write(scope, RUN, {"members": members(2000)}, {})
    path = table_file(root, "members")

    with pq.ParquetFile(path) as file:
        column = file.metadata.row_group(0).column(2)
        first = column.dictionary_page_offset or column.data_page_offset
        flipped = (first + column.total_compressed_size - 5) * 8
        assert column.compression == "ZSTD"
    copy = tmp_path / "copy.parquet"
    copy.write_bytes(path.read_bytes())
    flip(copy, flipped)

    assert pq.read_table(path).equals(members(2000))
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(copy, page_checksum_verification=True)


def test_a_replaced_run_leaves_no_files_behind(local: LocalArtifacts, scope: Scope, root: Path) -> None:
    for seed in range(3):
        local.write(scope, RUN, {"members": members(10, seed)}, {})

    assert len(files_below(root)) == 2


def test_a_failed_write_keeps_the_old_tables_and_leaves_no_partial_files(
    local: LocalArtifacts, scope: Scope, root: Path
) -> None:
    local.write(scope, RUN, {"members": members(10)}, {})
    before = files_below(root)

    with pytest.raises(TypeError):
        local.write(scope, RUN, {"members": members(20)}, {"not JSON": object()})
    with pytest.raises(AttributeError):
        local.write(scope, RUN, {"members": members(20), "centroids": None}, {})

    assert files_below(root) == before
    assert local.read(scope, RUN, "members").num_rows == 10


def test_an_active_writer_loses_nothing_to_a_concurrent_one(local: LocalArtifacts, scope: Scope) -> None:
    done = []

    class Slow(dict[str, pa.Table]):
        """Yield two tables, the second only after another writer has written the run."""

        def items(self):  # type: ignore[no-untyped-def]
            yield "members", members(10)
            local.write(scope, RUN, {"members": members(99)}, {})
            done.append(local.read(scope, RUN, "members").num_rows)
            yield "centroids", centroids(2)

    local.write(scope, RUN, Slow(members=None, centroids=None), {})

    assert done == [99]
    assert local.read(scope, RUN, "members").num_rows == 10
    assert local.read(scope, RUN, "centroids").num_rows == 2


def test_deleting_a_run_while_it_is_being_written_is_a_conflict(
    local: LocalArtifacts, scope: Scope, root: Path
) -> None:
    class Deleting(dict[str, pa.Table]):
        def items(self):  # type: ignore[no-untyped-def]
            yield "members", members(10)
            local.delete(scope, RUN)
            yield "centroids", centroids(2)

    with pytest.raises(Conflict, match="deleted"):
        local.write(scope, RUN, Deleting(members=None, centroids=None), {})

    assert local.manifest(scope, RUN) is None
    assert files_below(root) == set()


def test_a_root_that_cannot_be_created_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(Unavailable):
        LocalArtifacts(tmp_path / "file" / "artifacts")


WRITING = """
import sys
from pathlib import Path
import pyarrow as pa
from shoal.records.scope import Scope
from shoal.storage.local.artifacts import LocalArtifacts
store, number = LocalArtifacts(Path(sys.argv[1])), int(sys.argv[2])
while True:
    table = pa.table({"n": [number] * 1000})
    store.write(Scope("org_1", "ns_1"), "run_1", {"first": table, "second": table}, {"n": number})
    print(number, flush=True)
    number += 1
"""


@pytest.mark.process
def test_a_killed_writer_leaves_a_complete_run_and_the_next_writer_cleans_up(root: Path) -> None:
    scope, store, number = Scope("org_1", "ns_1"), LocalArtifacts(root), 0
    for kill in range(4):
        script = [sys.executable, "-c", WRITING, str(root), str(number)]
        victim = subprocess.Popen(script, stdout=subprocess.PIPE, text=True)
        assert victim.stdout is not None
        for _ in range(3 + 2 * kill):
            last = int(victim.stdout.readline())
        os.kill(victim.pid, signal.SIGKILL)
        last = int(([str(last), *victim.stdout.read().split()])[-1])
        victim.communicate()

        manifest = store.manifest(scope, "run_1")
        assert manifest is not None
        number = manifest["meta"]["n"]
        assert last <= number <= last + 1
        for name in ("first", "second"):
            assert store.read(scope, "run_1", name).column("n").to_pylist() == [number] * 1000
        number += 1

    store.write(scope, "run_1", {"first": members(1)}, {})
    assert len(files_below(root)) == 2
