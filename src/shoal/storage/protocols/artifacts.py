"""Artifacts: whole files of a run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from shoal.records.scope import Scope
from shoal.storage.protocols.records import Json

__all__ = ["ArtifactStore"]


class ArtifactStore(Protocol):
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
        while_holding: Callable[[Callable[[], None]], None] = lambda place: place(),
    ) -> Json:
        """Write every table and then the manifest, which is returned. Writing a run again replaces it whole. The
        tables become those of the run inside `while_holding`, which calls its argument, perhaps more than once, or
        raises where that may not be any more."""

    def manifest(self, scope: Scope, run_id: str) -> Json | None: ...

    def read(self, scope: Scope, run_id: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Raises NotFound where the run has no such table, Corrupt where bytes do not match."""

    def path(self, scope: Scope, run_id: str, name: str) -> Path:
        """A local file with the table, for downloads. Raises NotFound."""

    def delete(self, scope: Scope, run_id: str) -> None: ...

    def delete_scope(self, scope: Scope) -> None: ...

    def runs(self) -> list[tuple[Scope, str]]:
        """All runs that have artifacts, in every scope: for those who clean up."""
