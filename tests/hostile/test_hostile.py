"""The short form of `make hostile`: everything but the clock."""

from pathlib import Path

import pytest

from hostile.load import run_load
from hostile.shapes import SHAPES
from server_process import FreshServer

pytestmark = pytest.mark.process

MIB = 2**20


def test_all_hostile_shapes_at_once_are_answered_in_bounded_memory_and_probes_go_on(tmp_path: Path) -> None:
    limits = {"SHOAL_REQUEST_SECONDS": "20", "SHOAL_MAX_BODY_MIB": "16", "SHOAL_MAX_BODIES_MIB": "64"}
    with FreshServer(tmp_path / "data", workers=0, **limits) as server:
        outcome = run_load(server, count=2000, mib=15, rounds=1, at_once=12, silent_lines=300)
        with server.client() as client:
            assert client.get("/me").status_code == 200

    assert set(outcome.answers) == {shape.__name__ for shape in SHAPES}
    assert outcome.wrong() == {}
    assert outcome.above_idle < 700 * MIB
    for probe in outcome.probes.values():
        assert probe and {status for _, status in probe} == {200}
