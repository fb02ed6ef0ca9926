"""Interrupted removals: invisible to readers at once, cleaned up later, and never blocking a new resource."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from shoal.assemble import Services, assemble, utc_now
from shoal.columns import DocumentBatch
from shoal.errors import NotFound
from shoal.records.audit import AuditQuestion, Origin
from shoal.records.collection import CollectionSource, CreateCollection
from shoal.records.namespace import CreateNamespace
from shoal.records.scope import Scope
from shoal.settings import Settings
from shoal.storage.protocols.records import Query

ORIGIN = Origin("command line", user="ann")


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    opened = assemble(Settings(data=tmp_path / "data", workers=0))
    yield opened
    opened.close()


@pytest.fixture
def organization(services: Services) -> Scope:
    return Scope(services.keys.create_organization("one").organization_id)


def filled(services: Services, organization: Scope, id: str = "own") -> tuple[Scope, str]:
    """A namespace with a one-document collection and the artifacts of a run."""
    services.namespaces.create(organization, CreateNamespace(namespace_name="shop", namespace_id=id))
    scope = Scope(organization.organization_id, id)
    source = CollectionSource(type="direct_upsert")
    made = services.collections.create(scope, CreateCollection(collection_name="docs", source=source))
    services.documents_store.write(scope, made.collection_id, [DocumentBatch(["d"], [b"{}"])], now=made.created_at)
    services.artifacts.write(scope, "run_1", {"members": pa.table({"x": [1]})}, {})
    return scope, made.collection_id


def folders(services: Services, part: str) -> list[str]:
    return sorted(path.name for path in (services.settings.data / part).glob("*/*"))


def interrupted(services: Services, organization: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delete the namespace on a disk on which removing files fails."""
    with monkeypatch.context() as broken, services.audit.acting(ORIGIN):
        broken.setattr(services.documents_store, "drop_namespace", _broken)
        services.namespaces.remove(organization, "own")


def _broken(*_: object) -> None:
    raise OSError(5, "Input/output error")


def test_a_namespace_disappears_at_once_and_its_files_when_the_disk_allows(
    services: Services, organization: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(services, organization)

    interrupted(services, organization, monkeypatch)

    with pytest.raises(NotFound):
        services.namespaces.get(organization, "own")
    rows = services.audit.search(organization, Query(), AuditQuestion(action="namespace.delete")).items
    assert [row.resource_id for row in rows] == ["own"]
    assert folders(services, "documents") == ["own"]

    services.housekeeping.tidy()

    assert folders(services, "documents") == folders(services, "artifacts") == []
    services.housekeeping.tidy()
    assert services.metadata.find(organization, "removal", Query()).items == []


def test_an_id_can_be_reused_before_the_removal_of_its_namespace_is_finished(
    services: Services, organization: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, before = filled(services, organization)
    interrupted(services, organization, monkeypatch)

    scope, collection = filled(services, organization)
    services.housekeeping.tidy()
    services.housekeeping.tidy()

    assert services.documents_store.count(scope, before) == 0
    assert services.documents_store.count(scope, collection) == 1


def test_a_writer_in_progress_cannot_recreate_a_deleted_namespace(services: Services, organization: Scope) -> None:
    scope, collection = filled(services, organization)
    late = DocumentBatch(["late"], [b"{}"])

    services.collections.delete(scope, collection)
    with pytest.raises(NotFound, match="collection"):
        services.documents_store.write(scope, collection, [late], now=utc_now())
    services.namespaces.remove(organization, "own")
    with pytest.raises(NotFound, match="namespace"):
        services.documents_store.write(scope, collection, [late], now=utc_now())

    assert folders(services, "documents") == []


def test_an_empty_folder_created_by_a_late_writer_is_removed_too(services: Services, organization: Scope) -> None:
    scope, _ = filled(services, organization)
    services.namespaces.remove(organization, "own")
    (services.settings.data / "documents" / scope.organization_id / "own").mkdir()
    (services.settings.data / "artifacts" / scope.organization_id / "own" / "run_2").mkdir(parents=True)

    services.housekeeping.tidy()

    assert folders(services, "documents") == folders(services, "artifacts") == []


def test_a_namespace_whose_vectors_cannot_be_declared_does_not_block_the_cleanup_of_others(
    services: Services, organization: Scope
) -> None:
    config = {"name": "image", "dimension": 3}
    body = CreateNamespace.model_validate(
        {"namespace_name": "bad", "namespace_id": "a_bad", "vector_configs": [config]}
    )
    services.namespaces.create(organization, body)
    bad = Scope(organization.organization_id, "a_bad")
    stored = services.namespaces.records.get(organization, "a_bad")
    wider = [spec.with_changes(dimension=7) for spec in stored.vector_configs]
    services.namespaces.records.change(organization, "a_bad", lambda newest: newest.with_changes(vector_configs=wider))
    scope, collection = filled(services, organization, "b_own")
    key = f"{collection}@left"
    services.documents_store.write(scope, key, [DocumentBatch(["d"], [b"{}"])], now=utc_now())

    services.housekeeping.tidy()

    assert services.documents_store.vector_dimensions(bad) == {"image": 3}
    assert services.documents_store.count(scope, key) == 0
