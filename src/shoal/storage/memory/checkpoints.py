"""Checkpoints in memory."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from shoal.records.scope import Scope
from shoal.storage.memory.faults import NO_FAULTS, Faults
from shoal.storage.protocols.checkpoints import Kept
from shoal.storage.protocols.records import Json

__all__ = ["MemoryCheckpoints"]


class MemoryCheckpoints:
    """The CheckpointStore in memory. For tests."""

    def __init__(self, *, faults: Faults = NO_FAULTS) -> None:
        self._faults = faults
        self._stages: dict[tuple[Scope, str], dict[str, tuple[str, Mapping[str, NDArray[Any]], bytes]]] = {}

    def write(
        self, scope: Scope, run_id: str, stage: str, made_from: str, arrays: Mapping[str, NDArray[Any]], about: Json
    ) -> None:
        """See CheckpointStore."""
        self._faults.step("checkpoint")
        copied = {name: np.array(values) for name, values in arrays.items()}
        self._stages.setdefault((scope, run_id), {})[stage] = made_from, copied, orjson.dumps(about)

    def read(self, scope: Scope, run_id: str, stage: str, made_from: str) -> Kept | None:
        """See CheckpointStore."""
        stage_data = self._stages.get((scope, run_id), {}).get(stage)
        if stage_data is None or stage_data[0] != made_from:
            return None
        return Kept({name: values.copy() for name, values in stage_data[1].items()}, orjson.loads(stage_data[2]))

    def delete(self, scope: Scope, run_id: str, stage: str | None = None) -> None:
        """See CheckpointStore."""
        stages = self._stages.get((scope, run_id), {})
        if stage is not None:
            stages.pop(stage, None)
        if stage is None or not stages:
            self._stages.pop((scope, run_id), None)

    def delete_scope(self, scope: Scope) -> None:
        """See CheckpointStore."""
        self._stages = {place: stages for place, stages in self._stages.items() if place[0] != scope}

    def stages(self, scope: Scope, run_id: str) -> frozenset[str]:
        """See CheckpointStore."""
        return frozenset(self._stages.get((scope, run_id), {}))

    def runs(self) -> list[tuple[Scope, str]]:
        """See CheckpointStore."""
        return sorted(self._stages, key=lambda place: place[1])
