"""Migration of state that earlier versions kept beside the documents of a namespace into the metadata store: enrichment
intents with their cursors, and replies to requests with an idempotency key.

Runs once for a data folder, before anything else is read. The files of the namespaces are only read, in whatever format
they have, so that a start does not have to migrate all of them. A repetition after a crash adds what is missing.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
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
from shoal.storage.sqlite.stored_cells import decode

__all__ = ["adopt_document_state"]

_ROOT: Final = Scope("")
_MARKER: Final = "document-state"
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_log = logging.getLogger("shoal.storage")


def adopt_document_state(
    root: Path, metadata: MetadataStore, replies_since: Callable[[MetadataStore], datetime] | None = None
) -> None:
    """Copy intents and replies from the namespaces' files below `root` into the metadata, unless this was done.

    A namespace whose file cannot be read is tried again at the next start, and others are not: what was deleted in
    them since does not come back. Of several processes that start at once, one adopts each namespace. Damaged rows are
    left out, with a warning.

    Parameters
    ----------
    root
        The folder of the documents.
    metadata
        The metadata store, which may be empty.
    replies_since
        Returns the time since which replies are still replayed; older ones are left out. By default all are copied.
    """
    if metadata.get(_ROOT, "migration", _MARKER) is not None:
        return
    since = _LONG_AGO if replies_since is None else replies_since(metadata)
    adopted: list[Scope] = []
    complete = True
    for path in namespace_databases(root):
        scope = Scope(path.parent.parent.name, path.parent.name)
        if metadata.get(scope.organization, "namespace", scope.namespace_id) is None:
            continue  # being removed
        try:
            _adopt(path, scope, metadata, since)
            adopted.append(scope)
        except sqlite3.DatabaseError as error:  # damage of one namespace must not prevent the start
            complete = False
            _log.warning("adoption.postponed", extra={"namespace_id": scope.namespace_id, "cause": str(error)})
    hit("migrate.adopted")
    if complete:
        metadata.transact(lambda tx: _mark_all(tx, adopted))


def _adopt(path: Path, scope: Scope, metadata: MetadataStore, since: datetime) -> None:
    if metadata.get(scope, "migration", _MARKER) is not None:
        return  # without reading the file
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        connection.text_factory = bytes  # a damaged text need not be UTF-8, and must not prevent reading the others
        intents, replies = list(_intents(connection)), list(_replies(connection, since))

    def add(tx: Transaction) -> None:
        if not _is_wanted(tx, scope):
            return
        for intent in intents:
            if tx.get(scope, "enrichment", intent.intent_id) is None:
                tx.insert(scope, "enrichment", intent.intent_id, intent.model_dump(mode="json"))
        for key, saved in replies:
            if tx.get_reply(scope, key) is None:
                tx.save_reply(scope, key, saved, forget_before=_LONG_AGO)
        _mark(tx, scope)

    metadata.transact(add)


def _is_wanted(tx: Transaction, scope: Scope) -> bool:
    """Whether no other process adopted or removed the namespace meanwhile."""
    done = any(tx.get(place, "migration", _MARKER) is not None for place in (_ROOT, scope))
    return not done and tx.get(scope.organization, "namespace", scope.namespace_id) is not None


def _mark(tx: Transaction, scope: Scope) -> None:
    if tx.get(scope, "migration", _MARKER) is None:
        tx.insert(scope, "migration", _MARKER, {"created_at": None})


def _mark_all(tx: Transaction, adopted: Sequence[Scope]) -> None:
    """Mark the whole folder, which makes the markers of its namespaces superfluous."""
    for scope in adopted:
        tx.delete(scope, "migration", _MARKER)
    _mark(tx, _ROOT)


def _intents(connection: sqlite3.Connection) -> Iterator[EnrichmentIntent]:
    columns = _columns(connection, "enrichments")
    if not columns:
        return
    sequence = "sequence" if "sequence" in columns else "0"
    for row in connection.execute(
        f"SELECT id, updated_at, cluster_id, run_id, run_time, target, total, position, enriched, {sequence} "
        "FROM enrichments ORDER BY rowid"
    ):
        try:
            yield _intent(_decode_texts(row))
        except ValueError as error:
            _log_skipped("enrichments", row[0], error)


def _intent(row: Sequence[Any]) -> EnrichmentIntent:
    id, updated_at, cluster_id, run_id, run_time, target, total, position, enriched, number = row
    return EnrichmentIntent(
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


def _replies(connection: sqlite3.Connection, since: datetime) -> Iterator[tuple[str, SavedReply]]:
    columns = _columns(connection, "replies")
    if not columns:
        return
    chosen = REPLY_COLUMNS if "checksum" in columns else REPLY_COLUMNS.replace("checksum", "NULL")
    for row in connection.execute(f"SELECT {chosen} FROM replies ORDER BY number").fetchall():
        try:
            key, saved = _reply(row)
            if saved.saved_at >= since:
                yield key, saved
        except (ValueError, TypeError) as error:
            _log_skipped("replies", row[0], error)


def _reply(row: Sequence[Any]) -> tuple[str, SavedReply]:
    """Return the key and the reply of a row of `REPLY_COLUMNS`. Raises ValueError or TypeError if it is damaged."""
    *texts, body, checksum = row
    key, request, status, media_type, saved_at = _decode_texts(texts)
    if not is_sound_reply((key, request, status, media_type, saved_at, body, checksum)):
        raise ValueError("it does not match its checksum")
    return key, SavedReply(request, Reply(status, media_type, body), datetime.fromisoformat(saved_at))


def _decode_texts(cells: Sequence[Any]) -> list[Any]:
    return [cell.decode() if isinstance(cell, bytes) else cell for cell in cells]


def _log_skipped(table: str, id: object, error: Exception) -> None:
    _log.warning("adoption.skipped", extra={"table": table, "id": decode(id), "cause": str(error)})


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {decode(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")}
