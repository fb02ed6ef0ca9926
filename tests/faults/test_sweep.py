"""D2 and D5, short: a crash at every failpoint, some failing system calls, some power cuts."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from faults import io_faults, power_loss, sweep
from faults.deletes import die_in_deletes
from faults.disk import quick_folder
from faults.power_loss import Call, Loss
from faults.template import Template
from shoal.failpoints import FAILPOINTS

pytestmark = pytest.mark.process

needs_shim = pytest.mark.skipif(io_faults.why_not() is not None, reason=f"no failing calls: {io_faults.why_not()}")


@pytest.fixture(scope="module")
def template(processes: None) -> Iterator[Template]:
    with quick_folder() as folder, Template(folder, io_faults.preloaded_where_possible()) as made:
        yield made


@pytest.fixture(scope="module")
def passed(template: Template) -> dict[str, int]:
    return sweep.passes(template)


def test_the_script_passes_every_failpoint(passed: dict[str, int]) -> None:
    assert sweep.unreached(passed) == []


def test_the_failpoints_that_the_script_cannot_pass_have_a_test_of_their_own() -> None:
    tests = Path(__file__).parents[1]

    for name, where in sweep.ELSEWHERE.items():
        assert f'"{name}"' in (tests / where).read_text()


def test_a_failpoint_is_passed_often_enough_for_a_first_a_second_and_a_last_time(passed: dict[str, int]) -> None:
    assert all(times > 1 for times in passed.values() if times)


@pytest.mark.parametrize("name", FAILPOINTS)
def test_a_crash_at_a_failpoint_leaves_all_invariants_standing(
    name: str, passed: dict[str, int], template: Template
) -> None:
    if not passed[name]:
        pytest.skip("the script does not pass it: see ELSEWHERE")
    swept = sweep.Swept()
    swept.take(template, sweep.Fault(arm=f"{name}=crash@{min(2, passed[name])}"))

    assert swept.violations == []


def test_a_disk_that_is_full_at_a_failpoint_leaves_all_invariants_standing(
    passed: dict[str, int], template: Template
) -> None:
    writing = ("ingest.synced", "run.checkpoint.written", "artifact.table", "artifact.before_manifest", "enrich.batch")
    swept = sweep.sweep(template, (sweep.Fault(arm=f"{name}=err:ENOSPC@1") for name in writing))

    assert swept.violations == []
    assert all(passed[name] for name in writing)


def test_what_is_being_deleted_when_its_process_ends_is_whole_or_gone() -> None:
    with quick_folder() as folder, Template(folder, scratch=True) as template:
        deleted = die_in_deletes(template, 8, seed=3)

    assert deleted.violations == []
    assert deleted.deaths == 8
    assert deleted.fates.keys() & {("namespace", "open"), ("collection", "open"), ("cluster", "open")}


@needs_shim
def test_system_calls_that_fail_lose_nothing_and_are_answered_in_words(template: Template) -> None:
    swept = sweep.sweep(template, sweep.calls(template, step=280, start=7))

    assert swept.violations == []
    assert swept.done >= 5
    assert swept.statuses, "no call that failed was noticed by anybody"
    assert not swept.statuses[500]


@needs_shim
def test_what_was_acknowledged_survives_a_power_cut(template: Template) -> None:
    states, violations = power_loss.sweep(template, count=12, seed=1)

    assert violations == []
    assert states >= 20


# ── the disk that forgets ────────────────────────────────────────────────────────────────────────────────────────────


def disk_after(root: Path, calls: list[Call], seed: int | None) -> dict[str, bytes]:
    """The files of an empty folder `data` after these calls and a loss of power."""
    data = root / "data"
    data.mkdir()
    there = [_inside(call, data) for call in calls]
    power_loss.rebuild(data, there, Loss(len(there), seed))
    return {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}


def _inside(call: Call, data: Path) -> Call:
    moved = str(data / call.data.decode()).encode() if call.kind == "rename" else call.data
    return replace(call, path=str(data / call.path), data=moved)


def test_a_file_that_was_synced_but_not_its_folder_may_be_gone(tmp_path: Path) -> None:
    calls = [Call("create", "a", b"", 0), Call("write", "a", b"text", 0), Call("sync", "a", b"", 0)]

    assert disk_after(tmp_path, calls, -1) == {}


def test_a_name_may_be_there_before_its_data(tmp_path: Path) -> None:
    calls = [Call("create", "a", b"", 0), Call("write", "a", b"text", 0), Call("sync", "", b"", 0)]

    assert disk_after(tmp_path, calls, -1) == {"a": b""}


def test_a_file_keeps_its_data_under_a_new_name(tmp_path: Path) -> None:
    calls = [
        Call("create", "a.part", b"", 0),
        Call("write", "a.part", b"text", 0),
        Call("sync", "a.part", b"", 0),
        Call("rename", "a.part", b"a", 0),
        Call("sync", "", b"", 0),
        Call("truncate", "a", b"", 1),
    ]

    assert disk_after(tmp_path, calls, -1) == {"a": b"text"}


def test_everything_is_there_where_nothing_is_forgotten(tmp_path: Path) -> None:
    calls = [
        Call("mkdir", "f", b"", 0),
        Call("create", "f/a", b"", 0),
        Call("write", "f/a", b"text", 2),
        Call("rename", "f", b"g", 0),
        Call("truncate", "g/a", b"", 4),
    ]

    assert disk_after(tmp_path, calls, None) == {"g/a": b"\0\0te"}
