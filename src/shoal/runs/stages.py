"""Checkpoints of the long stages of a run, until it is over: a crashed run resumes after the last one."""

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
from shoal.runs.stage_codec import decode, encode
from shoal.storage.protocols.checkpoints import CheckpointStore

__all__ = ["Stages"]

_log = logging.getLogger("shoal.run")
_POINTS: Final = frozenset({"fuse", "cluster", "layout", "group", "name"})
Made = TypeVar("Made")


class Stages:
    """The StageCache of a run. Stages nest: storing one makes those inside it obsolete, and deletes them.

    Parameters
    ----------
    store
        The checkpoints.
    scope, run_id
        The run.
    made_from
        Returns everything that the results depend on, as JSON; called only if something is to be stored or read.
    worth_seconds
        Stages that took less time are not stored.
    clock
        A monotonic clock, in seconds.
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
        """Stages that an earlier attempt had finished."""

    def __call__(self, stage: str, make: Callable[[], Made]) -> Made:
        """Return the stage from its checkpoint, or compute it."""
        stored = self._read(stage)
        if stored is not None:
            self.resumed.append(stage)
            self._inside[-1].append(stage)
            value: Made = stored
            return value
        self._inside.append([])
        start = self._clock()
        try:
            value = make()
        finally:
            inside = self._inside.pop()
        if self._clock() - start >= self._worth:
            self._write(stage, value, inside)
        if stage in _POINTS:
            hit(f"run.{stage}.kept")
        return value

    def _read(self, stage: str) -> Any:
        checkpoint = self._store.read(self._scope, self._run_id, stage, self._input) if stage in self._before else None
        try:
            return None if checkpoint is None else decode(checkpoint.arrays, checkpoint.about["made"])
        except (KeyError, TypeError, ValueError):
            return None

    def _write(self, stage: str, value: object, inside: list[str]) -> None:
        try:
            arrays, tree = encode(value)
            self._store.write(self._scope, self._run_id, stage, self._input, arrays, {"made": tree})
        except (Unavailable, MemoryError, TypeError) as error:  # the run does not depend on it
            _log.warning("run.not_kept", extra={"run_id": self._run_id, "stage": stage, "cause": str(error)})
            self._inside[-1] += inside
            return
        for inner in inside:
            self._store.delete(self._scope, self._run_id, inner)
        self._inside[-1].append(stage)

    @cached_property
    def _input(self) -> str:
        text = orjson.dumps(self._made_from(), option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)
        return hashlib.blake2b(text, digest_size=16).hexdigest()
