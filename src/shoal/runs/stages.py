"""The stages of one run that took long, kept until the run is over: a run that crashed goes on after the last one."""

import hashlib
import logging
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final, TypeVar

import orjson

from shoal.errors import Unavailable
from shoal.failpoints import hit
from shoal.records.scope import Scope
from shoal.runs.stage_codec import decoded, encoded
from shoal.storage.protocols.checkpoints import CheckpointStore

__all__ = ["Stages"]

_log = logging.getLogger("shoal.run")
_POINTS: Final = frozenset({"fuse", "cluster", "layout", "group", "name"})
Made = TypeVar("Made")


class Stages:
    """The `Keep` of a run. Stages nest: one that is kept makes those inside it needless, and they are forgotten.

    `made_from` gives everything that the answer depends on, as JSON; it is asked only if there is something to keep or
    something was kept. Stages that took less than `worth_seconds` are made again instead.
    """

    def __init__(
        self,
        store: CheckpointStore,
        scope: Scope,
        run_id: str,
        made_from: Callable[[], Any],
        *,
        worth_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._scope, self._run_id, self._made_from = store, scope, run_id, made_from
        self._worth, self._clock = worth_seconds, clock
        self._inside: list[list[str]] = [[]]
        self._before = store.stages(scope, run_id)
        self.resumed: list[str] = []
        """Stages that an earlier attempt had made."""

    def __call__(self, stage: str, make: Callable[[], Made]) -> Made:
        """The stage as it was kept, or made now."""
        found = self._read(stage)
        if found is not None:
            self.resumed.append(stage)
            self._inside[-1].append(stage)
            made: Made = found
            return made
        self._inside.append([])
        start = self._clock()
        try:
            made = make()
        finally:
            inside = self._inside.pop()
        if self._clock() - start >= self._worth:
            self._write(stage, made, inside)
        if stage in _POINTS:
            hit(f"run.{stage}.kept")
        return made

    def _read(self, stage: str) -> Any:
        kept = self._store.read(self._scope, self._run_id, stage, self._input) if stage in self._before else None
        try:
            return None if kept is None else decoded(kept.arrays, kept.about["made"])
        except (KeyError, TypeError, ValueError):
            return None

    def _write(self, stage: str, made: object, inside: list[str]) -> None:
        try:
            arrays, told = encoded(made)
            self._store.write(self._scope, self._run_id, stage, self._input, arrays, {"made": told})
        except (Unavailable, MemoryError, TypeError) as error:  # the run can do without
            _log.warning("run.not_kept", extra={"run_id": self._run_id, "stage": stage, "cause": str(error)})
            self._inside[-1] += inside
            return
        for one in inside:
            self._store.delete(self._scope, self._run_id, one)
        self._inside[-1].append(stage)

    @cached_property
    def _input(self) -> str:
        text = orjson.dumps(self._made_from(), option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)
        return hashlib.blake2b(text, digest_size=16).hexdigest()
