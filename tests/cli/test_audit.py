"""`shoal audit` on a real folder, after real commands."""

import json
from pathlib import Path

import pytest

from cli.conftest import Command


@pytest.fixture
def busy(here: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: None) -> Command:
    """A folder in which a key was made, rotated and revoked, and a file imported."""
    monkeypatch.setenv("SHOAL_DATA", str(tmp_path / "data"))
    (tmp_path / "two.jsonl").write_text('{"id": "a", "v": [1, 0]}\n{"id": "b", "v": [0, 1]}\n')
    assert here("import", "two.jsonl", "--collection", "docs").code == 0
    assert here("keys", "create", "ci", "--permission", "read").code == 0
    assert here("keys", "rotate", "ci").code == 0
    assert here("keys", "revoke", "ci").code == 0
    return here


def test_what_commands_did_is_shown_newest_first(busy: Command) -> None:
    shown = [json.loads(line) for line in busy("audit", "--json").out.splitlines()]

    assert [entry["action"] for entry in shown[:5]] == [
        "key.revoke", "key.rotate", "key.create", "documents.import", "collection.create",
    ]  # fmt: skip
    assert {entry["via"] for entry in shown} == {"command line"}
    assert shown[3]["details"] == {"inserted": 2, "replaced": 0}
    assert shown[0]["details"] == {"name": "ci"}


def test_the_table_fits_a_narrow_terminal(busy: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = busy("audit").out.splitlines()

    assert max(map(len, lines)) <= 120
    header, row = lines[1].split(), next(line for line in lines if "documents.import" in line)
    assert header == ["time", "(UTC)", "who", "action", "what", "details"]
    assert "(command line)" in row and "inserted=2 replaced=0" in row


def test_rows_are_chosen_by_action_time_and_number(busy: Command) -> None:
    assert "key.rotate" in busy("audit", "--action", "key.", "--since", "1h").out
    assert "documents.import" not in busy("audit", "--action", "key.").out
    assert len(busy("audit", "--json", "--limit", "2").out.splitlines()) == 2
    assert busy("audit", "--since", "2099-01-01").out == busy("audit", "--refused").out
    assert "No entries match" in busy("audit", "--refused").out


def test_an_invalid_time_is_reported(busy: Command) -> None:
    assert "30m, 24h or 7d" in busy("audit", "--since", "yesterday").complaint
    assert "30m, 24h or 7d" in busy("audit", "--since", "99999999999d").complaint


def test_the_last_admin_key_may_be_revoked_here(busy: Command) -> None:
    assert busy("keys", "revoke", "first").code == 0
    assert busy("keys", "create", "next", "--permission", "admin").code == 0
