"""Bulk import: a file, or an upload spooled to one, is read into columns and written to the store in one operation."""

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
from shoal.files.paths.shards import Files, display_name
from shoal.files.reader import name_document_in_errors, name_shard_in_errors, row_place
from shoal.intake import FileReaders, ForeignFile, ReadOptions
from shoal.records.documents.vectors import Place
from shoal.records.scope import Scope
from shoal.repositories.audit import note_done
from shoal.services.collections import Collections
from shoal.services.documents.documents import Documents
from shoal.services.documents.ingest_encoding import Bare, IngestEncoding
from shoal.services.documents.vector_check import (
    VectorNames,
    check_dimensions,
    check_directions,
    is_coarse,
    rounding_warning,
)
from shoal.storage.protocols.documents import DocumentStore, Write

__all__ = ["Bulk", "Imported", "OnConflict"]

OnConflict = Literal["replace", "fail"]


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of a bulk write. `vectors` maps names to dimensions; `warnings` are sentences."""

    inserted: int
    replaced: int
    vectors: dict[str, int]
    collection_id: str
    warnings: list[str]


class Bulk:
    """Bulk import of uploads and of local files. `now` is UTC; `spool` is a folder for uploads; `readers` read files in
    separate processes."""

    def __init__(
        self,
        store: DocumentStore,
        collections: Collections,
        documents: Documents,
        now: Callable[[], datetime],
        max_dimension: int,
        spool: Path,
        readers: FileReaders,
        encoding: IngestEncoding,
    ) -> None:
        self._encoding = encoding
        self._store, self._collections, self._documents = store, collections, documents
        self._now, self._max_dimension, self._spool, self._readers = now, max_dimension, spool, readers

    def prepare(self) -> None:
        """Start the reader processes, so that the first import does not wait for them. Returns at once."""
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

        Raises NotFound for the collection, InvalidField for the file, TooLarge for one that decompresses to too much or
        takes too much memory to read, AlreadyExists with on_conflict="fail"."""
        collection = self._collections.find(scope, ref)
        vector_names = self._documents.vector_names(scope)
        label = label or display_name(path)
        read_options = ReadOptions(
            format=format,
            id_column=id_column,
            vector_columns=vector_columns,
            sidecar=sidecar,
            label=label,
            known_vectors=dict(vector_names.dimensions),
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
        dimensions, coarse, zeros, bare = dict[str, int](), set[str](), Counter[str](), Bare()
        with (
            self._readers.reading(path, read_options, scope.organization_id) as source,
            name_shard_in_errors(label, source.info.shards),
        ):
            check_dimensions(source.info.vectors, vector_names, self._max_dimension, label)
            inspected = _inspect_batches(source, dimensions, coarse, zeros, vector_names, label)
            batches = _report_progress(self._encoding.note_bare(collection, inspected, bare), progress)
            now = self._now() if write is None else write.at
            count = self._store.write(
                scope, collection.storage_key, batches, now=now, on_conflict=on_conflict, write=write
            )
            counts = {"inserted": count.inserted, "replaced": count.replaced}
            note_done(scope, "documents.import", collection.collection_id, **counts)  # the reader may still fail
            deque(batches, maxlen=0)  # a repeated write stores nothing, but the answer still describes the file
        notes = self._encoding.encode_imported(scope, collection, bare)
        if bare.encoded and collection.text_encoding is not None:
            dimensions[collection.text_encoding.vector_name] = collection.text_encoding.dimension
        warnings = [*source.info.warnings, *notes, *(rounding_warning(name) for name in sorted(coarse))]
        warnings += [_zero_warning(name, count) for name, count in sorted(zeros.items()) if count]
        if source.info.id_column is None:
            was_repeated = count.replaced and not count.inserted
            warnings.append(note_already_imported(count.replaced) if was_repeated else note_generated(options.id))
        return Imported(count.inserted, count.replaced, dimensions, collection.collection_id, warnings)

    @contextlib.contextmanager
    def open_spool_file(self) -> Iterator[Path]:
        """Open a new empty file for an upload, private to this user, and remove it afterwards.

        Files that a crash left behind are removed as well: those whose lock is free, whatever their age.
        """
        self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in self._spool.iterdir():
            remove_abandoned(old)
        with create_locked_file(self._spool) as path:
            yield path


def _inspect_batches(
    source: ForeignFile,
    dimensions: dict[str, int],
    coarse: set[str],
    zeros: Counter[str],
    names: VectorNames,
    label: str,
) -> Iterator[DocumentBatch]:
    first = 0
    for batch in source.batches():
        for name, column in batch.vectors.items():
            if len(column.rows):
                dimensions[name] = column.dimension
                zeros[name] += int(np.count_nonzero(~column.values.any(axis=1)))
                if is_coarse(column):
                    coarse.add(name)
                with name_document_in_errors(label, first, batch.ids):
                    check_directions(name, column.values, names, _chunk_place(row_place(label, first, name), column))
        yield batch
        first += len(batch)


def _zero_warning(name: str, count: int) -> str:
    subject = "1 vector is" if count == 1 else f"{count:,} vectors are"
    return f"{subject} all zero in {name!r} and stored; runs that compare directions leave such documents out."


def _chunk_place(row: Place, column: VectorColumn) -> Place:
    return lambda k: row(int(column.rows[k]))


def _report_progress(
    batches: Iterator[DocumentBatch], progress: Callable[[int], None] | None
) -> Iterator[DocumentBatch]:
    total = 0
    for batch in batches:
        yield batch
        total += len(batch)
        if progress is not None:
            progress(total)
