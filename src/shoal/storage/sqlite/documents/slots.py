"""Where vectors lie: the rows of `vector_spaces`, `segments` and `slots` that go with the files of `vectors.py`.

Order of a write: bytes into the file, fsync, commit of the rows. A crash before the commit leaves bytes that no row
speaks of. `segments.slots` is the committed length of a file.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
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
from shoal.storage.sqlite.documents.space_lists import read_space_list, space_checksum, space_list
from shoal.storage.sqlite.documents.vectors import SegmentAppender, SegmentKey, VectorSegments

__all__ = ["SLOTS_CHECKSUM", "SLOTS_SCHEMA", "Places", "SlotWriter", "Slots", "Space", "as_numbers", "compact"]

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
        """From rows of (document, segment, slot, checksum). Raises Corrupt."""
        return Places(*as_numbers(rows).reshape(-1, 4).T)

    def part(self, start: int, count: int) -> "Places":
        """`count` of them from `start` on."""
        return Places(*(column[start : start + count] for column in self))


def as_numbers(cells: Sequence[Sequence[object]]) -> Rows:
    """Numbers of rows, segments and slots as they come from SQLite. Raises Corrupt where one is no whole number."""
    try:
        return np.array(cells, dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise Corrupt("The places of vectors are damaged on disk. Restore documents.sqlite from a backup.") from error


class Slots:
    """The vectors of a namespace as one connection sees them."""

    def __init__(self, connection: Connection, files: VectorSegments) -> None:
        self._connection = connection
        self._files = files

    def spaces(self) -> dict[str, Space]:
        """All vector names, in the order in which they were declared. Raises Corrupt."""
        rows = self._connection.execute(
            "SELECT number, name, dimension, checksum FROM vector_spaces ORDER BY number"
        ).fetchall()
        for number, name, dimension, checksum in rows:
            sound = isinstance(name, str) and isinstance(dimension, int)
            if not sound or space_checksum(number, name, dimension) != checksum:
                raise Corrupt("The list of vector names is damaged. Restore it from a backup.")
        return {row[1]: Space(*row[:3]) for row in rows}

    def declare(self, name: str, dimension: int) -> Space:
        """The space of this name, made if need be. Raises InvalidField where its dimension is fixed otherwise."""
        space = self.spaces().get(name)
        if space is None:
            cursor = self._connection.execute(
                "INSERT INTO vector_spaces (name, dimension) VALUES (?, ?)", (name, dimension)
            )
            made = Space(int(cursor.lastrowid or 0), name, dimension)
            self._connection.execute(
                "UPDATE vector_spaces SET checksum = ? WHERE number = ?", (space_checksum(*made), made.number)
            )
            return made
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
        values = self._rows(space, places)
        damaged = damaged_rows(places.documents.tolist(), space.number, values, places.checksums)
        if len(damaged):
            raise self._damaged(space, places.documents[damaged].tolist())
        return values

    def _rows(self, space: Space, places: Places) -> Points:
        segments, slots = places.segments, places.slots
        count = len(slots)
        if not count:
            return np.empty((0, space.dimension), dtype=np.float32)
        numbers = np.unique(segments).tolist()
        maps = {number: self._map(space, number) for number in numbers}
        ends = np.array([len(maps[number]) for number in numbers], dtype=np.int64)
        beyond = (slots < 0) | (slots >= ends[np.searchsorted(numbers, segments)])
        if beyond.any():
            raise self._damaged(space, places.documents[beyond].tolist())
        if len(maps) == 1 and slots[-1] - slots[0] == count - 1 and bool(np.all(np.diff(slots) == 1)):
            return maps[numbers[0]][int(slots[0]) : int(slots[0]) + count]
        gathered = np.empty((count, space.dimension), dtype=np.float32)
        for number, mapped in maps.items():
            rows = np.flatnonzero(segments == number)
            _gather(mapped, slots[rows], rows, gathered)
        return gathered

    def _damaged(self, space: Space, documents: Sequence[int]) -> Corrupt:
        more = f", and of {len(documents) - 1} more," if len(documents) > 1 else ""
        id = self._id_of(documents[0])
        return Corrupt(
            f"The vector {space.name!r} of document {id!r}{more} is damaged on disk. Store the document again.",
            document_id=id,
            vector=space.name,
            damaged=len(documents),
        )

    def _id_of(self, document: int) -> str:
        found = self._connection.execute("SELECT document_id FROM documents WHERE number = ?", (document,)).fetchone()
        return found[0] if found else "?"

    def of_documents(
        self, documents: Sequence[int], spaces: Iterable[Space]
    ) -> Mapping[int, Mapping[str, NDArray[np.float32]]]:
        """For each document number its vectors in these spaces, copied. Raises Corrupt, also where a vector that the
        document has is not found."""
        vectors: dict[int, dict[str, NDArray[np.float32]]] = defaultdict(dict)
        listed = orjson.dumps(list(documents)).decode()
        for space in spaces:
            rows = self._connection.execute(
                f"SELECT document, segment, slot, coalesce(checksum, {UNKNOWN}) FROM slots "
                "WHERE space = ? AND document IN (SELECT value FROM json_each(?))",
                (space.number, listed),
            ).fetchall()
            self.check_found(space, documents, {row[0] for row in rows})
            values = self.read(space, Places.of(rows))
            for (document, *_), value in zip(rows, values, strict=True):
                vectors[document][space.name] = np.array(value)
        return vectors

    def check_found(self, space: Space, documents: Sequence[int], found: Collection[int]) -> None:
        """Compare what was found in a space with what the documents (by number) list. Raises Corrupt."""
        wrong: list[int] = []
        for start in range(0, len(documents), _GATHER_ROWS):
            lists = self.lists_of(documents[start : start + _GATHER_ROWS])
            wrong += [number for number, spaces in lists.items() if (space.number in spaces) != (number in found)]
        if wrong:
            raise self._damaged(space, wrong)

    def lists_of(self, documents: Sequence[int]) -> dict[int, frozenset[int]]:
        """For each document number the numbers of the spaces in which it has a vector, as its row lists them. Raises
        Corrupt where a list is not what was stored."""
        rows = self._connection.execute(
            "SELECT number, spaces FROM documents WHERE number IN (SELECT value FROM json_each(?))",
            (orjson.dumps(list(documents)).decode(),),
        )
        lists: dict[int, frozenset[int]] = {}
        for number, kept in rows:
            spaces = read_space_list(number, kept)
            if spaces is None:
                id = self._id_of(number)
                raise Corrupt(
                    f"The list of vectors of document {id!r} is damaged on disk. Store the document again.",
                    document_id=id,
                )
            lists[number] = spaces
        return lists

    def add_to_lists(self, documents: Sequence[int], spaces: Iterable[Space]) -> None:
        """Note in the rows of documents (by number) that they have vectors in these spaces too. Raises Corrupt."""
        added = frozenset(space.number for space in spaces)
        lists = self.lists_of(documents)
        self._connection.executemany(
            "UPDATE documents SET spaces = ? WHERE number = ?",
            [(space_list(number, had | added), number) for number, had in lists.items() if not added <= had],
        )

    def segments_of(self, collection: int | None = None) -> list[SegmentKey]:
        """The segments of a collection, or of all."""
        rows = self._connection.execute(
            "SELECT c.key, v.name, s.number FROM segments s JOIN collections c ON c.number = s.collection "
            "JOIN vector_spaces v ON v.number = s.space WHERE ?1 IS NULL OR s.collection = ?1",
            (collection,),
        )
        return [SegmentKey(*row) for row in rows]

    def _map(self, space: Space, number: int) -> Points:
        """The rows of a segment; none where there is no record of it."""
        found = self._connection.execute(
            "SELECT c.key, s.slots FROM segments s JOIN collections c ON c.number = s.collection WHERE s.number = ?",
            (number,),
        ).fetchone()
        if found is None:
            return np.empty((0, space.dimension), dtype=np.float32)
        key, slots = found
        if not isinstance(key, str) or not isinstance(slots, int) or slots < 0:
            raise Corrupt(f"The record of vector segment {number} is damaged. Restore documents.sqlite from a backup.")
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
