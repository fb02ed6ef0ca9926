"""Artifacts in memory."""

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import BinaryIO, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shoal.errors import Conflict, InvalidField, NotFound
from shoal.records.scope import Scope
from shoal.storage.memory.faults import NO_FAULTS, Faults
from shoal.storage.protocols.records import Json

__all__ = ["MemoryArtifacts"]

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_TABLE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class _Run:
    manifest: bytes
    attempt: int
    files: Mapping[str, bytes]


class MemoryArtifacts:
    """The ArtifactStore in memory, for tests: Parquet bytes under a manifest that is replaced atomically."""

    def __init__(self, *, faults: Faults = NO_FAULTS) -> None:
        self._faults = faults
        self._runs: dict[tuple[Scope, str], _Run] = {}
        self._lock = Lock()

    def write(self, scope: Scope, run_id: str, tables: Mapping[str, pa.Table], meta: Json, *, attempt: int = 0) -> Json:
        """See ArtifactStore. Raises InvalidField for a name that is not a lower-case word."""
        place = _place(scope, run_id)
        for name in tables:
            if not _TABLE.fullmatch(name):
                raise InvalidField("name", "must be a lower-case word", value=name)
        with self._lock:
            before = self._runs.get(place)
        files, about = dict[str, bytes](), dict[str, Json]()
        for name, table in tables.items():
            files[name] = _parquet(table)
            about[name] = {
                "sha256": hashlib.sha256(files[name]).hexdigest(),
                "size_bytes": len(files[name]),
                "rows": table.num_rows,
            }
            self._faults.step("table")
        manifest = orjson.dumps({"run_id": run_id, "attempt": attempt, "files": about, "meta": meta})
        self._faults.step("manifest")
        with self._lock:
            latest = self._runs.get(place)
            if latest is None and before is not None:
                raise Conflict("The artifacts were deleted while they were being written.")
            if latest is not None and latest.attempt > attempt:
                raise Conflict(
                    f"Attempt {latest.attempt} of {run_id} has written its results; attempt {attempt} is too late."
                )
            self._runs[place] = _Run(manifest, attempt, files)
        self._faults.step("written")
        written: Json = orjson.loads(manifest)
        return written

    def manifest(self, scope: Scope, run_id: str) -> Json | None:
        """See ArtifactStore."""
        run = self._runs.get(_place(scope, run_id))
        return None if run is None else orjson.loads(run.manifest)

    def read(self, scope: Scope, run_id: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """See ArtifactStore. Raises NotFound for a column as well."""
        with pq.ParquetFile(pa.BufferReader(self._file(scope, run_id, name))) as file:
            for column in columns or ():
                if column not in file.schema_arrow.names:
                    raise NotFound(f"column of {name}", column)
            table = file.read(columns=None if columns is None else list(columns))
        return table if columns is None else table.select(list(columns))

    def open(self, scope: Scope, run_id: str, name: str) -> tuple[BinaryIO, int]:
        """See ArtifactStore."""
        content = self._file(scope, run_id, name)
        return io.BytesIO(content), len(content)

    def delete(self, scope: Scope, run_id: str) -> None:
        """See ArtifactStore."""
        self._runs.pop(_place(scope, run_id), None)

    def delete_scope(self, scope: Scope) -> None:
        """See ArtifactStore."""
        _place(scope, "all")
        for place in [place for place in self._runs if place[0] == scope]:
            self._runs.pop(place, None)

    def runs(self) -> list[tuple[Scope, str]]:
        """See ArtifactStore."""
        return sorted(self._runs, key=lambda place: place[1])

    def _file(self, scope: Scope, run_id: str, name: str) -> bytes:
        run = self._runs.get(_place(scope, run_id))
        if run is None or name not in run.files:
            raise NotFound("artifact", f"{run_id}/{name}")
        return run.files[name]


def _place(scope: Scope, run_id: str) -> tuple[Scope, str]:
    """Return the key of a run. Raises InvalidField for ids that no server generates."""
    ids = {"organization_id": scope.organization_id, "namespace_id": scope.namespace_id or "none", "run_id": run_id}
    for field, id in ids.items():
        if not _ID.fullmatch(id):
            raise InvalidField(field, "must hold only letters, digits, '_' and '-'", value=id)
    return scope, run_id


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()
