"""Guarantees of every checkpoint store: a finished stage is restored exactly as saved, or not at all."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shoal.errors import Unavailable
from shoal.records.scope import Scope
from shoal.storage.local.checkpoints import LocalCheckpoints
from shoal.storage.memory.checkpoints import MemoryCheckpoints
from shoal.storage.memory.faults import Faults
from shoal.storage.protocols.checkpoints import CheckpointStore

RUN, OTHER = "run_1", Scope("org_1", "ns_other")
ARRAYS = {"labels": np.array([0, -1, 2], dtype=np.int32), "places": np.arange(6, dtype=np.float32).reshape(3, 2)}
ABOUT = {"seconds": 1.5, "params": {"k": [1, None, "größer"]}}


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CheckpointStore:
    """To add a store, add a branch here and its name to `params`."""
    stores: dict[str, Callable[[], CheckpointStore]] = {
        "local": lambda: LocalCheckpoints(tmp_path / "checkpoints"),
        "memory": MemoryCheckpoints,
    }
    return stores[request.param]()


def test_a_stage_round_trips_unchanged(store: CheckpointStore, scope: Scope) -> None:
    store.write(scope, RUN, "cluster", "input 1", ARRAYS, ABOUT)

    kept = store.read(scope, RUN, "cluster", "input 1")

    assert kept is not None and kept.about == ABOUT
    assert kept.arrays.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        assert kept.arrays[name].dtype == values.dtype
        assert np.array_equal(kept.arrays[name], values)


def test_a_stage_of_another_input_run_or_scope_is_not_found(store: CheckpointStore, scope: Scope) -> None:
    store.write(scope, RUN, "cluster", "input 1", ARRAYS, ABOUT)

    assert store.read(scope, RUN, "cluster", "input 2") is None
    assert store.read(scope, RUN, "layout", "input 1") is None
    assert store.read(scope, "run_2", "cluster", "input 1") is None
    assert store.read(OTHER, RUN, "cluster", "input 1") is None
    store.write(scope, RUN, "cluster", "input 2", {}, {})
    assert store.read(scope, RUN, "cluster", "input 1") is None


def test_a_saved_stage_does_not_change_with_its_source_arrays(store: CheckpointStore, scope: Scope) -> None:
    values = np.zeros(3)
    store.write(scope, RUN, "cluster", "x", {"values": values}, {})
    values += 1

    first = store.read(scope, RUN, "cluster", "x")
    assert first is not None
    first.arrays["values"][0] = 9
    second = store.read(scope, RUN, "cluster", "x")

    assert second is not None and second.arrays["values"].tolist() == [0, 0, 0]


def test_stages_are_listed_and_deleted_individually_or_together(store: CheckpointStore, scope: Scope) -> None:
    for stage in ("load", "cluster"):
        store.write(scope, RUN, stage, "x", {}, {})
    store.write(OTHER, "run_2", "load", "x", {}, {})
    assert store.stages(scope, RUN) == {"load", "cluster"}
    assert store.runs() == [(scope, RUN), (OTHER, "run_2")]

    store.delete(scope, RUN, "load")
    store.delete(scope, RUN, "unknown")
    assert store.stages(scope, RUN) == {"cluster"}
    store.delete(scope, RUN)
    store.delete(scope, RUN)
    store.delete_scope(OTHER)

    assert store.runs() == [] and store.stages(scope, RUN) == frozenset()


def test_a_failed_write_keeps_the_earlier_stage(scope: Scope) -> None:
    faults = Faults(at=2)
    store = MemoryCheckpoints(faults=faults)
    store.write(scope, RUN, "cluster", "x", ARRAYS, ABOUT)

    with pytest.raises(Unavailable):
        store.write(scope, RUN, "cluster", "y", {}, {})

    assert store.read(scope, RUN, "cluster", "x") is not None
