"""Checkpoints: finished stages of unfinished runs."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from shoal.records.scope import Scope
from shoal.storage.protocols.maintenance import RunFiles
from shoal.storage.protocols.records import Json

__all__ = ["CheckpointStore", "Kept"]


class Kept(NamedTuple):
    """A finished stage: its arrays, and the rest as JSON."""

    arrays: Mapping[str, NDArray[Any]]
    about: Json


class CheckpointStore(RunFiles, Protocol):
    """Finished stages of unfinished runs. Losing one costs time, never a result."""

    def write(
        self, scope: Scope, run_id: str, stage: str, made_from: str, arrays: Mapping[str, NDArray[Any]], about: Json
    ) -> None:
        """Store a stage; `made_from` is the hash of everything that it depends on."""

    def read(self, scope: Scope, run_id: str, stage: str, made_from: str) -> Kept | None:
        """Read a stage; None if there is none, it was made from something else, or it is damaged."""

    def delete(self, scope: Scope, run_id: str, stage: str | None = None) -> None:
        """Delete a stage of a run, or all of them; does nothing if there is none."""

    def delete_scope(self, scope: Scope) -> None:
        """Delete the stages of all runs of a namespace."""

    def stages(self, scope: Scope, run_id: str) -> frozenset[str]:
        """Return the stored stages of a run."""
