"""`shoal serve` without the extra `server`."""

import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from shoal.cli.main import main
from shoal.cli.server_packages import _PACKAGES, check_server_packages

ROOT = Path(__file__).parents[2]


def test_serve_without_its_packages_ends_with_one_sentence_that_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setattr(sys, "argv", ["shoal", "serve", "--data", str(tmp_path / "data"), "--port", "0"])

    with pytest.raises(SystemExit) as end:
        main()

    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "shoal: shoal serve needs packages that are not installed (fastapi, uvicorn). "
        "Install them with: pip install 'shoal[server]'\n"
    )
    assert not (tmp_path / "data").exists()


def test_with_the_extra_nothing_is_missing() -> None:
    check_server_packages()


def test_what_serve_asks_for_is_what_the_extra_brings() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    extra = {Requirement(line).name for line in project["optional-dependencies"]["server"]}
    assert set(_PACKAGES.values()) == extra
    assert not extra & {Requirement(line).name for line in project["dependencies"]}
