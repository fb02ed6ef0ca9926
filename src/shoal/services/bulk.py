"""Documents by the million: a file, or an upload put into one, goes straight to columns and into the store at once."""

import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np

from shoal.columns import DocumentBatch, VectorColumn
from shoal.durable import create_locked_file, remove_abandoned
from shoal.files.ids.generated import note_already_imported, note_generated
from shoal.files.layout import HTTP, OptionNames, VectorColumns
from shoal.files.reader import name_document_in_errors, name_shard_in_errors, row_place
from shoal.files.shards import Files, display_name
from shoal.intake import FileReaders, ForeignFile, ReadOptions
from shoal.records.scope import Scope
from shoal.records.vectors import Place
from shoal.repositories.audit import note_done
from shoal.services.collections import Collections
from shoal.services.documents import Documents
from shoal.services.vector_check import VectorNames, check_dimensions, check_directions, is_coarse, rounded
from shoal.storage.protocols.documents import DocumentStore, Write

__all__ = ["Bulk", "Imported", "OnConflict"]

OnConflict = Literal["replace", "fail"]


@dataclass(frozen=True, slots=True)
class Imported:
    """What a bulk write did. `vectors` maps names to dimensions; `warnings` are sentences for people."""

    inserted: int
    replaced: int
    vectors: dict[str, int]
    collection_id: str
    warnings: list[str]


class Bulk:
    """The bulk path, for uploads and for files on this machine alike. `now` is UTC; `spool` a folder for uploads;
    `readers` read files in processes of their own."""

    def __init__(
        self,
        store: DocumentStore,
        collections: Collections,
        documents: Documents,
        now: Callable[[], datetime],
        max_dimension: int,
        spool: Path,
        readers: FileReaders,
    ) -> None:
        self._store, self._collections, self._documents = store, collections, documents
        self._now, self._max_dimension, self._spool, self._readers = now, max_dimension, spool, readers

    def prepare(self) -> None:
        """Start what reads files, so that the first import need not wait for it. Returns at once."""
        self._readers.prepare()

    def import_file(
        self,
        scope: Scope,
        ref: str,
        path: Files,
        *,
        format: str | None = None,
        id_column: str | None = None,
        vector_columns: VectorColumns = None,
        sidecar: Path | None = None,
        delimiter: str | None = None,
        encoding: str | None = None,
        options: OptionNames = HTTP,
        on_conflict: OnConflict = "replace",
        label: str | None = None,
        names: Mapping[Path, str] | None = None,
        progress: Callable[[int], None] | None = None,
        write: Write | None = None,
    ) -> Imported:
        """Write all documents of a file, or none of them. `progress` is called with the documents read so far.

        Raises NotFound for the collection, InvalidField for the file, TooLarge for one that unfolds too far or takes
        too much to read, AlreadyExists with on_conflict="fail".
        """
        collection = self._collections.find(scope, ref)
        known = self._documents.vector_names(scope)
        label = label or display_name(path)
        how = ReadOptions(
            format=format,
            id_column=id_column,
            vector_columns=vector_columns,
            sidecar=sidecar,
            label=label,
            known_vectors=dict(known.dimensions),
            needs_vectors=False,
            max_dimension=self._max_dimension,
            temporary=self._spool,
            delimiter=delimiter,
            encoding=encoding,
            options=options,
            makes_ids=True,
            names={str(folder): name for folder, name in (names or {}).items()},
        )
        self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        seen, coarse, zeros = dict[str, int](), set[str](), Counter[str]()
        with (
            self._readers.reading(path, how, scope.organization_id) as source,
            name_shard_in_errors(label, source.info.shards),
        ):
            check_dimensions(source.info.vectors, known, self._max_dimension, label)
            batches = _told(_noted(source, seen, coarse, zeros, known, label), progress)
            now = self._now() if write is None else write.at
            count = self._store.write(
                scope, collection.storage_key, batches, now=now, on_conflict=on_conflict, write=write
            )
            deque(batches, maxlen=0)  # a repetition writes nothing, and still answers with what the file holds
        counts = {"inserted": count.inserted, "replaced": count.replaced}
        warnings = [*source.info.warnings, *(rounded(name) for name in sorted(coarse))]
        warnings += [_zero(name, count) for name, count in sorted(zeros.items()) if count]
        if source.info.id_column is None:
            again = count.replaced and not count.inserted
            warnings.append(note_already_imported(count.replaced) if again else note_generated(options.id))
        note_done(scope, "documents.import", collection.collection_id, **counts)
        return Imported(count.inserted, count.replaced, seen, collection.collection_id, warnings)

    @contextlib.contextmanager
    def spooled(self) -> Iterator[Path]:
        """A new empty file for an upload, private to this installation and gone afterwards.

        What a crash left behind is removed as well: files whose lock nobody holds, however old they look.
        """
        self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in self._spool.iterdir():
            remove_abandoned(old)
        with create_locked_file(self._spool) as path:
            yield path


def _noted(
    source: ForeignFile,
    seen: dict[str, int],
    coarse: set[str],
    zeros: Counter[str],
    names: VectorNames,
    label: str,
) -> Iterator[DocumentBatch]:
    first = 0
    for batch in source.batches():
        for name, column in batch.vectors.items():
            if len(column.rows):
                seen[name] = column.dimension
                zeros[name] += int(np.count_nonzero(~column.values.any(axis=1)))
                if is_coarse(column):
                    coarse.add(name)
                with name_document_in_errors(label, first, batch.ids):
                    check_directions(name, column.values, names, _row_place(row_place(label, first, name), column))
        yield batch
        first += len(batch)


def _zero(name: str, count: int) -> str:
    are = "1 vector is" if count == 1 else f"{count:,} vectors are"
    return f"{are} all zero in {name!r} and stored; runs that compare directions leave such documents out."


def _row_place(row: Place, column: VectorColumn) -> Place:
    return lambda k: row(int(column.rows[k]))


def _told(batches: Iterator[DocumentBatch], progress: Callable[[int], None] | None) -> Iterator[DocumentBatch]:
    total = 0
    for batch in batches:
        yield batch
        total += len(batch)
        if progress is not None:
            progress(total)
