"""Where vectors lie: the rows of `vector_spaces`, `segments` and `slots` that go with the files of `vectors.py`.

Order of a write: bytes into the file, fsync, commit of the rows. A crash before the commit leaves bytes that no row
speaks of. `segments.slots` is the committed length of a file.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from sqlite3 import Connection
from types import TracebackType
from typing import Final, NamedTuple, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.errors import Corrupt, InvalidField
from shoal.storage.checksums import UNKNOWN, damaged_rows, row_checksums
from shoal.storage.vectors import SegmentAppender, SegmentKey, VectorSegments

__all__ = ["SLOTS_CHECKSUM", "SLOTS_SCHEMA", "Places", "SlotWriter", "Slots", "Space", "compact"]

SLOTS_SCHEMA: Final = """
CREATE TABLE vector_spaces (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, dimension INTEGER NOT NULL);
CREATE TABLE segments (
    number INTEGER PRIMARY KEY AUTOINCREMENT, collection INTEGER NOT NULL, space INTEGER NOT NULL,
    slots INTEGER NOT NULL
);
CREATE INDEX segments_of_a_series ON segments (collection, space, number);
CREATE TABLE slots (
    document INTEGER NOT NULL, space INTEGER NOT NULL, segment INTEGER NOT NULL, slot INTEGER NOT NULL,
    PRIMARY KEY (document, space)
) WITHOUT ROWID;
"""
SLOTS_CHECKSUM: Final = "ALTER TABLE slots ADD COLUMN checksum INTEGER;"
"""The step after: the checksum of each vector, null for those that were written before."""

_HOLES_ALLOWED: Final = 0.2
_GATHER_ROWS: Final = 16_384


class Space(NamedTuple):
    """A vector name of the namespace with its fixed dimension."""

    number: int
    name: str
    dimension: int


class Places(NamedTuple):
    """Where the vectors of documents lie, as aligned int64 arrays; `checksums` are UNKNOWN where none was kept."""

    documents: Rows
    segments: Rows
    slots: Rows
    checksums: Rows

    @staticmethod
    def of(rows: Sequence[tuple[int, ...]]) -> "Places":
        """From rows of (document, segment, slot, checksum)."""
        return Places(*np.array(rows, dtype=np.int64).reshape(-1, 4).T)

    def part(self, start: int, count: int) -> "Places":
        """`count` of them from `start` on."""
        return Places(*(column[start : start + count] for column in self))


class Slots:
    """The vectors of a namespace as one connection sees them."""

    def __init__(self, connection: Connection, files: VectorSegments) -> None:
        self._connection = connection
        self._files = files

    def spaces(self) -> dict[str, Space]:
        """All vector names, in the order in which they were declared. Raises Corrupt."""
        rows = self._connection.execute("SELECT number, name, dimension FROM vector_spaces ORDER BY number").fetchall()
        if any(not isinstance(name, str) or not isinstance(dimension, int) for _, name, dimension in rows):
            raise Corrupt("The list of vector names is damaged. Restore it from a backup.")
        return {row[1]: Space(*row) for row in rows}

    def declare(self, name: str, dimension: int) -> Space:
        """The space of this name, made if need be. Raises InvalidField where its dimension is fixed otherwise."""
        space = self.spaces().get(name)
        if space is None:
            cursor = self._connection.execute(
                "INSERT INTO vector_spaces (name, dimension) VALUES (?, ?)", (name, dimension)
            )
            return Space(int(cursor.lastrowid or 0), name, dimension)
        if space.dimension != dimension:
            raise InvalidField(
                f"vectors.{name}",
                f"has {dimension} dimensions, but vectors of this name have {space.dimension} in this namespace",
                remedy=f"Send {space.dimension} numbers, or use another vector name.",
            )
        return space

    def read(self, space: Space, places: Places) -> Points:
        """The rows at these places, (n, d) float32, in the order given.

        A read-only memory map where they are one ascending run of one segment, else a fresh array.
        Raises FileNotFoundError where a segment was compacted away since the places were read, Corrupt where a row is
        not what was stored.
        """
        values = self._rows(space, places.segments, places.slots)
        damaged = damaged_rows(places.documents.tolist(), space.number, values, places.checksums)
        if len(damaged):
            raise self._damaged(space, places, damaged)
        return values

    def _rows(self, space: Space, segments: Rows, slots: Rows) -> Points:
        count = len(slots)
        if not count:
            return np.empty((0, space.dimension), dtype=np.float32)
        numbers = np.unique(segments).tolist()
        maps = {number: self._map(space, number) for number in numbers}
        if len(maps) == 1 and slots[-1] - slots[0] == count - 1 and bool(np.all(np.diff(slots) == 1)):
            return maps[numbers[0]][int(slots[0]) : int(slots[0]) + count]
        gathered = np.empty((count, space.dimension), dtype=np.float32)
        for number, mapped in maps.items():
            rows = np.flatnonzero(segments == number)
            _gather(mapped, slots[rows], rows, gathered)
        return gathered

    def _damaged(self, space: Space, places: Places, rows: Rows) -> Corrupt:
        first = int(rows[0])
        found = self._connection.execute(
            "SELECT document_id FROM documents WHERE number = ?", (int(places.documents[first]),)
        ).fetchone()
        more = f", and of {len(rows) - 1} more," if len(rows) > 1 else ""
        id = found[0] if found else "?"
        return Corrupt(
            f"The vector {space.name!r} of document {id!r}{more} is damaged on disk. Store the document again.",
            document_id=id,
            vector=space.name,
            damaged=len(rows),
        )

    def of_documents(
        self, documents: Sequence[int], spaces: Iterable[Space]
    ) -> Mapping[int, Mapping[str, NDArray[np.float32]]]:
        """For each document number its vectors in these spaces, copied."""
        vectors: dict[int, dict[str, NDArray[np.float32]]] = defaultdict(dict)
        listed = orjson.dumps(list(documents)).decode()
        for space in spaces:
            rows = self._connection.execute(
                f"SELECT document, segment, slot, coalesce(checksum, {UNKNOWN}) FROM slots "
                "WHERE space = ? AND document IN (SELECT value FROM json_each(?))",
                (space.number, listed),
            ).fetchall()
            values = self.read(space, Places.of(rows))
            for (document, *_), value in zip(rows, values, strict=True):
                vectors[document][space.name] = np.array(value)
        return vectors

    def segments_of(self, collection: int | None = None) -> list[SegmentKey]:
        """The segments of a collection, or of all."""
        rows = self._connection.execute(
            "SELECT c.key, v.name, s.number FROM segments s JOIN collections c ON c.number = s.collection "
            "JOIN vector_spaces v ON v.number = s.space WHERE ?1 IS NULL OR s.collection = ?1",
            (collection,),
        )
        return [SegmentKey(*row) for row in rows]

    def _map(self, space: Space, number: int) -> Points:
        key, slots = self._connection.execute(
            "SELECT c.key, s.slots FROM segments s JOIN collections c ON c.number = s.collection WHERE s.number = ?",
            (number,),
        ).fetchone()
        return self._files.map(SegmentKey(key, space.name, number), space.dimension, slots)


class SlotWriter:
    """Appends vectors to the series of one collection, inside a write transaction of `connection`.

    Call `sync` before the commit; use as a context manager, so that the files are let go of.
    """

    def __init__(self, connection: Connection, files: VectorSegments, collection: int, key: str) -> None:
        self._connection = connection
        self._files = files
        self._collection = collection
        self._key = key
        self._open: dict[int, SegmentAppender] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for appender in self._open.values():
            if error is not None and self._connection.in_transaction:
                appender.undo()
            else:  # without the transaction others may be writing there: SQLite ends it by itself on a full disk
                appender.close()

    def store(self, space: Space, documents: Sequence[int], values: Points) -> None:
        """Give each document (numbers, aligned with the rows of `values`) its vector in this space."""
        done = 0
        while done < len(documents):
            number, slots = self._tail(space)
            count = min(len(documents) - done, self._files.rows_per_segment(space.dimension) - slots)
            given, part = documents[done : done + count], values[done : done + count]
            first = self._append(space, number, slots, part)
            checksums = row_checksums(given, space.number, part)
            self._connection.executemany(
                "INSERT INTO slots (document, space, segment, slot, checksum) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO "
                "UPDATE SET segment = excluded.segment, slot = excluded.slot, checksum = excluded.checksum",
                zip(given, repeat(space.number), repeat(number), range(first, first + count), checksums),
            )
            done += count

    def begin_segment(self, space: Space) -> int:
        """Start a new segment, which takes all further rows of the series. Returns its number."""
        cursor = self._connection.execute(
            "INSERT INTO segments (collection, space, slots) VALUES (?, ?, 0)", (self._collection, space.number)
        )
        return int(cursor.lastrowid or 0)

    def sync(self) -> None:
        """Put every appended vector on disk."""
        for appender in self._open.values():
            appender.sync()

    def _tail(self, space: Space) -> tuple[int, int]:
        """(number, slots) of the segment that takes the next row."""
        row = self._connection.execute(
            "SELECT number, slots FROM segments WHERE collection = ? AND space = ? ORDER BY number DESC LIMIT 1",
            (self._collection, space.number),
        ).fetchone()
        if row is None or row[1] >= self._files.rows_per_segment(space.dimension):
            return self.begin_segment(space), 0
        return int(row[0]), int(row[1])

    def _append(self, space: Space, number: int, slots: int, values: Points) -> int:
        appender = self._open.get(number)
        if appender is not None and appender.slots != slots:
            # The source of the batches wrote to this series itself, through another writer.
            self._open.pop(number).close()
            appender = None
        if appender is None:
            appender = self._files.append(SegmentKey(self._key, space.name, number), space.dimension, slots)
            self._open[number] = appender
        first = appender.append(values)
        self._connection.execute("UPDATE segments SET slots = ? WHERE number = ?", (appender.slots, number))
        return first


def compact(connection: Connection, files: VectorSegments) -> list[SegmentKey]:
    """Copy what lives in segments with more than 20 % holes into new ones, in the order of document ids, so that it
    can be mapped in one piece. Inside a write transaction. Returns the segments to unlink after the commit."""
    slots = Slots(connection, files)
    spaces = {space.number: space for space in slots.spaces().values()}
    left: list[SegmentKey] = []
    for (collection, key, space), numbers in _holed(connection).items():
        _move(connection, files, (collection, key), spaces[space], numbers)
        left += [SegmentKey(key, spaces[space].name, number) for number in numbers]
    return left


def _holed(connection: Connection) -> Mapping[tuple[int, str, int], list[int]]:
    """For each series (collection, its key, space) the segments that have too many holes."""
    rows = connection.execute(
        "SELECT s.collection, c.key, s.space, s.number, s.slots, coalesce(l.live, 0) FROM segments s "
        "JOIN collections c ON c.number = s.collection "
        "LEFT JOIN (SELECT segment, count(*) AS live FROM slots GROUP BY segment) l ON l.segment = s.number"
    )
    holed: dict[tuple[int, str, int], list[int]] = defaultdict(list)
    for collection, key, space, number, slots, live in rows.fetchall():
        if slots - live > _HOLES_ALLOWED * slots:
            holed[collection, key, space].append(number)
    return holed


def _move(
    connection: Connection, files: VectorSegments, series: tuple[int, str], space: Space, numbers: Sequence[int]
) -> None:
    listed = orjson.dumps(numbers).decode()
    rows = connection.execute(
        f"SELECT s.document, s.segment, s.slot, coalesce(s.checksum, {UNKNOWN}) "
        "FROM slots s JOIN documents d ON d.number = s.document "
        "WHERE s.space = ? AND s.segment IN (SELECT value FROM json_each(?)) ORDER BY d.document_id",
        (space.number, listed),
    ).fetchall()
    places = Places.of(rows)
    slots = Slots(connection, files)
    with SlotWriter(connection, files, *series) as writer:
        if rows:
            writer.begin_segment(space)
        for start in range(0, len(rows), _GATHER_ROWS):
            part = places.part(start, _GATHER_ROWS)
            writer.store(space, part.documents.tolist(), slots.read(space, part))
        writer.sync()
    connection.execute("DELETE FROM segments WHERE number IN (SELECT value FROM json_each(?))", (listed,))


def _gather(mapped: Points, slots: Rows, rows: Rows, into: Points) -> None:
    """into[rows] = mapped[slots], read in the order in which the file lies, in pieces that bound the memory."""
    order = np.argsort(slots, kind="stable")
    for start in range(0, len(order), _GATHER_ROWS):
        part = order[start : start + _GATHER_ROWS]
        into[rows[part]] = mapped[slots[part]]
