"""A small data folder with every kind of content, created in this process, and helpers that damage one."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster_steps import carry_out, grouped_documents, vector_body
from shoal.assemble import Services, assemble
from shoal.records.clusters.requests import CreateCluster
from shoal.records.collection import CreateCollection
from shoal.records.documents.document import UpsertDocuments
from shoal.records.runs.execution import ExecuteCluster
from shoal.records.scope import Scope
from shoal.settings import Settings
from shoal.storage.protocols.replies import Reply, SavedReply

__all__ = ["fill", "flip", "made", "only", "settings_of", "update"]


def settings_of(folder: Path, **more: Any) -> Settings:
    """Settings for a folder on whatever disk the tests run on."""
    return Settings(**{"data": folder, "workers": 0, "disk_reserve_mib": 0, "ballast_mib": 0, **more})


def made(folder: Path) -> None:
    """Create and close a folder: 60 documents with vectors, a cluster over them, its finished run, saved replies."""
    services = assemble(settings_of(folder))
    services.keys.bootstrap(folder / "key")
    fill(services)
    services.close()


def fill(services: Services) -> Scope:
    """The same in an open installation. Returns the scope of the namespace."""
    organization = Scope(services.keys.organizations()[0].organization_id)
    scope = services.namespaces.scope(organization, "default")
    body = {"collection_name": "docs", "source": {"type": "direct_upsert"}}
    services.collections.create(scope, CreateCollection.model_validate(body))
    upsert = {"collection_id": "docs", "documents": grouped_documents()}
    services.documents.upsert(scope, UpsertDocuments.model_validate(upsert))
    services.clusters.create(scope, CreateCluster.model_validate(vector_body()))
    services.clusters.execute(scope, services.clusters.admit(scope, "groups", ExecuteCluster()))
    assert carry_out(services) == 1
    now = datetime.now(UTC)
    saved = SavedReply("request", Reply(200, None, b"{}"), now)
    services.metadata.transact(lambda tx: tx.save_reply(scope, "key", saved, forget_before=now))
    return scope


def only(folder: Path, pattern: str) -> Path:
    """The first file that matches a pattern."""
    return sorted(folder.glob(pattern))[0]


def flip(path: Path, at: int, bit: int = 0) -> None:
    """Flip one bit of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def update(path: Path, statement: str, *values: object) -> int:
    """Change a database behind Shoal's back. Returns the number of changed rows."""
    connection = sqlite3.connect(path)
    with connection:
        changed = connection.execute(statement, values).rowcount
    connection.close()
    return changed
