"""Migration of state that earlier versions kept beside the documents of a namespace into the metadata store: enrichment
intents with their cursors, and replies to requests with an idempotency key.

Runs once for a data folder, before anything else is read. The files of the namespaces are only read, in whatever format
they have, so that a start does not have to migrate all of them. A repetition after a crash adds what is missing.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from shoal.failpoints import hit
from shoal.records.runs.enrichment import EnrichmentIntent
from shoal.records.scope import Scope
from shoal.storage.protocols.metadata import MetadataStore
from shoal.storage.protocols.replies import Reply, SavedReply
from shoal.storage.protocols.transactions import Transaction
from shoal.storage.sqlite.documents.namespaces import namespace_databases
from shoal.storage.sqlite.replies import REPLY_COLUMNS, is_sound_reply

__all__ = ["adopt_document_state"]

_ROOT: Final = Scope("")
_MARKER: Final = "document-state"
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_log = logging.getLogger("shoal.storage")


def adopt_document_state(root: Path, metadata: MetadataStore) -> None:
    """Copy intents and replies from the namespaces' files below `root` into the metadata, unless this was done."""
    if metadata.get(_ROOT, "migration", _MARKER) is not None:
        return
    complete = True
    for path in namespace_databases(root):
        scope = Scope(path.parent.parent.name, path.parent.name)
        if metadata.get(scope.organization, "namespace", scope.namespace_id) is None:
            continue  # being removed
        try:
            _adopt(path, scope, metadata)
        except (sqlite3.DatabaseError, ValueError) as error:  # damage of one namespace must not prevent the start
            complete = False
            _log.warning("adoption.postponed", extra={"namespace_id": scope.namespace_id, "cause": str(error)})
    hit("migrate.adopted")
    if complete:
        metadata.transact(_mark)


def _adopt(path: Path, scope: Scope, metadata: MetadataStore) -> None:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        intents, replies = list(_intents(connection)), list(_replies(connection))

    def add(tx: Transaction) -> None:
        for intent in intents:
            if tx.get(scope, "enrichment", intent.intent_id) is None:
                tx.insert(scope, "enrichment", intent.intent_id, intent.model_dump(mode="json"))
        for key, saved in replies:
            if tx.get_reply(scope, key) is None:
                tx.save_reply(scope, key, saved, forget_before=_LONG_AGO)

    metadata.transact(add)


def _mark(tx: Transaction) -> None:
    if tx.get(_ROOT, "migration", _MARKER) is None:
        tx.insert(_ROOT, "migration", _MARKER, {"created_at": None})


def _intents(connection: sqlite3.Connection) -> Iterator[EnrichmentIntent]:
    columns = _columns(connection, "enrichments")
    if not columns:
        return
    sequence = "sequence" if "sequence" in columns else "0"
    for row in connection.execute(
        f"SELECT id, updated_at, cluster_id, run_id, run_time, target, total, position, enriched, {sequence} "
        "FROM enrichments ORDER BY rowid"
    ):
        id, updated_at, cluster_id, run_id, run_time, target, total, position, enriched, number = row
        yield EnrichmentIntent(
            intent_id=id,
            created_at=updated_at,
            updated_at=updated_at,
            cluster_id=cluster_id,
            run_id=run_id,
            run_time=run_time,
            sequence=number,
            target=target,
            total=total,
            position=position,
            enriched=enriched,
        )


def _replies(connection: sqlite3.Connection) -> Iterator[tuple[str, SavedReply]]:
    columns = _columns(connection, "replies")
    if not columns:
        return
    chosen = REPLY_COLUMNS if "checksum" in columns else REPLY_COLUMNS.replace("checksum", "NULL")
    for row in connection.execute(f"SELECT {chosen} FROM replies ORDER BY number").fetchall():
        if is_sound_reply(row):
            key, request, status, media_type, saved_at, body, _ = row
            yield key, SavedReply(request, Reply(status, media_type, body), datetime.fromisoformat(saved_at))


def _columns(connection: sqlite3.Connection, table: str) -> set[Any]:
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
