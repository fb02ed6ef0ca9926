"""The places of vectors: the rows of `vector_spaces`, `segments` and `slots` for the files of `vectors.py`.

Order of a write: append bytes to the file, fsync, commit the rows. A crash before the commit leaves bytes that no row
refers to. `segments.slots` is the committed length of a file.
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
from shoal.storage.checksums import UNKNOWN, find_damaged_rows, row_checksums
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
"""The next step: the checksum of each vector, null for vectors written before it."""

_HOLES_ALLOWED: Final = 0.2
_GATHER_ROWS: Final = 16_384


class Space(NamedTuple):
    """A vector name of the namespace with its fixed dimension."""

    number: int
    name: str
    dimension: int


class Places(NamedTuple):
    """The places of the vectors of documents, as aligned int64 arrays; missing `checksums` are UNKNOWN."""

    documents: Rows
    segments: Rows
    slots: Rows
    checksums: Rows

    @staticmethod
    def of(rows: Sequence[tuple[int, ...]]) -> "Places":
        """Build from rows of (document, segment, slot, checksum). Raises Corrupt."""
        return Places(*as_numbers(rows).reshape(-1, 4).T)

    def part(self, start: int, count: int) -> "Places":
        """Return `count` places from `start` on."""
        return Places(*(column[start : start + count] for column in self))


def as_numbers(cells: Sequence[Sequence[object]]) -> Rows:
    """Convert numbers of rows, segments and slots from SQLite. Raises Corrupt if one is not an integer."""
    try:
        return np.array(cells, dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise Corrupt("The places of vectors are damaged on disk. Restore documents.sqlite from a backup.") from error


class Slots:
    """The vectors of a namespace on one connection."""

    def __init__(self, connection: Connection, files: VectorSegments) -> None:
        self._connection = connection
        self._files = files

    def spaces(self) -> dict[str, Space]:
        """Return all vector names, in the order of their declaration. Raises Corrupt."""
        rows = self._connection.execute(
            "SELECT number, name, dimension, checksum FROM vector_spaces ORDER BY number"
        ).fetchall()
        for number, name, dimension, checksum in rows:
            sound = isinstance(name, str) and isinstance(dimension, int)
            if not sound or space_checksum(number, name, dimension) != checksum:
                raise Corrupt("The list of vector names is damaged. Restore it from a backup.")
        return {row[1]: Space(*row[:3]) for row in rows}

    def declare(self, name: str, dimension: int) -> Space:
        """Return the space of a name, created if absent. Raises InvalidField if it has another dimension."""
        space = self.spaces().get(name)
        if space is None:
            cursor = self._connection.execute(
                "INSERT INTO vector_spaces (name, dimension) VALUES (?, ?)", (name, dimension)
            )
            declared = Space(int(cursor.lastrowid or 0), name, dimension)
            self._connection.execute(
                "UPDATE vector_spaces SET checksum = ? WHERE number = ?", (space_checksum(*declared), declared.number)
            )
            return declared
        if space.dimension != dimension:
            raise InvalidField(
                f"vectors.{name}",
                f"has {dimension} dimensions, but vectors of this name have {space.dimension} in this namespace",
                remedy=f"Send {space.dimension} numbers, or use another vector name.",
            )
        return space

    def read(self, space: Space, places: Places) -> Points:
        """Return the vectors at these places, (n, d) float32, in the given order.

        A read-only memory map if they are one ascending run of one segment, else a new array. Raises FileNotFoundError
        if a segment was compacted away since the places were read, and Corrupt if a row does not match its checksum.
        """
        values = self._rows(space, places)
        damaged = find_damaged_rows(places.documents.tolist(), space.number, values, places.checksums)
        if len(damaged):
            raise self._damage_error(space, places.documents[damaged].tolist())
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
            raise self._damage_error(space, places.documents[beyond].tolist())
        if len(maps) == 1 and slots[-1] - slots[0] == count - 1 and bool(np.all(np.diff(slots) == 1)):
            return maps[numbers[0]][int(slots[0]) : int(slots[0]) + count]
        gathered = np.empty((count, space.dimension), dtype=np.float32)
        for number, mapped in maps.items():
            rows = np.flatnonzero(segments == number)
            _gather(mapped, slots[rows], rows, gathered)
        return gathered

    def _damage_error(self, space: Space, documents: Sequence[int]) -> Corrupt:
        more = f", and of {len(documents) - 1} more," if len(documents) > 1 else ""
        id = self._id_of(documents[0])
        return Corrupt(
            f"The vector {space.name!r} of document {id!r}{more} is damaged on disk. Store the document again.",
            document_id=id,
            vector=space.name,
            damaged=len(documents),
        )

    def _id_of(self, document: int) -> str:
        row = self._connection.execute("SELECT document_id FROM documents WHERE number = ?", (document,)).fetchone()
        return row[0] if row else "?"

    def of_documents(
        self, documents: Sequence[int], spaces: Iterable[Space]
    ) -> Mapping[int, Mapping[str, NDArray[np.float32]]]:
        """Return copies of the vectors of documents (row numbers) in these spaces.

        Raises Corrupt, also if a vector that the document lists is missing.
        """
        vectors: dict[int, dict[str, NDArray[np.float32]]] = defaultdict(dict)
        listed = orjson.dumps(list(documents)).decode()
        for space in spaces:
            rows = self._connection.execute(
                f"SELECT document, segment, slot, coalesce(checksum, {UNKNOWN}) FROM slots "
                "WHERE space = ? AND document IN (SELECT value FROM json_each(?))",
                (space.number, listed),
            ).fetchall()
            self.check_listed(space, documents, {row[0] for row in rows})
            values = self.read(space, Places.of(rows))
            for (document, *_), value in zip(rows, values, strict=True):
                vectors[document][space.name] = np.array(value)
        return vectors

    def check_listed(self, space: Space, documents: Sequence[int], present: Collection[int]) -> None:
        """Compare the documents with a vector in a space with the lists of the documents. Raises Corrupt."""
        wrong: list[int] = []
        for start in range(0, len(documents), _GATHER_ROWS):
            lists = self.lists_of(documents[start : start + _GATHER_ROWS])
            wrong += [number for number, spaces in lists.items() if (space.number in spaces) != (number in present)]
        if wrong:
            raise self._damage_error(space, wrong)

    def lists_of(self, documents: Sequence[int]) -> dict[int, frozenset[int]]:
        """Return for each document the numbers of the spaces in which it has a vector, as its row lists them.

        Raises Corrupt for a damaged list.
        """
        rows = self._connection.execute(
            "SELECT number, spaces FROM documents WHERE number IN (SELECT value FROM json_each(?))",
            (orjson.dumps(list(documents)).decode(),),
        )
        lists: dict[int, frozenset[int]] = {}
        for number, stored in rows:
            spaces = read_space_list(number, stored)
            if spaces is None:
                id = self._id_of(number)
                raise Corrupt(
                    f"The list of vectors of document {id!r} is damaged on disk. Store the document again.",
                    document_id=id,
                )
            lists[number] = spaces
        return lists

    def add_to_lists(self, documents: Sequence[int], spaces: Iterable[Space]) -> None:
        """Add spaces to the lists of documents (row numbers). Raises Corrupt."""
        added = frozenset(space.number for space in spaces)
        lists = self.lists_of(documents)
        self._connection.executemany(
            "UPDATE documents SET spaces = ? WHERE number = ?",
            [(space_list(number, had | added), number) for number, had in lists.items() if not added <= had],
        )

    def remove_from_lists(self, documents: Sequence[int], space: Space) -> None:
        """Remove a space from the lists of documents (row numbers). Raises Corrupt."""
        lists = self.lists_of(documents)
        self._connection.executemany(
            "UPDATE documents SET spaces = ? WHERE number = ?",
            [(space_list(number, had - {space.number}), number) for number, had in lists.items()],
        )

    def segments_of(self, collection: int | None = None) -> list[SegmentKey]:
        """Return the segments of a collection, or of all."""
        rows = self._connection.execute(
            "SELECT c.key, v.name, s.number FROM segments s JOIN collections c ON c.number = s.collection "
            "JOIN vector_spaces v ON v.number = s.space WHERE ?1 IS NULL OR s.collection = ?1",
            (collection,),
        )
        return [SegmentKey(*row) for row in rows]

    def _map(self, space: Space, number: int) -> Points:
        """Map the rows of a segment; none if it has no record."""
        row = self._connection.execute(
            "SELECT c.key, s.slots FROM segments s JOIN collections c ON c.number = s.collection WHERE s.number = ?",
            (number,),
        ).fetchone()
        if row is None:
            return np.empty((0, space.dimension), dtype=np.float32)
        key, slots = row
        if not isinstance(key, str) or not isinstance(slots, int) or slots < 0:
            raise Corrupt(f"The record of vector segment {number} is damaged. Restore documents.sqlite from a backup.")
        return self._files.map(SegmentKey(key, space.name, number), space.dimension, slots)


class SlotWriter:
    """Appends vectors to the series of one collection, inside a write transaction of `connection`.

    Call `sync` before the commit; use it as a context manager, which closes the files.
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
            else:  # SQLite rolls back on a full disk, and without the transaction others may be writing there
                appender.close()

    def store(self, space: Space, documents: Sequence[int], values: Points) -> None:
        """Store the vectors of documents (row numbers, aligned with `values`) in a space."""
        done = 0
        while done < len(documents):
            number, slots = self._tail(space)
            count = min(len(documents) - done, self._files.rows_per_segment(space.dimension) - slots)
            numbers_part, part = documents[done : done + count], values[done : done + count]
            first = self._append(space, number, slots, part)
            checksums = row_checksums(numbers_part, space.number, part)
            self._connection.executemany(
                "INSERT INTO slots (document, space, segment, slot, checksum) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO "
                "UPDATE SET segment = excluded.segment, slot = excluded.slot, checksum = excluded.checksum",
                zip(numbers_part, repeat(space.number), repeat(number), range(first, first + count), checksums),
            )
            done += count

    def begin_segment(self, space: Space) -> int:
        """Start a new segment for all further rows of the series. Returns its number."""
        cursor = self._connection.execute(
            "INSERT INTO segments (collection, space, slots) VALUES (?, ?, 0)", (self._collection, space.number)
        )
        return int(cursor.lastrowid or 0)

    def sync(self) -> None:
        """Sync every appended vector."""
        for appender in self._open.values():
            appender.sync()

    def _tail(self, space: Space) -> tuple[int, int]:
        """Return (number, slots) of the segment for the next row."""
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
    """Copy the live rows of segments with more than 20 % holes into new segments, in the order of document ids, so that
    they can be mapped in one piece. Call it inside a write transaction. Returns the segments to unlink after the
    commit."""
    slots = Slots(connection, files)
    spaces = {space.number: space for space in slots.spaces().values()}
    left: list[SegmentKey] = []
    for (collection, key, space), numbers in _find_sparse(connection).items():
        _move(connection, files, (collection, key), spaces[space], numbers)
        left += [SegmentKey(key, spaces[space].name, number) for number in numbers]
    return left


def _find_sparse(connection: Connection) -> Mapping[tuple[int, str, int], list[int]]:
    """Return for each series (collection, its key, space) the segments with too many holes."""
    rows = connection.execute(
        "SELECT s.collection, c.key, s.space, s.number, s.slots, coalesce(l.live, 0) FROM segments s "
        "JOIN collections c ON c.number = s.collection "
        "LEFT JOIN (SELECT segment, count(*) AS live FROM slots GROUP BY segment) l ON l.segment = s.number"
    )
    sparse: dict[tuple[int, str, int], list[int]] = defaultdict(list)
    for collection, key, space, number, slots, live in rows.fetchall():
        if slots - live > _HOLES_ALLOWED * slots:
            sparse[collection, key, space].append(number)
    return sparse


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
    """Assign `into[rows] = mapped[slots]`, reading in file order, in batches that bound the memory."""
    order = np.argsort(slots, kind="stable")
    for start in range(0, len(order), _GATHER_ROWS):
        part = order[start : start + _GATHER_ROWS]
        into[rows[part]] = mapped[slots[part]]
