"""Every byte of a SQLite installation looked at, changing nothing, also while a server works on it.

Each function reads one part from end to end and tells what is wrong in sentences; nothing is raised for damage.
Databases are opened read-only and read in one snapshot, so what a server writes meanwhile is seen whole or not at all.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np
import orjson

from shoal.errors import Corrupt
from shoal.records.scope import Scope
from shoal.storage.checksums import UNKNOWN, damaged_rows
from shoal.storage.protocols.inspection import MetadataSeen, NamespaceSeen, OpenJob, SeenRecord
from shoal.storage.protocols.records import Json
from shoal.storage.sqlite.commit_count import knows, lost
from shoal.storage.sqlite.documents.namespaces import namespace_folders
from shoal.storage.sqlite.documents.space_lists import read_space_list, space_checksum
from shoal.storage.sqlite.documents.vectors import SegmentKey, VectorSegments
from shoal.storage.sqlite.migrations import format_of
from shoal.storage.sqlite.read_only import read_only
from shoal.storage.sqlite.replies import REPLY_COLUMNS, is_sound_reply
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


def check_file(path: Path, known: int, *, quick: bool = False) -> tuple[int, list[str]]:
    """The format of a database file, and what is wrong with its pages and indexes."""
    try:
        check_whole_pages(path)
        with read_only(path) as connection:
            gone = lost(path, connection)  # before anything else is read
            found = format_of(connection)
            if found > known:
                return found, [f"has format {found}, which a newer Shoal wrote; this one knows {known}"]
            if gone is not None:
                return found, [gone]
            pragma = "quick_check" if quick else "integrity_check"
            said = [_text(row[0]) for row in connection.execute(f"PRAGMA {pragma}({_SHOWN * 4})")]
            return found, [] if said == ["ok"] else said
    except Corrupt as error:
        return 0, [error.message]
    except (sqlite3.DatabaseError, UnicodeDecodeError, FileNotFoundError) as error:
        return 0, [str(error)]


# ── metadata ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def inspect_metadata(path: Path) -> MetadataSeen:
    """Every record against its checksum, and the jobs that are not done."""
    seen = MetadataSeen()
    try:
        with read_only(path) as connection:
            checksum = _column(connection, "records", "checksum")
            rows = connection.execute(
                f"SELECT kind, organization_id, namespace_id, id, body, {checksum} FROM records ORDER BY position"
            )
            for kind, organization, namespace, id, body, kept in rows:
                scope = Scope(_text(organization), _text(namespace))
                whole = _sound(body, kept, id)
                if whole is None:
                    seen.damage.append(f"the {_text(kind)} {_text(id)!r} is damaged")
                seen.records.append(SeenRecord(_text(kind), scope, _text(id), whole or {}))
            select = "SELECT job_id, organization_id, namespace_id, state FROM jobs WHERE state <> 'done'"
            for id, organization, namespace, state in connection.execute(select):
                seen.jobs.append(OpenJob(_text(id), Scope(_text(organization), _text(namespace)), _text(state)))
            seen.damage += _damaged_replies(connection)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        seen.damage.append(f"the records cannot be read to their end: {error}")
    return seen


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────────


def inspect_namespace(folder: Path) -> NamespaceSeen:
    """Every payload and every vector of a namespace against its checksum, and files against rows."""
    seen = NamespaceSeen()
    try:
        with read_only(folder / "documents.sqlite") as connection:
            if not format_of(connection):
                return seen  # made this instant, or by a process that was killed then: it holds nothing
            _inspect_payloads(connection, seen)
            _inspect_vectors(connection, VectorSegments(folder / "vectors"), seen)
            seen.damage += _damaged_replies(connection)
    except (sqlite3.DatabaseError, TypeError, ValueError, OverflowError) as error:
        # Not only SQLite says so: a flipped bit makes a number of a text, or nothing of either.
        seen.damage.append(f"the rows cannot be read to their end: {error}")
    return seen


def _inspect_payloads(connection: sqlite3.Connection, seen: NamespaceSeen) -> None:
    damaged: list[str] = []
    rows = connection.execute(
        f"SELECT document_id, payload, created_at, updated_at, {_column(connection, 'documents', 'checksum')} "
        "FROM documents ORDER BY number"
    )
    for id, payload, created, updated, kept in rows:
        seen.documents += 1
        if _sound(payload, kept, id, created, updated) is None:
            damaged.append(_text(id))
        else:
            seen.unchecked += kept is None
    if damaged:
        seen.damage.append(f"the payloads of {_listed(damaged)} are damaged")
    (lost,) = connection.execute(
        "SELECT count(*) FROM documents WHERE collection NOT IN (SELECT number FROM collections)"
    ).fetchone()
    if lost:
        seen.damage.append(f"{lost:,} documents belong to no collection")


def _inspect_vectors(connection: sqlite3.Connection, files: VectorSegments, seen: NamespaceSeen) -> None:
    segments = {
        number: (SegmentKey(_text(key), _text(name), number), dimension, slots, space)
        for number, key, name, dimension, slots, space in connection.execute(
            "SELECT s.number, c.key, v.name, v.dimension, s.slots, s.space FROM segments s "
            "JOIN collections c ON c.number = s.collection JOIN vector_spaces v ON v.number = s.space"
        )
    }
    rows = connection.execute(
        f"SELECT s.segment, s.slot, s.document, coalesce({_column(connection, 'slots', 'checksum', 's.')}, {UNKNOWN}), "
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
        seen.vectors += len(placed)
        if number not in segments:
            seen.damage.append(f"{len(placed):,} vectors lie in segment {number}, of which there is no record")
            continue
        key, dimension, slots, space = segments[number]
        seen.damage += _damage_of(files, key, dimension, slots, space, placed)
    if unreadable:
        seen.damage.append(f"the places of {unreadable:,} vectors are damaged")
    seen.damage += _unlisted(connection)
    seen.damage += [
        f"{_shown_path(files, key)} is missing"
        for number, (key, _, slots, _) in segments.items()
        if number not in reached and slots and not files.path(key).exists()
    ]


def _unlisted(connection: sqlite3.Connection) -> Iterator[str]:
    """What `slots` says against what the documents list: a damaged key hides a vector, or shows another's."""
    if _column(connection, "documents", "spaces") == "NULL":
        return  # of a format that has none yet
    names: dict[int, str] = {}
    for number, name, dimension, kept in connection.execute(
        "SELECT number, name, dimension, checksum FROM vector_spaces"
    ):
        names[number] = _text(name)
        if space_checksum(number, _text(name), dimension) != kept:
            yield f"the name of vectors {_text(name)!r} is damaged"
    damaged: list[str] = []
    wrong: dict[int, list[str]] = defaultdict(list)
    rows = connection.execute(
        "SELECT number, document_id, spaces, (SELECT json_group_array(space) FROM slots WHERE document = number) "
        "FROM documents ORDER BY number"
    )
    for number, id, kept, placed in rows:
        spaces = read_space_list(number, kept)
        if spaces is None:
            damaged.append(_text(id))
        for space in spaces.symmetric_difference(orjson.loads(placed)) if spaces is not None else ():
            wrong[space].append(_text(id))
    if damaged:
        yield f"the lists of vectors of {_listed(damaged)} are damaged"
    for space, ids in sorted(wrong.items(), key=str):
        yield f"the places of the vectors {names.get(space, '?')!r} of {_listed(ids)} are damaged"


def lost_databases(documents: Path) -> list[Path]:
    """The folders of namespaces whose database was there and is no more, though they were not removed."""
    return [
        folder
        for folder in namespace_folders(documents)
        if (knows(folder / "documents.sqlite") or any((folder / "vectors").glob("*/*/*.f32")))
        and not (folder / "documents.sqlite").exists()  # looked at last: it is made before what lies beside it
    ]


def holds_nothing(folder: Path) -> bool:
    """Whether the folder of a namespace has no vector file, and its database no row that speaks of data."""
    path = folder / "documents.sqlite"
    if any((folder / "vectors").glob("*/*/*")):
        return False
    if not path.exists():
        return not knows(path)
    try:
        with read_only(path) as connection:
            return not format_of(connection) or _holds_nothing(connection)
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return False


def _holds_nothing(connection: sqlite3.Connection) -> bool:
    tables = ("documents", "collections", "segments", "replies")
    return not any(connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in tables)


def may_be_removed(folder: Path) -> bool:
    """Whether the folder of a namespace that nobody has on record is still empty, and has no record by now: then it may
    be removed."""
    metadata = inspect_metadata(folder.parents[2] / "metadata.sqlite")
    known = {(one.scope.organization_id, one.id) for one in metadata.records if one.kind == "namespace"}
    removed = folder.name.startswith(".")
    return removed or ((folder.parent.name, folder.name) not in known and not metadata.damage and holds_nothing(folder))


def stray_files(folder: Path) -> list[Path]:
    """The vector files of a namespace that no row speaks of; one that is being written may be among them."""
    found = sorted((folder / "vectors").glob("*/*/*.f32"))  # before the rows, which are committed after the files
    try:
        with read_only(folder / "documents.sqlite") as connection:
            known = _known_files(connection, folder)
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return []  # told elsewhere
    return [path for path in found if path not in known]


def remove_stray(path: Path) -> bool:
    """Remove a vector file that no row speaks of. False where one does by now: a writer took it into use."""
    folder = path.parents[3]
    connection = sqlite3.connect(folder / "documents.sqlite", isolation_level=None, timeout=30)
    try:
        connection.text_factory = bytes
        connection.execute("BEGIN IMMEDIATE")  # no writer is under way while it is held
        if path in _known_files(connection, folder):
            return False
        path.unlink(missing_ok=True)
        return True
    finally:
        connection.close()


def _known_files(connection: sqlite3.Connection, folder: Path) -> set[Path]:
    files = VectorSegments(folder / "vectors")
    rows = connection.execute(
        "SELECT c.key, v.name, s.number FROM segments s JOIN collections c ON c.number = s.collection "
        "JOIN vector_spaces v ON v.number = s.space"
    )
    return {files.path(SegmentKey(_text(key), _text(name), number)) for key, name, number in rows}


def _damage_of(
    files: VectorSegments, key: SegmentKey, dimension: int, slots: int, space: int, placed: Sequence[tuple[Any, ...]]
) -> Iterator[str]:
    """What is wrong with one segment and the rows that lie in it: (segment, slot, document, checksum, id)."""
    where = _shown_path(files, key)
    lost = [row for row in placed if row[4] is None]
    if lost:
        yield f"{len(lost):,} vectors in {where} belong to documents that do not exist"
    beyond = [row for row in placed if not 0 <= row[1] < slots]
    if beyond:
        yield f"{_listed(_ids(beyond))} have vectors beyond the end of {where}"
    try:
        values = files.map(key, dimension, slots)
    except FileNotFoundError:
        yield f"{where} is missing: the vectors of {_listed(_ids(placed))} are lost"
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
        found = damaged_rows([row[2] for row in part], space, taken, checksums)
        damaged += _ids(part[row] for row in found.tolist())
    if damaged:
        yield f"the vectors {key.vector!r} of {_listed(damaged)} in {where} are damaged"


def _damaged_replies(connection: sqlite3.Connection) -> Iterator[str]:
    if _column(connection, "replies", "checksum") == "NULL":
        return  # of a format that has none yet
    rows = connection.execute(f"SELECT {REPLY_COLUMNS} FROM replies")
    damaged = sum(not is_sound_reply([_decoded(cell) for cell in row[:5]] + list(row[5:])) for row in rows)
    if damaged:
        yield f"{damaged:,} saved replies to requests with an idempotency key are damaged"


# ── in words ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _sound(text: bytes, checksum: int | None, *about: bytes) -> Json | None:
    """The JSON object, or None where it is not what was stored."""
    if checksum is not None and crc32(text, crc32(b"\0".join(about))) != checksum:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _column(connection: sqlite3.Connection, table: str, name: str, prefix: str = "") -> str:
    """A column, or NULL in a file of a format that has none yet."""
    there = {_text(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")}
    return f"{prefix}{name}" if name in there else "NULL"


def _ids(rows: Iterable[tuple[Any, ...]]) -> list[str]:
    return ["?" if row[4] is None else _text(row[4]) for row in rows]


def _listed(ids: Sequence[str]) -> str:
    """`documents 'a', 'b' and 7 more`."""
    shown = ", ".join(repr(id) for id in ids[:_SHOWN])
    more = f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
    return f"document{'s' if len(ids) > 1 else ''} {shown}{more}"


def _shown_path(files: VectorSegments, key: SegmentKey) -> str:
    return str(files.path(key).relative_to(files.folder.parent))


def _decoded(value: object) -> object:
    """A cell as one who reads texts as texts sees it."""
    return _text(value) if isinstance(value, bytes) else value


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
