"""The script of the sweep in one process, on an optimistic store that refuses commits at random.

A crash would lose the store, so the faults here are errors: calls fail in the middle of an operation, and the same
process continues. Afterwards every invariant must hold, as after a recovery.
"""

from pathlib import Path

import pytest

from faults.inside import SCRIPT, Installation, arm_failpoints, follow
from faults.invariants import check_all, check_canary, check_settled
from faults.ledger import Ledger
from faults.workload import Operations, Tenants
from memory_stores import memory_stores
from shoal.assemble import assemble
from shoal.settings import Settings
from shoal.storage.memory.conflicts import Conflicts

ERRORS = (
    "idempotency.before_save=err:EIO@3;execute.queued=err:EIO@2;run.claimed=err:EIO@2;run.before_flip=err:ENOSPC@3;"
    "run.after_flip=err:EIO@2;run.before_complete=err:EIO@3;remove.recorded=err:EIO@1;remove.committed=err:EIO@2;"
    "enrich.batch_committed=err:EIO@1;artifact.before_manifest=err:ENOSPC@2"
)


@pytest.mark.slow
@pytest.mark.parametrize("errors", ["", ERRORS], ids=["conflicts", "conflicts and errors"])
def test_invariants_hold_where_transactions_conflict_and_calls_fail(errors: str, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", threads=1, checkpoint_seconds=0.0, output_grace_seconds=0.0)
    conflicts = Conflicts(rate=0.3, seed=17)
    services = assemble(settings, stores=memory_stores(settings, conflicts))
    key = services.keys.bootstrap(settings.data / "key")
    assert key is not None
    tenants = Tenants(key, services.keys.create_organization("other").key)
    book = Ledger(tmp_path / "ledger")
    foreign, own = (Installation(settings.data, key, services) for key in (tenants.foreign_key, tenants.key))
    Operations(foreign.client, book).plant_canary()
    Operations(own.client, book).prepare()

    arm_failpoints(errors)
    try:
        follow(own, book, SCRIPT, marked=False)
    finally:
        arm_failpoints("")
    own.work()
    services.housekeeping.tidy()

    check_canary(own.client, tenants)
    check_all(own.client, book)
    assert check_settled(own.client, deadline_s=5.0)
    assert conflicts.refused > 20
    for installation in (foreign, own):
        installation.client.close()
    services.close()
    book.close()
