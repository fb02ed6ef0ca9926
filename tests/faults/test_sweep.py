"""D2 and D5 in short form: a crash at every failpoint, some failing system calls, some power cuts."""

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

needs_shim = pytest.mark.skipif(
    io_faults.find_obstacle() is not None, reason=f"no failing calls: {io_faults.find_obstacle()}"
)


@pytest.fixture(scope="module")
def template(processes: None) -> Iterator[Template]:
    with quick_folder() as folder, Template(folder, io_faults.preload_environ_if_possible()) as prepared:
        yield prepared


@pytest.fixture(scope="module")
def pass_counts(template: Template) -> dict[str, int]:
    return sweep.count_passes(template)


def test_the_script_passes_every_failpoint(pass_counts: dict[str, int]) -> None:
    assert sweep.find_unreached(pass_counts) == []


def test_the_failpoints_that_the_script_cannot_pass_have_a_test_of_their_own() -> None:
    tests = Path(__file__).parents[1]

    for name, where in sweep.ELSEWHERE.items():
        assert f'"{name}"' in (tests / where).read_text()


def test_each_failpoint_has_a_first_a_second_and_a_last_pass(pass_counts: dict[str, int]) -> None:
    assert all(times > 1 for times in pass_counts.values() if times)


@pytest.mark.parametrize("name", FAILPOINTS)
def test_all_invariants_hold_after_a_crash_at_a_failpoint(
    name: str, pass_counts: dict[str, int], template: Template
) -> None:
    if not pass_counts[name]:
        pytest.skip("the script does not pass it: see ELSEWHERE")
    result = sweep.SweepResult()
    result.run(template, sweep.Fault(arm=f"{name}=crash@{min(2, pass_counts[name])}"))

    assert result.violations == []


def test_all_invariants_hold_after_a_full_disk_at_a_failpoint(pass_counts: dict[str, int], template: Template) -> None:
    writing = ("ingest.synced", "run.checkpoint.written", "artifact.table", "artifact.before_manifest", "enrich.batch")
    result = sweep.sweep(template, (sweep.Fault(arm=f"{name}=err:ENOSPC@1") for name in writing))

    assert result.violations == []
    assert all(pass_counts[name] for name in writing)


def test_targets_of_a_delete_are_whole_or_gone_after_the_process_is_killed() -> None:
    with quick_folder() as folder, Template(folder, scratch=True) as template:
        result = die_in_deletes(template, 8, seed=3)

    assert result.violations == []
    assert result.deaths == 8
    assert result.fates.keys() & {("namespace", "open"), ("collection", "open"), ("cluster", "open")}


@needs_shim
def test_failing_system_calls_lose_nothing_and_are_answered_with_an_error(template: Template) -> None:
    result = sweep.sweep(template, sweep.calls(template, step=560, start=7))

    assert result.violations == []
    assert result.done >= 5
    assert result.statuses, "no failed call was noticed"
    assert not result.statuses[500]


@needs_shim
def test_acknowledged_writes_survive_a_power_cut(template: Template) -> None:
    states, violations = power_loss.sweep(template, count=12, seed=1)

    assert violations == []
    assert states >= 20


# ── disk model ──────────────────────────────────────────────────────────────────────────────────────────────────────


def disk_after(root: Path, calls: list[Call], seed: int | None) -> dict[str, bytes]:
    """Return the files of a folder `data`, empty at first, after these calls and a loss of power."""
    data = root / "data"
    data.mkdir()
    absolute = [_place_in(call, data) for call in calls]
    power_loss.rebuild(data, absolute, Loss(len(absolute), seed))
    return {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}


def _place_in(call: Call, data: Path) -> Call:
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


def test_all_data_is_present_if_no_write_is_lost(tmp_path: Path) -> None:
    calls = [
        Call("mkdir", "f", b"", 0),
        Call("create", "f/a", b"", 0),
        Call("write", "f/a", b"text", 2),
        Call("rename", "f", b"g", 0),
        Call("truncate", "g/a", b"", 4),
    ]

    assert disk_after(tmp_path, calls, None) == {"g/a": b"\0\0te"}
