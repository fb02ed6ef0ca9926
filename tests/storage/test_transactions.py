"""Guarantees of every metadata store: transactions are atomic, serialisable, and retried after a conflict."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shoal.errors import AlreadyExists, Conflict, Contended, NotFound, StaleVersion, Unavailable
from shoal.records.queries.filters import parse_filter
from shoal.records.queries.paging import Page
from shoal.records.scope import Scope
from shoal.storage.memory.conflicts import Conflicts
from shoal.storage.memory.metadata import MemoryMetadata
from shoal.storage.protocols.metadata import MetadataStore
from shoal.storage.protocols.records import Query, Stored
from shoal.storage.protocols.replies import Reply, SavedReply
from shoal.storage.protocols.transactions import Transaction
from shoal.storage.retries import Conflicted, Retries
from shoal.storage.sqlite.metadata import SqliteMetadata

LEASE = timedelta(seconds=30)
ALL = Query(page=Page(limit=1000))


def open_store(kind: str, folder: Path) -> MetadataStore:
    if kind == "sqlite":
        return SqliteMetadata(folder / "metadata.sqlite")
    return MemoryMetadata(Conflicts(rate=0.5, seed=3) if kind == "memory with conflicts" else Conflicts())


@pytest.fixture(params=["sqlite", "memory", "memory with conflicts"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MetadataStore]:
    opened = open_store(request.param, tmp_path)
    yield opened
    opened.close()


def insert(store: MetadataStore, scope: Scope, *ids: str, **body: object) -> None:
    store.transact(lambda tx: [tx.insert(scope, "cluster", id, dict(body)) for id in ids])


def ids(reader: MetadataStore | Transaction, scope: Scope) -> list[str]:
    return sorted(item.id for item in reader.find(scope, "cluster", ALL).items)


def enqueue(store: MetadataStore, scope: Scope, now: datetime, job_id: str) -> None:
    store.transact(lambda tx: tx.enqueue(scope, job_id, "runs", {}, now))


def body_of(reader: MetadataStore | Transaction, scope: Scope, id: str) -> dict[str, object]:
    found = reader.get(scope, "cluster", id)
    assert found is not None
    return found.body


def add_one(tx: Transaction, scope: Scope, id: str) -> None:
    found = tx.get(scope, "cluster", id)
    assert found is not None
    tx.replace(scope, "cluster", id, {"n": found.body["n"] + 1}, expect_version=found.version)


# ── all or nothing ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_transaction_stores_everything_and_returns_what_its_body_returns(
    store: MetadataStore, scope: Scope, now: datetime
) -> None:
    saved = SavedReply("hash", Reply(200, "application/json", b"{}"), now)

    def write(tx: Transaction) -> str:
        tx.insert(scope, "cluster", "a", {"n": 1}, name="first")
        tx.enqueue(scope, "job_a", "runs", {"x": 1}, now, subject="a")
        tx.save_reply(scope, "key", saved, forget_before=now - LEASE)
        tx.count("runs", "completed", amount=2.0)
        return "done"

    assert store.transact(write) == "done"
    assert store.get_by_name(scope, "cluster", "first") == Stored("a", "first", 1, {"n": 1})
    job = store.get_job(scope, "job_a")
    assert job is not None and (job.state, job.payload) == ("queued", {"x": 1})
    assert store.get_reply(scope, "key") == saved
    assert store.counters() == {("runs", "completed"): (1, 2.0)}


def test_a_body_that_raises_leaves_no_record_no_job_no_reply_and_no_count(
    store: MetadataStore, scope: Scope, now: datetime
) -> None:
    insert(store, scope, "kept", n=0)

    def write(tx: Transaction) -> None:
        tx.insert(scope, "cluster", "new", {})
        tx.replace(scope, "cluster", "kept", {"n": 1}, expect_version=1)
        tx.enqueue(scope, "job_1", "runs", {}, now)
        tx.save_reply(scope, "key", SavedReply("h", Reply(200, None, b""), now), forget_before=now)
        tx.count("runs")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.transact(write)

    assert ids(store, scope) == ["kept"]
    assert store.get(scope, "cluster", "kept") == Stored("kept", None, 1, {"n": 0})
    assert store.get_job(scope, "job_1") is None
    assert store.get_reply(scope, "key") is None
    assert store.counters() == {}


def test_a_transaction_reads_its_own_writes_but_others_do_not(store: MetadataStore, scope: Scope) -> None:
    with ThreadPoolExecutor(1) as other:

        def write(tx: Transaction) -> tuple[list[str], list[str], list[str]]:
            tx.insert(scope, "cluster", "new", {}, name="n")
            assert tx.get_by_name(scope, "cluster", "n") == Stored("new", "n", 1, {})
            return ids(tx, scope), other.submit(ids, store, scope).result(), tx.names(scope, "cluster", 5)

        inside, outside, names = store.transact(write)
        after = other.submit(ids, store, scope).result()

    assert (inside, outside, names, after) == (["new"], [], ["n"], ["new"])


def test_own_writes_are_listed_newest_first_and_stay_in_that_order(store: MetadataStore, scope: Scope) -> None:
    insert(store, scope, "a")

    def write(tx: Transaction) -> list[str]:
        for id in ("c", "b"):
            tx.insert(scope, "cluster", id, {})
        tx.replace(scope, "cluster", "a", {"n": 1}, expect_version=1)
        return [item.id for item in tx.find(scope, "cluster", ALL).items]

    assert store.transact(write) == ["b", "c", "a"]
    assert [item.id for item in store.find(scope, "cluster", ALL).items] == ["b", "c", "a"]


REFUSED: list[tuple[type[Exception], Callable[[Transaction, Scope], object]]] = [
    (AlreadyExists, lambda tx, scope: tx.insert(scope, "cluster", "a", {})),
    (AlreadyExists, lambda tx, scope: tx.insert(scope, "cluster", "other", {}, name="taken")),
    (StaleVersion, lambda tx, scope: tx.replace(scope, "cluster", "a", {}, expect_version=7)),
    (NotFound, lambda tx, scope: tx.replace(scope, "cluster", "none", {}, expect_version=1)),
    (Conflict, lambda tx, scope: tx.enqueue(scope, "job_2", "runs", {}, datetime(2026, 1, 1), subject="held")),
    (AlreadyExists, lambda tx, scope: tx.enqueue(scope, "job_1", "runs", {}, datetime(2026, 1, 1))),
]


@pytest.mark.parametrize("refused", REFUSED)
def test_a_rejected_write_ends_the_transaction_even_if_the_body_catches_the_error(
    store: MetadataStore,
    scope: Scope,
    now: datetime,
    refused: tuple[type[Exception], Callable[[Transaction, Scope], object]],
) -> None:
    error, write = refused
    store.transact(lambda tx: tx.insert(scope, "cluster", "a", {}, name="taken"))
    store.transact(lambda tx: tx.enqueue(scope, "job_1", "runs", {}, now, subject="held"))

    def plain(tx: Transaction) -> None:
        tx.insert(scope, "cluster", "b", {})
        write(tx, scope)

    def catching(tx: Transaction) -> None:
        tx.insert(scope, "cluster", "b", {})
        with pytest.raises(error):
            write(tx, scope)

    def going_on(tx: Transaction) -> None:
        catching(tx)
        tx.insert(scope, "cluster", "c", {})

    with pytest.raises(error):
        store.transact(plain)
    for body in (catching, going_on):
        with pytest.raises(RuntimeError, match="refused a write"):
            store.transact(body)

    assert ids(store, scope) == ["a"]


def test_the_store_cannot_be_used_inside_a_body_but_works_afterwards(
    store: MetadataStore, scope: Scope, now: datetime
) -> None:
    uses: list[Callable[[Transaction], object]] = [
        lambda _: store.get(scope, "cluster", "a"),
        lambda _: store.find(scope, "cluster", ALL),
        lambda _: store.claim("runs", "w", now, now + LEASE),
        lambda _: store.transact(lambda tx: tx.insert(scope, "cluster", "a", {})),
        lambda _: store.get_reply(scope, "key"),
        lambda _: store.counters(),
    ]
    for use in uses:
        with pytest.raises(RuntimeError, match="inside"):
            store.transact(use)

    insert(store, scope, "a")
    assert ids(store, scope) == ["a"]


def test_a_transaction_cannot_be_used_after_its_body(store: MetadataStore, scope: Scope) -> None:
    kept = store.transact(lambda tx: tx)

    with pytest.raises(RuntimeError, match="over"):
        kept.get(scope, "cluster", "a")
    with pytest.raises(RuntimeError, match="over"):
        kept.insert(scope, "cluster", "a", {})


def test_callbacks_after_commit_run_exactly_once_and_never_without_a_commit(store: MetadataStore, scope: Scope) -> None:
    seen: list[tuple[str, list[str]]] = []

    def write(tx: Transaction) -> None:
        tx.insert(scope, "cluster", f"id_{len(ids(tx, scope))}", {})
        tx.on_commit(lambda: seen.append(("first", ids(store, scope))))
        tx.on_commit(lambda: seen.append(("second", ids(store, scope))))
        if len(ids(tx, scope)) > 1:
            raise ZeroDivisionError

    store.transact(write)
    with pytest.raises(ZeroDivisionError):
        store.transact(write)

    assert seen == [("first", ["id_0"]), ("second", ["id_0"])]


def test_an_error_in_a_callback_after_commit_leaves_the_transaction_stored(store: MetadataStore, scope: Scope) -> None:
    def write(tx: Transaction) -> None:
        tx.insert(scope, "cluster", "a", {})
        tx.on_commit(lambda: 1 // 0)  # type: ignore[arg-type]

    with pytest.raises(ZeroDivisionError):
        store.transact(write)

    assert ids(store, scope) == ["a"]


def test_a_closed_store_runs_no_transaction(store: MetadataStore, scope: Scope) -> None:
    store.close()

    with pytest.raises(Unavailable, match="closed"):
        insert(store, scope, "a")


# ── serialisable ─────────────────────────────────────────────────────────────────────────────────────────────────────


def together(threads: int, work: Callable[[int], object]) -> None:
    """Start several threads together, and re-raise an exception of any of them."""
    start = threading.Barrier(threads)

    def begin(number: int) -> None:
        start.wait()
        work(number)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(begin, number) for number in range(threads)]:
            done.result()


def test_no_update_is_lost(store: MetadataStore, scope: Scope) -> None:
    insert(store, scope, "counter", n=0)

    together(8, lambda _: [store.transact(lambda tx: add_one(tx, scope, "counter")) for _ in range(25)])

    assert body_of(store, scope, "counter") == {"n": 200}


def test_of_two_that_read_each_others_row_and_write_their_own_only_one_sees_the_old_row(
    store: MetadataStore, scope: Scope
) -> None:
    """Write skew: of two admins at most one may resign."""
    for pair in range(30):
        mine, yours = f"admin_{pair}_0", f"admin_{pair}_1"
        insert(store, scope, mine, yours, admin=True)

        def resign(number: int, pair: int = pair) -> None:
            me, you = f"admin_{pair}_{number}", f"admin_{pair}_{1 - number}"

            def body(tx: Transaction) -> None:
                if body_of(tx, scope, you)["admin"]:
                    tx.replace(scope, "cluster", me, {"admin": False}, expect_version=1)

            store.transact(body)

        together(2, resign)
        assert [body_of(store, scope, id)["admin"] for id in (mine, yours)].count(True) == 1


def test_a_row_that_appears_in_a_searched_range_is_a_conflict(store: MetadataStore, scope: Scope) -> None:
    """Phantoms: at most one row may match, though each transaction writes a row of its own and reads none by id."""
    open_ones = Query(filter=parse_filter({"state": "open"}))
    for round in range(30):
        place = Scope(scope.organization_id, f"ns_{round}")

        def book(number: int, place: Scope = place) -> None:
            def body(tx: Transaction) -> None:
                if tx.find(place, "cluster", open_ones).total == 0:
                    tx.insert(place, "cluster", f"booking_{number}", {"state": "open"})

            store.transact(body)

        together(3, book)
        assert store.find(place, "cluster", open_ones).total == 1


def test_a_name_listed_by_another_transaction_is_a_conflict_as_well(store: MetadataStore, scope: Scope) -> None:
    for round in range(20):
        place = Scope(scope.organization_id, f"ns_{round}")

        def join(number: int, place: Scope = place) -> None:
            def body(tx: Transaction) -> None:
                if not tx.names(place, "bucket", 10):
                    tx.insert(place, "bucket", f"id_{number}", {}, name=f"name_{number}")

            store.transact(body)

        together(3, join)
        assert len(store.names(place, "bucket", 10)) == 1


def test_a_queue_limited_to_two_jobs_never_holds_three(store: MetadataStore, scope: Scope, now: datetime) -> None:
    def fill(number: int) -> None:
        def body(tx: Transaction) -> None:
            if tx.count_queued(scope, "runs") < 2:
                tx.enqueue(scope, f"job_{number}", "runs", {}, now)

        store.transact(body)

    together(8, fill)

    assert store.count_queued(scope, "runs") == 2


def test_totals_are_consistent_snapshots(store: MetadataStore, scope: Scope) -> None:
    """Money moves between two rows; no reader ever sees a wrong total."""
    insert(store, scope, "a", kind="x", n=100)
    insert(store, scope, "b", kind="x", n=100)
    stop = threading.Event()

    def move(number: int) -> None:
        if number:
            try:
                for _ in range(100):
                    store.transact(transfer)
            finally:
                stop.set()
            return
        everything = parse_filter({})
        while not stop.is_set():
            assert store.totals(scope, "cluster", everything, by="kind", sums=["n"]) == {"x": (2, [200.0])}
            within = store.transact(lambda tx: tx.totals(scope, "cluster", everything, by="kind", sums=["n"]))
            assert within == {"x": (2, [200.0])}

    def transfer(tx: Transaction) -> None:
        for id, amount in (("a", -1), ("b", 1)):
            found = tx.get(scope, "cluster", id)
            assert found is not None
            tx.replace(
                scope, "cluster", id, {**found.body, "n": found.body["n"] + amount}, expect_version=found.version
            )

    together(2, move)


def test_a_claim_and_a_change_that_depends_on_the_claim_do_not_both_happen(
    store: MetadataStore, scope: Scope, now: datetime
) -> None:
    """A superseded worker publishes nothing: whatever it checks in its transaction still holds at the commit."""
    for round in range(20):
        job_id, record = f"job_{round}", f"run_{round}"
        insert(store, scope, record, fence=0)
        enqueue(store, scope, now, job_id)
        store.claim("runs", "first", now, now + LEASE)

        def act(number: int, job_id: str = job_id, record: str = record) -> None:
            fence = 1
            if number:
                job = store.claim("runs", "second", now + LEASE, now + 2 * LEASE)
                assert job is not None
                fence = job.fence

            def publish(tx: Transaction) -> None:
                held = tx.get_job(scope, job_id)
                found = tx.get(scope, "cluster", record)
                assert held is not None and found is not None
                if held.fence == fence:
                    tx.replace(scope, "cluster", record, {"fence": fence}, expect_version=found.version)

            store.transact(publish)

        together(2, act)
        assert body_of(store, scope, record) == {"fence": 2}
        store.finish(job_id, 2)


def test_any_mix_of_transactions_is_equivalent_to_some_serial_order(store: MetadataStore, scope: Scope) -> None:
    """Each transaction appends its name to every row it has read: all rows that two share list them in one order."""
    rows = [f"row_{number}" for number in range(4)]
    insert(store, scope, *rows, log=[])

    def work(number: int) -> None:
        chance = random.Random(number)
        for turn in range(12):
            touched = chance.sample(rows, 2)

            def body(tx: Transaction, name: str = f"{number}.{turn}", touched: list[str] = touched) -> None:
                for id in touched:
                    found = tx.get(scope, "cluster", id)
                    assert found is not None
                    tx.replace(scope, "cluster", id, {"log": [*found.body["log"], name]}, expect_version=found.version)

            store.transact(body)

    together(4, work)

    logs = [body_of(store, scope, id)["log"] for id in rows]
    assert sum(len(log) for log in logs if isinstance(log, list)) == 2 * 4 * 12
    after: dict[object, set[object]] = {}
    for log in logs:
        assert isinstance(log, list)
        for position, name in enumerate(log):
            after.setdefault(name, set()).update(log[position + 1 :])
    assert _is_acyclic(after)


def _is_acyclic(after: dict[object, set[object]]) -> bool:
    left = dict(after)
    while left:
        free = [name for name in left if not any(name in others for others in left.values())]
        if not free:
            return False
        for name in free:
            del left[name]
    return True


# ── conflicts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_body_is_rerun_after_a_conflict_and_only_its_last_run_counts(scope: Scope) -> None:
    conflicts = Conflicts(rate=1.0, most=3)
    store, runs = MemoryMetadata(conflicts), list[int]()

    def body(tx: Transaction) -> int:
        runs.append(len(ids(tx, scope)))
        tx.insert(scope, "cluster", f"id_{len(runs)}", {})
        tx.count("runs")
        return len(runs)

    assert store.transact(body) == 4
    assert (runs, conflicts.refused) == ([0, 0, 0, 0], 3)
    assert ids(store, scope) == ["id_4"]
    assert store.counters() == {("runs",): (1, 0.0)}


def test_a_read_only_transaction_never_conflicts(scope: Scope) -> None:
    store = MemoryMetadata(Conflicts(rate=1.0))

    def body(tx: Transaction) -> list[str]:
        before = ids(tx, scope)
        with ThreadPoolExecutor(1) as other:
            other.submit(lambda: store.claim("q", "w", datetime(2026, 1, 1), datetime(2026, 1, 1))).result()
        assert ids(tx, scope) == before
        return before

    assert store.transact(body) == []


def test_a_transaction_that_always_conflicts_backs_off_and_finally_gives_up(scope: Scope) -> None:
    pauses: list[float] = []
    retries = Retries(attempts=6, first_seconds=1.0, longest_seconds=4.0, random=random.Random(1), sleep=pauses.append)
    store = MemoryMetadata(retries=retries)
    insert(store, scope, "row", n=0)

    def body(tx: Transaction) -> None:
        add_one(tx, scope, "row")
        with ThreadPoolExecutor(1) as other:
            other.submit(store.transact, lambda tx: add_one(tx, scope, "row")).result()

    with pytest.raises(Contended, match="6 times"):
        store.transact(body)

    assert body_of(store, scope, "row") == {"n": 6}
    assert len(pauses) == 5, "none after the last attempt"
    assert all(0 <= pause <= bound for pause, bound in zip(pauses, (1, 2, 4, 4, 4), strict=True))


def test_counters_never_conflict(scope: Scope) -> None:
    store = MemoryMetadata(retries=Retries(attempts=1))

    def body(tx: Transaction) -> None:
        tx.count("runs", amount=1.0)
        with ThreadPoolExecutor(1) as other:
            other.submit(store.transact, lambda tx: tx.count("runs", amount=1.0)).result()

    store.transact(body)

    assert store.counters() == {("runs",): (2, 2.0)}


def test_rows_of_other_scopes_and_kinds_do_not_conflict(scope: Scope) -> None:
    store = MemoryMetadata(retries=Retries(attempts=1))
    elsewhere = Scope(scope.organization_id, "ns_elsewhere")

    def body(tx: Transaction) -> None:
        assert ids(tx, scope) == []
        tx.insert(scope, "cluster", "a", {})
        with ThreadPoolExecutor(1) as other:
            other.submit(store.transact, lambda tx: tx.insert(scope, "bucket", "b", {}, name="a")).result()
            other.submit(store.transact, lambda tx: tx.insert(elsewhere, "cluster", "c", {})).result()

    store.transact(body)

    assert (ids(store, scope), ids(store, elsewhere)) == (["a"], ["c"])


def test_an_attempt_that_fails_for_another_reason_is_not_retried() -> None:
    tried: list[int] = []

    def attempt(number: int) -> None:
        tried.append(number)
        raise Conflicted if number < 2 else Unavailable("The store is away.")

    with pytest.raises(Unavailable, match="away"):
        Retries(sleep=lambda _: None).run(attempt)

    assert tried == [0, 1, 2]


def test_versions_without_readers_are_discarded(scope: Scope) -> None:
    store = MemoryMetadata()
    insert(store, scope, "row", n=0)
    for _ in range(50):
        store.transact(lambda tx: add_one(tx, scope, "row"))
    store.transact(lambda tx: tx.delete(scope, "cluster", "row"))
    insert(store, scope, "other")

    versions = store._state.records._versions
    assert {key[3]: len(kept) for key, kept in versions.items()} == {"other": 1}
