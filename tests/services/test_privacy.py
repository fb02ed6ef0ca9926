"""Data that Shoal stores is readable by its owner only, even in a folder that used to be open."""

import logging
import stat
from pathlib import Path

import pyarrow as pa
import pytest

from shoal.assemble import assemble
from shoal.records.scope import Scope
from shoal.settings import Settings


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def opened(data: Path) -> None:
    services = assemble(Settings(data=data, workers=0))
    organization = services.keys.create_organization("one" + data.name).organization_id
    scope = services.namespaces.scope(Scope(organization), "default")
    services.artifacts.write(scope, "run_1", {"members": pa.table({"x": [1]})}, {})
    with services.bulk.open_spool_file() as upload:
        assert (mode(upload), mode(upload.parent)) == (0o600, 0o700)
    services.close()


def test_an_open_shoal_data_folder_is_made_private_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = tmp_path / "data"
    opened(data)
    for folder in (data, data / "artifacts", data / "documents"):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)

    with caplog.at_level(logging.WARNING, "shoal.privacy"):
        assemble(Settings(data=data, workers=0)).close()

    assert [mode(folder) for folder in (data, data / "artifacts", data / "documents")] == [0o700] * 3
    assert [record.message for record in caplog.records] == ["data.made_private"] * 3


def test_a_folder_with_foreign_files_is_unchanged_but_new_files_in_it_are_private(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "shared"
    data.mkdir(mode=0o755)
    data.chmod(0o755)
    (data / "notes.txt").write_text("of somebody")

    with caplog.at_level(logging.WARNING, "shoal.privacy"):
        opened(data)

    assert mode(data) == 0o755
    assert [record.message for record in caplog.records] == ["data.open_to_others"]
    made = [path for path in data.rglob("*") if path.name != "notes.txt"]
    assert [str(path) for path in made if mode(path) & 0o077 and path.parent == data] == []
    assert [str(path) for path in data.glob("artifacts/**/*") if mode(path) & 0o077] == []
