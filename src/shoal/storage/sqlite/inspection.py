"""Integrity checks of a SQLite installation: read-only, also while a server is running.

Each function reads one part from end to end and reports damage in sentences, not exceptions. Databases are opened
read-only and read in one snapshot, so that concurrent writes of a server are seen whole or not at all.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from shoal.errors import Corrupt
from shoal.records.scope import Scope
from shoal.storage.checksums import UNKNOWN, find_damaged_rows
from shoal.storage.protocols.inspection import InspectedRecord, MetadataReport, NamespaceReport, OpenJob
from shoal.storage.sqlite.commit_count import describe_loss, has_commits
from shoal.storage.sqlite.documents.namespaces import namespace_folders
from shoal.storage.sqlite.documents.space_lists import read_space_list, space_checksum
from shoal.storage.sqlite.documents.vectors import SegmentKey, VectorSegments
from shoal.storage.sqlite.migrations import format_of
from shoal.storage.sqlite.read_only import read_only
from shoal.storage.sqlite.row_checks import check_metadata_rows, check_namespace_rows, column_or_null
from shoal.storage.sqlite.stored_cells import decode, parse_checked
from shoal.storage.sqlite.whole_pages import check_whole_pages

__all__ = [
    "check_file",
    "holds_nothing",
    "inspect_metadata",
    "inspect_namespace",
    "lost_databases",
    "may_be_removed",
    "remove_stray",
    "stray_files",
]

_AT_ONCE: Final = 16_384
_SHOWN: Final = 5


def check_file(path: Path, newest: int, *, quick: bool = False) -> tuple[int, list[str]]:
    """Return the format of a database file and the damage to its pages, indexes and commits."""
    try:
        check_whole_pages(path)
        with read_only(path) as connection:
            loss = describe_loss(path, connection)  # before anything else is read
            format = format_of(connection)
            if format > newest:
                return format, [f"has format {format}, which a newer Shoal wrote; this one knows {newest}"]
            if loss is not None:
                return format, [loss]
            pragma = "quick_check" if quick else "integrity_check"
            report = [decode(row[0]) for row in connection.execute(f"PRAGMA {pragma}({_SHOWN * 4})")]
            return format, [] if report == ["ok"] else report
    except Corrupt as error:
        return 0, [error.message]
    except (sqlite3.DatabaseError, UnicodeDecodeError, FileNotFoundError) as error:
        return 0, [str(error)]


# ── metadata ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def inspect_metadata(path: Path) -> MetadataReport:
    """Check every record against its checksum, and list the jobs that are not done."""
    report = MetadataReport()
    try:
        with read_only(path) as connection:
            checksum = column_or_null(connection, "records", "checksum")
            rows = connection.execute(
                f"SELECT kind, organization_id, namespace_id, id, body, {checksum} FROM records ORDER BY position"
            )
            for kind, organization, namespace, id, body, checksum_stored in rows:
                scope = Scope(decode(organization), decode(namespace))
                whole = parse_checked(body, checksum_stored, id)
                if whole is None:
                    report.damage.append(f"the {decode(kind)} {decode(id)!r} is damaged")
                report.records.append(InspectedRecord(decode(kind), scope, decode(id), whole or {}))
            select = "SELECT job_id, organization_id, namespace_id, state FROM jobs WHERE state <> 'done'"
            for id, organization, namespace, state in connection.execute(select):
                report.jobs.append(OpenJob(decode(id), Scope(decode(organization), decode(namespace)), decode(state)))
            report.damage += check_metadata_rows(connection)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        report.damage.append(f"the records cannot be read to their end: {error}")
    return report


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────────


def inspect_namespace(folder: Path) -> NamespaceReport:
    """Check every payload and every vector of a namespace against its checksum, and files against rows."""
    report = NamespaceReport()
    try:
        with read_only(folder / "documents.sqlite") as connection:
            if not format_of(connection):
                return report  # being created, or by a process that was killed meanwhile: it is empty
            _inspect_payloads(connection, report)
            _inspect_vectors(connection, VectorSegments(folder / "vectors"), report)
            report.damage += check_namespace_rows(connection)
    except (sqlite3.DatabaseError, TypeError, ValueError, OverflowError) as error:
        # Not only SQLite notices: a flipped bit can turn a text into a number, or into neither.
        report.damage.append(f"the rows cannot be read to their end: {error}")
    return report


def _inspect_payloads(connection: sqlite3.Connection, report: NamespaceReport) -> None:
    damaged: list[str] = []
    rows = connection.execute(
        f"SELECT document_id, payload, created_at, updated_at, {column_or_null(connection, 'documents', 'checksum')} "
        "FROM documents ORDER BY number"
    )
    for id, payload, created, updated, checksum_stored in rows:
        report.documents += 1
        if parse_checked(payload, checksum_stored, id, created, updated) is None:
            damaged.append(decode(id))
        else:
            report.unchecked += checksum_stored is None
    if damaged:
        report.damage.append(f"the payloads of {_name_documents(damaged)} are damaged")
    (lost,) = connection.execute(
        "SELECT count(*) FROM documents WHERE collection NOT IN (SELECT number FROM collections)"
    ).fetchone()
    if lost:
        report.damage.append(f"{lost:,} documents belong to no collection")


def _inspect_vectors(connection: sqlite3.Connection, files: VectorSegments, report: NamespaceReport) -> None:
    segments = {
        number: (SegmentKey(decode(key), decode(name), number), dimension, slots, space)
        for number, key, name, dimension, slots, space in connection.execute(
            "SELECT s.number, c.key, v.name, v.dimension, s.slots, s.space FROM segments s "
            "JOIN collections c ON c.number = s.collection JOIN vector_spaces v ON v.number = s.space"
        )
    }
    checksum = column_or_null(connection, "slots", "checksum", "s.")
    rows = connection.execute(
        f"SELECT s.segment, s.slot, s.document, coalesce({checksum}, {UNKNOWN}), "
        "d.document_id FROM slots s LEFT JOIN documents d ON d.number = s.document ORDER BY s.segment, s.slot"
    )
    reached: set[int] = set()
    unreadable = 0
    for number, group in groupby(rows, key=lambda row: row[0]):
        together = list(group)
        placed = [row for row in together if all(isinstance(cell, int) for cell in row[:4])]
        unreadable += len(together) - len(placed)
        if not placed:
            continue
        reached.add(number)
        report.vectors += len(placed)
        if number not in segments:
            report.damage.append(f"{len(placed):,} vectors lie in segment {number}, of which there is no record")
            continue
        key, dimension, slots, space = segments[number]
        report.damage += _damage_of(files, key, dimension, slots, space, placed)
    if unreadable:
        report.damage.append(f"the places of {unreadable:,} vectors are damaged")
    report.damage += _compare_lists(connection)
    report.damage += [
        f"{_relative_path(files, key)} is missing"
        for number, (key, _, slots, _) in segments.items()
        if number not in reached and slots and not files.path(key).exists()
    ]


def _compare_lists(connection: sqlite3.Connection) -> Iterator[str]:
    """Compare `slots` with the lists of the documents: a damaged key hides a vector, or shows that of another."""
    if column_or_null(connection, "documents", "spaces") == "NULL":
        return  # a format without lists
    names: dict[int, str] = {}
    for number, name, dimension, stored in connection.execute(
        "SELECT number, name, dimension, checksum FROM vector_spaces"
    ):
        names[number] = decode(name)
        if space_checksum(number, decode(name), dimension) != stored:
            yield f"the name of vectors {decode(name)!r} is damaged"
    damaged: list[str] = []
    wrong: dict[int, list[str]] = defaultdict(list)
    rows = connection.execute(
        "SELECT number, document_id, spaces, (SELECT json_group_array(space) FROM slots WHERE document = number) "
        "FROM documents ORDER BY number"
    )
    for number, id, stored, placed in rows:
        spaces = read_space_list(number, stored)
        if spaces is None:
            damaged.append(decode(id))
        for space in spaces.symmetric_difference(orjson.loads(placed)) if spaces is not None else ():
            wrong[space].append(decode(id))
    if damaged:
        yield f"the lists of vectors of {_name_documents(damaged)} are damaged"
    for space, ids in sorted(wrong.items(), key=str):
        yield f"the places of the vectors {names.get(space, '?')!r} of {_name_documents(ids)} are damaged"


def lost_databases(documents: Path) -> list[Path]:
    """Return the folders of namespaces whose database is missing although they were not removed."""
    return [
        folder
        for folder in namespace_folders(documents)
        if (has_commits(folder / "documents.sqlite") or any((folder / "vectors").glob("*/*/*.f32")))
        and not (folder / "documents.sqlite").exists()  # checked last: it is created before the files beside it
    ]


def holds_nothing(folder: Path) -> bool:
    """Whether the folder of a namespace has no vector files, and its database no rows."""
    path = folder / "documents.sqlite"
    if any((folder / "vectors").glob("*/*/*")):
        return False
    if not path.exists():
        return not has_commits(path)
    try:
        with read_only(path) as connection:
            return not format_of(connection) or _holds_nothing(connection)
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return False


def _holds_nothing(connection: sqlite3.Connection) -> bool:
    tables = ("documents", "collections", "segments", "replies")
    return not any(connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in tables)


def may_be_removed(folder: Path) -> bool:
    """Whether a folder without a namespace record is still empty, and still has no record, so that it may be
    removed."""
    metadata = inspect_metadata(folder.parents[2] / "metadata.sqlite")
    namespaces = {
        (record.scope.organization_id, record.id) for record in metadata.records if record.kind == "namespace"
    }
    if folder.name.startswith("."):
        return True
    return (folder.parent.name, folder.name) not in namespaces and not metadata.damage and holds_nothing(folder)


def stray_files(folder: Path) -> list[Path]:
    """Return the vector files of a namespace that no row refers to; one that is being written may be among them."""
    paths = sorted((folder / "vectors").glob("*/*/*.f32"))  # before the rows, which are committed after the files
    try:
        with read_only(folder / "documents.sqlite") as connection:
            in_use = _segment_files(connection, folder)
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return []  # reported elsewhere
    return [path for path in paths if path not in in_use]


def remove_stray(path: Path) -> bool:
    """Remove a vector file that no row refers to. Returns False if a writer has taken it into use meanwhile."""
    folder = path.parents[3]
    connection = sqlite3.connect(folder / "documents.sqlite", isolation_level=None, timeout=30)
    try:
        connection.text_factory = bytes
        connection.execute("BEGIN IMMEDIATE")  # excludes writers
        if path in _segment_files(connection, folder):
            return False
        path.unlink(missing_ok=True)
        return True
    finally:
        connection.close()


def _segment_files(connection: sqlite3.Connection, folder: Path) -> set[Path]:
    files = VectorSegments(folder / "vectors")
    rows = connection.execute(
        "SELECT c.key, v.name, s.number FROM segments s JOIN collections c ON c.number = s.collection "
        "JOIN vector_spaces v ON v.number = s.space"
    )
    return {files.path(SegmentKey(decode(key), decode(name), number)) for key, name, number in rows}


def _damage_of(
    files: VectorSegments, key: SegmentKey, dimension: int, slots: int, space: int, placed: Sequence[tuple[Any, ...]]
) -> Iterator[str]:
    """Report damage to one segment and its rows (segment, slot, document, checksum, document id)."""
    where = _relative_path(files, key)
    lost = [row for row in placed if row[4] is None]
    if lost:
        yield f"{len(lost):,} vectors in {where} belong to documents that do not exist"
    beyond = [row for row in placed if not 0 <= row[1] < slots]
    if beyond:
        yield f"{_name_documents(_ids(beyond))} have vectors beyond the end of {where}"
    try:
        values = files.map(key, dimension, slots)
    except FileNotFoundError:
        yield f"{where} is missing: the vectors of {_name_documents(_ids(placed))} are lost"
        return
    except Corrupt:
        yield f"{where} is shorter than the {slots:,} vectors that were stored in it"
        return
    within = [row for row in placed if 0 <= row[1] < slots]
    damaged: list[str] = []
    for start in range(0, len(within), _AT_ONCE):
        part = within[start : start + _AT_ONCE]
        taken = values[np.array([row[1] for row in part])]
        checksums = np.array([row[3] for row in part], dtype=np.int64)
        rows = find_damaged_rows([row[2] for row in part], space, taken, checksums)
        damaged += _ids(part[row] for row in rows.tolist())
    if damaged:
        yield f"the vectors {key.vector!r} of {_name_documents(damaged)} in {where} are damaged"


# ── in words ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _ids(rows: Iterable[tuple[Any, ...]]) -> list[str]:
    return ["?" if row[4] is None else decode(row[4]) for row in rows]


def _name_documents(ids: Sequence[str]) -> str:
    """`documents 'a', 'b' and 7 more`."""
    shown = ", ".join(repr(id) for id in ids[:_SHOWN])
    more = f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
    return f"document{'s' if len(ids) > 1 else ''} {shown}{more}"


def _relative_path(files: VectorSegments, key: SegmentKey) -> str:
    return str(files.path(key).relative_to(files.folder.parent))
