"""The audit log below the API: written in one transaction with the effect, bounded, and pruned of old rows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shoal.assemble import Services, assemble
from shoal.errors import AlreadyExists, Unauthorized
from shoal.records.audit import AuditEntry, AuditQuestion, Origin
from shoal.records.bucket import BucketSchema, CreateBucket
from shoal.records.key import CreateKey, new_key
from shoal.records.queries.paging import Page
from shoal.records.scope import Scope
from shoal.repositories.audit import INSTALLATION, note, note_done
from shoal.settings import Settings
from shoal.storage.protocols.records import Kind, Query, Stored
from shoal.storage.protocols.transactions import Transaction
from shoal.storage.sqlite.transaction import SqliteTransaction

ORIGIN = Origin("command line", user="ann")


class Clock:
    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def services(tmp_path: Path, clock: Clock) -> Iterator[Services]:
    opened = assemble(Settings(data=tmp_path / "data", workers=0, audit_days=30, audit_rows=20), clock)
    yield opened
    opened.close()


@pytest.fixture
def scope(services: Services) -> Scope:
    organization = services.keys.create_organization("one").organization_id
    return services.namespaces.scope(Scope(organization), "default")


def rows(services: Services, scope: Scope) -> list[AuditEntry]:
    return services.audit.search(scope, Query(page=Page(limit=1000)), AuditQuestion()).items


def bucket(name: str) -> CreateBucket:
    return CreateBucket(bucket_name=name, bucket_schema=BucketSchema(properties={}))


def test_a_change_and_its_row_are_stored_together_or_not_at_all(services: Services, scope: Scope) -> None:
    def stopped_before_the_commit() -> None:
        create = services.buckets.creation(scope, bucket("lost"))

        def body(tx: Transaction) -> None:
            create(tx)
            raise RuntimeError("power cut")

        with services.audit.acting(ORIGIN):
            services.metadata.transact(body)

    with pytest.raises(RuntimeError, match="power"):
        stopped_before_the_commit()

    assert rows(services, scope) == []
    assert services.buckets.search(scope, Query()).items == []

    with services.audit.acting(ORIGIN):
        bucket_ = services.buckets.create(scope, bucket("kept"))
        with pytest.raises(AlreadyExists):
            services.buckets.create(scope, bucket("kept"))

    (row,) = rows(services, scope)
    assert (row.action, row.resource_type, row.resource_id) == ("bucket.create", "bucket", bucket_.bucket_id)
    assert (row.user, row.via, row.details) == ("ann", "command line", {"name": "kept"})
    assert (row.organization_id, row.namespace_id) == (scope.organization_id, scope.namespace_id)


def test_a_change_is_not_made_if_its_row_cannot_be_written(
    services: Services, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = SqliteTransaction.insert

    def fails_for_the_log(tx: SqliteTransaction, scope: Scope, kind: Kind, *given: Any, **named: Any) -> Stored:
        if kind == "audit":
            raise OSError("no space left")
        return insert(tx, scope, kind, *given, **named)

    monkeypatch.setattr(SqliteTransaction, "insert", fails_for_the_log)
    with pytest.raises(OSError, match="no space"), services.audit.acting(ORIGIN):
        services.buckets.create(scope, bucket("never"))
    monkeypatch.undo()

    assert services.buckets.search(scope, Query()).items == []


def test_nothing_is_recorded_without_a_caller(services: Services, scope: Scope) -> None:
    services.buckets.create(scope, bucket("quiet"))
    services.metadata.transact(lambda tx: note(tx, scope, "bucket.create", "x"))

    assert rows(services, scope) == []


def test_a_row_survives_its_namespace(services: Services, scope: Scope) -> None:
    with services.audit.acting(ORIGIN):
        services.buckets.create(scope, bucket("gone"))
        services.namespaces.remove(scope.organization, "default")

    assert [row.action for row in rows(services, scope)] == ["namespace.delete", "bucket.create"]


def test_the_oldest_rows_are_pruned_if_too_old_or_too_many(
    services: Services, scope: Scope, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shoal.repositories.audit._PRUNED_EVERY", 5)
    with services.audit.acting(ORIGIN):
        for _ in range(12):
            note_done(scope, "bucket.create", "old")
        clock.moment += timedelta(days=31)
        for _ in range(5):
            note_done(scope, "bucket.create", "new")
        assert {row.resource_id for row in rows(services, scope)} == {"new"}
        for number in range(40):
            clock.moment += timedelta(seconds=1)
            note_done(scope, "bucket.create", f"{number}")

    resource_ids = [row.resource_id for row in rows(services, scope)]
    assert 20 <= len(resource_ids) < 20 + 5
    assert resource_ids == [f"{number}" for number in range(39, 39 - len(resource_ids), -1)]


def test_a_flood_of_unknown_keys_writes_ten_rows_a_minute(services: Services, clock: Clock) -> None:
    def knock(times: int) -> None:
        with services.audit.acting(Origin("http", address="203.0.113.7")):
            for _ in range(times):
                with pytest.raises(Unauthorized):
                    services.keys.authenticate(new_key())

    knock(500)
    assert len(rows(services, INSTALLATION)) == 10
    clock.moment += timedelta(minutes=1)
    knock(1)

    newest, *earlier = rows(services, INSTALLATION)
    assert len(earlier) == 10
    assert newest.details == {"reason": "unknown", "left_out": 490}
    assert (newest.outcome, newest.address, newest.key_id) == ("unauthenticated", "203.0.113.7", None)


def test_one_key_that_floods_does_not_hide_another(services: Services, scope: Scope, clock: Clock) -> None:
    secrets = {}
    for name in ("loud", "quiet"):
        body = CreateKey(name=name, expires_at=clock.moment + timedelta(seconds=1))
        secrets[name] = services.keys.create(scope.organization, "a@b", body).key
    clock.moment += timedelta(seconds=2)
    with services.audit.acting(Origin("http")):
        for name in ["loud"] * 50 + ["quiet"]:
            with pytest.raises(Unauthorized):
                services.keys.authenticate(secrets[name])

    names = [row.details["key_name"] for row in rows(services, scope)]
    assert names == ["quiet"] + ["loud"] * 10


def test_a_clock_temporarily_set_ahead_prunes_no_row(services: Services, scope: Scope, clock: Clock) -> None:
    with services.audit.acting(ORIGIN):
        services.buckets.create(scope, bucket("now"))
    services.housekeeping.tidy()
    clock.moment += timedelta(days=4000)

    services.housekeeping.tidy()
    with services.audit.acting(ORIGIN):
        services.buckets.create(scope, bucket("then"))
    clock.moment -= timedelta(days=4000)
    services.housekeeping.tidy()

    assert [row.details["name"] for row in rows(services, scope)] == ["then", "now"]
