"""Artifacts: the result files of a run."""

from collections.abc import Mapping, Sequence
from typing import BinaryIO, Protocol

import pyarrow as pa

from shoal.records.scope import Scope
from shoal.storage.protocols.maintenance import RunFiles
from shoal.storage.protocols.records import Json

__all__ = ["ArtifactStore"]


class ArtifactStore(RunFiles, Protocol):
    """The result files of a run: Parquet tables, and a manifest with their SHA-256, row counts and sizes.

    The folder of a run appears atomically (manifest last) and never changes afterwards.
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
        """Write every table, then the manifest, which is returned. Writing a run again replaces it atomically.

        The artifacts become visible when the run is published, by a fenced transaction of the metadata store.
        `attempt`, which grows with each claim of a run, prevents a worker that lost its lease from replacing what its
        successor wrote.

        Raises Conflict if a later attempt has written, or the run was deleted meanwhile.
        """

    def manifest(self, scope: Scope, run_id: str) -> Json | None: ...

    def read(self, scope: Scope, run_id: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a table.

        Raises NotFound if the run has no such table, Corrupt if its bytes do not match the manifest.
        """

    def open(self, scope: Scope, run_id: str, name: str) -> tuple[BinaryIO, int]:
        """Open a table as Parquet, for downloads. Returns a seekable stream, which the caller closes, and its size in
        bytes. It stays readable to its end whatever happens to the run. Raises NotFound, Corrupt."""

    def delete_scope(self, scope: Scope) -> None: ...
