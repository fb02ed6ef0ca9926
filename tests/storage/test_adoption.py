"""Intents and replies that earlier versions stored with the documents are migrated to the metadata store."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from shoal import failpoints
from shoal.columns import DocumentBatch
from shoal.records.runs.enrichment import EnrichmentIntent
from shoal.records.scope import Scope
from shoal.runs.intents import EnrichmentIntents, results_of
from shoal.storage.protocols.metadata import MetadataStore
from shoal.storage.protocols.replies import Reply, SavedReply
from shoal.storage.protocols.transactions import Transaction
from shoal.storage.sqlite.adoption import adopt_document_state
from shoal.storage.sqlite.documents.store import SqliteDocuments
from shoal.storage.sqlite.metadata import SqliteMetadata
from shoal.storage.sqlite.replies import put_reply
from single_writes import SqliteStore

T = TypeVar("T")
SCOPE, UNKNOWN = Scope("org_1", "ns_1"), Scope("org_1", "ns_gone")
ROWS = (
    ("run_1:col_1:aa", "run_1", 2, 60, 60),
    ("run_2:col_1:bb", "run_2", 3, 60, 20),
)


def saved(now: datetime, body: bytes) -> SavedReply:
    return SavedReply("hash", Reply(200, "application/json", body), now)


def run_sql(root: Path, scope: Scope, *statements: str) -> None:
    path = root / "documents" / scope.organization_id / scope.namespace_id / "documents.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def root(tmp_path: Path, now: datetime) -> Path:
    """A registered namespace and an unregistered one, each with two intents and two replies as written by version 0.1;
    the metadata store holds a later reply to one of the keys."""
    documents = SqliteDocuments(tmp_path / "documents")
    for scope in (SCOPE, UNKNOWN):
        documents.write(scope, "col_1", [DocumentBatch(["a"], [b"{}"])], now=now)
    documents.close()
    for scope in (SCOPE, UNKNOWN):
        run_sql(
            tmp_path,
            scope,
            *(
                "INSERT INTO enrichments (id, cluster_id, run_id, run_time, target, total, position, enriched, "
                f"updated_at, sequence) VALUES ('{id}', 'clust_1', '{run}', '2026-01-01T00:00:00.000000+00:00', "
                f"'col_1', {total}, {position}, {position}, '2026-01-02T00:00:00.000000Z', {sequence})"
                for id, run, sequence, total, position in ROWS
            ),
        )
        path = tmp_path / "documents" / scope.organization_id / scope.namespace_id / "documents.sqlite"
        with closing(sqlite3.connect(path)) as connection, connection:
            for key in ("k1", "k2"):
                put_reply(connection, scope, key, saved(now, f"of {key}".encode()), now - timedelta(days=1))
    metadata = SqliteStore(tmp_path / "metadata.sqlite")
    metadata.insert(SCOPE.organization, "namespace", SCOPE.namespace_id, {"namespace_id": SCOPE.namespace_id})
    metadata.save_reply(SCOPE, "k2", saved(now, b"later"), forget_before=now)
    metadata.close()
    return tmp_path


def adopted(root: Path) -> SqliteMetadata:
    metadata = SqliteMetadata(root / "metadata.sqlite")
    adopt_document_state(root / "documents", metadata)
    return metadata


def test_intents_and_replies_are_migrated_to_the_metadata_store(root: Path, now: datetime) -> None:
    with closing(adopted(root)) as metadata:
        intents = EnrichmentIntents(metadata, lambda: now)
        found = [one for run in ("run_1", "run_2") for one in intents.of_run(SCOPE, run)]

        assert [(one.intent_id, one.sequence, one.total, one.position, one.target) for one in found] == [
            ("run_1:col_1:aa", 2, 60, 60, "col_1"),
            ("run_2:col_1:bb", 3, 60, 20, "col_1"),
        ]
        assert metadata.get_reply(SCOPE, "k1") == saved(now, b"of k1")
        assert metadata.get_reply(SCOPE, "k2") == saved(now, b"later")
        assert intents.of_run(UNKNOWN, "run_1") == [] and metadata.get_reply(UNKNOWN, "k1") is None


def test_an_interrupted_enrichment_resumes_where_the_earlier_version_stopped(root: Path, now: datetime) -> None:
    with closing(adopted(root)) as metadata:
        intents = EnrichmentIntents(metadata, lambda: now)
        (old,) = intents.of_run(SCOPE, "run_2")
        asked = EnrichmentIntent(**{**old.model_dump(), "position": 0, "enriched": 0, "by_run": True})

        begun = intents.begin(SCOPE, asked)

        assert (begun.position, begun.by_run) == (20, True)


def test_the_migration_runs_only_once(root: Path, now: datetime) -> None:
    adopted(root).close()
    run_sql(root, SCOPE, "UPDATE enrichments SET id = 'run_9:col_1:cc' WHERE run_id = 'run_1'")

    with closing(adopted(root)) as metadata:
        assert metadata.get(SCOPE, "enrichment", "run_9:col_1:cc") is None


def test_a_crash_during_the_migration_is_recovered_from(
    root: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(failpoints._faults, "migrate.adopted", failpoints._Fault("err:EIO", 1))
    with pytest.raises(OSError, match="Input/output"):
        adopted(root)

    with closing(adopted(root)) as metadata:
        assert len(EnrichmentIntents(metadata, lambda: now).of_run(SCOPE, "run_1")) == 1


def test_files_of_the_first_formats_have_less_to_migrate_and_are_not_modified(root: Path) -> None:
    run_sql(
        root, SCOPE, "ALTER TABLE enrichments DROP COLUMN sequence", "DROP TABLE replies", "PRAGMA user_version = 2"
    )

    with closing(adopted(root)) as metadata:
        found = metadata.get(SCOPE, "enrichment", "run_1:col_1:aa")

    assert found is not None and found.body["sequence"] == 0
    path = root / "documents" / SCOPE.organization_id / SCOPE.namespace_id / "documents.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


def test_a_damaged_namespace_does_not_prevent_startup_and_is_retried(root: Path) -> None:
    path = root / "documents" / SCOPE.organization_id / SCOPE.namespace_id / "documents.sqlite"
    whole = path.read_bytes()
    path.write_bytes(b"x" * len(whole))
    adopted(root).close()
    path.write_bytes(whole)

    with closing(adopted(root)) as metadata:
        assert metadata.get(SCOPE, "enrichment", "run_1:col_1:aa") is not None


def test_expired_replies_do_not_reappear_while_another_namespace_is_damaged(root: Path, now: datetime) -> None:
    damaged = root / "documents" / UNKNOWN.organization_id / UNKNOWN.namespace_id / "documents.sqlite"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"x" * len(whole))
    with closing(SqliteStore(root / "metadata.sqlite")) as metadata:
        metadata.insert(UNKNOWN.organization, "namespace", UNKNOWN.namespace_id, {})
    with closing(adopted(root)) as metadata:
        assert metadata.transact(lambda tx: tx.delete(SCOPE, "enrichment", "run_1:col_1:aa"))
        metadata.transact(lambda tx: tx.save_reply(SCOPE, "k9", saved(now, b"9"), forget_before=now + timedelta(1)))
        assert metadata.get_reply(SCOPE, "k1") is None

    adopted(root).close()
    damaged.write_bytes(whole)
    with closing(adopted(root)) as metadata:
        assert metadata.get(SCOPE, "enrichment", "run_1:col_1:aa") is None
        assert metadata.get(SCOPE, "enrichment", "run_2:col_1:bb") is not None
        assert metadata.get_reply(SCOPE, "k1") is None
        assert metadata.get(UNKNOWN, "enrichment", "run_1:col_1:aa") is not None
        markers = [metadata.get(scope, "migration", "document-state") for scope in (SCOPE, UNKNOWN, Scope(""))]
        assert [marker is not None for marker in markers] == [False, False, True]


def test_a_damaged_row_is_skipped_and_logged_and_the_rest_is_migrated(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_sql(
        root,
        SCOPE,
        "UPDATE enrichments SET updated_at = 'never' WHERE run_id = 'run_1'",
        "UPDATE replies SET saved_at = 'x', checksum = NULL WHERE key = 'k1'",
    )

    with closing(adopted(root)) as metadata:
        assert metadata.get(SCOPE, "enrichment", "run_1:col_1:aa") is None
        assert metadata.get(SCOPE, "enrichment", "run_2:col_1:bb") is not None
        assert metadata.get_reply(SCOPE, "k1") is None
        assert metadata.get(Scope(""), "migration", "document-state") is not None
    skipped = [vars(record)["id"] for record in caplog.records if record.message == "adoption.skipped"]
    assert skipped == ["run_1:col_1:aa", "k1"]


def test_expired_replies_are_skipped(root: Path, now: datetime) -> None:
    path = root / "documents" / SCOPE.organization_id / SCOPE.namespace_id / "documents.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        put_reply(connection, SCOPE, "k0", saved(now - timedelta(hours=2), b"0"), now - timedelta(days=1))

    with closing(SqliteMetadata(root / "metadata.sqlite")) as metadata:
        adopt_document_state(root / "documents", metadata, lambda _: now - timedelta(hours=1))

        assert metadata.get_reply(SCOPE, "k0") is None
        assert metadata.get_reply(SCOPE, "k1") == saved(now, b"of k1")


def test_the_latest_run_of_the_earlier_version_keeps_its_fencing_token(root: Path, now: datetime) -> None:
    run_sql(
        root,
        SCOPE,
        "DROP TABLE receipts",
        "DROP TABLE result_fences",
        "ALTER TABLE written DROP COLUMN step",
        "PRAGMA user_version = 7",
    )
    with closing(adopted(root)) as metadata:
        intents = EnrichmentIntents(metadata, lambda: now)
        (earlier,), (later,) = (intents.of_run(SCOPE, run) for run in ("run_1", "run_2"))
    with closing(SqliteDocuments(root / "documents")) as documents:
        with pytest.raises(Exception, match="later run, run_2; those of run_1 were not written"):
            documents.write_results(SCOPE, results_of(earlier), [("a", {"x": 1})], step=1, now=now)
        assert documents.write_results(SCOPE, results_of(later), [("a", {"x": 1})], step=1, now=now) == ["a"]


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def names_of_skipped(caplog: pytest.LogCaptureFixture) -> list[object]:
    return [vars(record)["id"] for record in caplog.records if record.message == "adoption.skipped"]


@pytest.mark.parametrize(
    "damage",
    [
        "saved_at = '2026-01-01T00:00:00.000000'",
        "saved_at = '2026-01-01T00:00:00.000000', checksum = NULL",
        "body = x'00'",
        "request = CAST(x'ff' AS TEXT)",
        "request = CAST(x'ff' AS TEXT), checksum = NULL",
    ],
)
def test_a_damaged_reply_is_skipped_and_logged_and_the_rest_is_migrated(
    root: Path, now: datetime, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = root / "documents" / SCOPE.organization_id / SCOPE.namespace_id / "documents.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        put_reply(connection, SCOPE, "k3", saved(now, b"of k3"), now - timedelta(days=1))
        connection.execute(f"UPDATE replies SET {damage} WHERE key = 'k1'")

    with closing(adopted(root)) as metadata:
        assert metadata.get_reply(SCOPE, "k1") is None
        assert metadata.get_reply(SCOPE, "k3") == saved(now, b"of k3")
        assert metadata.get(SCOPE, "enrichment", "run_1:col_1:aa") is not None
        assert metadata.get(Scope(""), "migration", "document-state") is not None
    assert names_of_skipped(caplog) == ["k1"]


def test_an_intent_that_is_not_utf_8_is_skipped_and_logged_and_the_rest_is_migrated(
    root: Path, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    run_sql(root, SCOPE, "UPDATE enrichments SET cluster_id = CAST(x'ff' AS TEXT) WHERE run_id = 'run_1'")

    with closing(adopted(root)) as metadata:
        assert metadata.get(SCOPE, "enrichment", "run_1:col_1:aa") is None
        assert metadata.get(SCOPE, "enrichment", "run_2:col_1:bb") is not None
        assert metadata.get_reply(SCOPE, "k1") == saved(now, b"of k1")
    assert names_of_skipped(caplog) == ["run_1:col_1:aa"]


# ── two processes starting together ──────────────────────────────────────────────────────────────────────────────────


def test_rows_migrated_and_then_deleted_by_another_process_do_not_reappear(root: Path, now: datetime) -> None:
    def another_start(metadata: MetadataStore) -> datetime:  # between the first check of the marker and the copy
        adopted(root).close()
        metadata.transact(lambda tx: tx.delete(SCOPE, "enrichment", "run_1:col_1:aa"))
        return now - timedelta(days=1)

    with closing(SqliteMetadata(root / "metadata.sqlite")) as metadata:
        adopt_document_state(root / "documents", metadata, another_start)

        assert metadata.get(SCOPE, "enrichment", "run_1:col_1:aa") is None
        assert metadata.get(SCOPE, "migration", "document-state") is None
        assert metadata.get(Scope(""), "migration", "document-state") is not None


class Overtaken(SqliteMetadata):
    """Deletes the namespace before its first transaction, as another process may."""

    _overtaken = False

    def transact(self, body: Callable[[Transaction], T]) -> T:
        if not self._overtaken:
            self._overtaken = True
            super().transact(lambda tx: (tx.delete_scope(SCOPE), tx.delete(SCOPE.organization, "namespace", "ns_1")))
        return super().transact(body)


def test_nothing_is_migrated_for_a_namespace_deleted_concurrently(root: Path) -> None:
    with closing(Overtaken(root / "metadata.sqlite")) as metadata:
        adopt_document_state(root / "documents", metadata)

        assert metadata.get(SCOPE, "enrichment", "run_1:col_1:aa") is None
        assert metadata.get_reply(SCOPE, "k1") is None
        assert metadata.get(SCOPE, "migration", "document-state") is None
