"""Checkpoints: finished stages of runs under way."""

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
    """Finished stages of runs that are under way. Losing one costs time, never an answer."""

    def write(
        self, scope: Scope, run_id: str, stage: str, made_from: str, arrays: Mapping[str, NDArray[Any]], about: Json
    ) -> None:
        """Keep a stage; `made_from` is the hash of everything that it depends on."""

    def read(self, scope: Scope, run_id: str, stage: str, made_from: str) -> Kept | None:
        """None where there is none, it was made from something else, or it is damaged."""

    def delete(self, scope: Scope, run_id: str, stage: str | None = None) -> None:
        """Forget a stage of a run, or all of them; nothing happens where there is none."""

    def delete_scope(self, scope: Scope) -> None:
        """Forget those of all runs of a namespace."""

    def stages(self, scope: Scope, run_id: str) -> frozenset[str]:
        """The stages of a run that were kept."""
