"""Artifacts: whole files of a run."""

from collections.abc import Mapping, Sequence
from typing import BinaryIO, Protocol

import pyarrow as pa

from shoal.records.scope import Scope
from shoal.storage.protocols.maintenance import RunFiles
from shoal.storage.protocols.records import Json

__all__ = ["ArtifactStore"]


class ArtifactStore(RunFiles, Protocol):
    """Whole files of a run: Parquet tables and a manifest with their SHA-256, rows and sizes.

    A run's folder appears whole (manifest last) and never changes afterwards.
    """

    def write(
        self,
        scope: Scope,
        run_id: str,
        tables: Mapping[str, pa.Table],
        meta: Json,
        *,
        attempt: int = 0,
    ) -> Json:
        """Write every table and then the manifest, which is returned. Writing a run again replaces it whole.

        Written is not yet visible: readers look at the artifacts of runs that are published, which is one flip in the
        metadata store, fenced there. Here `attempt`, which grows with each claim of a run, keeps a worker that was
        taken over from replacing what its successor wrote.

        Raises Conflict where a later attempt has written, or the run is deleted meanwhile."""

    def manifest(self, scope: Scope, run_id: str) -> Json | None: ...

    def read(self, scope: Scope, run_id: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Raises NotFound where the run has no such table, Corrupt where bytes do not match."""

    def open(self, scope: Scope, run_id: str, name: str) -> tuple[BinaryIO, int]:
        """The table as Parquet, for downloads: a stream that can seek, to be closed by the caller, and its size in
        bytes. It is read to its end whatever happens to the run meanwhile. Raises NotFound, Corrupt."""

    def delete_scope(self, scope: Scope) -> None: ...
