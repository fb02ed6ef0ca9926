"""The build: with a compiler, without one, and with the versions that are pinned."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
NO_COMPILER = {"CXX": "/no/such/compiler"}


def configured(folder: Path, native: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """CMake's first step, as the build takes it; it compiles nothing. scripts/set-up sees to cmake and ninja."""
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = ["cmake", "-G", "Ninja", f"-DSHOAL_NATIVE={native}", "-S", str(ROOT), "-B", str(folder)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | environ | {"PATH": tools}
    )


def test_without_a_compiler_the_build_goes_on_and_says_what_to_install(tmp_path: Path) -> None:
    done = configured(tmp_path, "AUTO", **NO_COMPILER)

    assert done.returncode == 0, done.stderr
    assert "Shoal without its native core: no C++ compiler was found (Debian, Ubuntu: apt install g++" in done.stderr


def test_a_build_that_insists_on_the_core_fails_without_a_compiler(tmp_path: Path) -> None:
    done = configured(tmp_path, "ON", **NO_COMPILER)

    assert done.returncode != 0
    assert "native core cannot be built: no C++ compiler was found" in done.stderr


def test_the_core_can_be_left_out(tmp_path: Path) -> None:
    done = configured(tmp_path, "OFF")

    assert done.returncode == 0, done.stderr
    assert "Shoal without its native core: SHOAL_NATIVE is OFF" in done.stderr


def test_every_area_of_the_core_is_bound() -> None:
    sources = {path.name: path.read_text() for path in (ROOT / "native").glob("*.cpp")}
    module = sources.pop("module.cpp")
    areas = {name for text in sources.values() for name in re.findall(r"(?<!>\n)^void (bind_\w+)\(nb::", text, re.M)}

    assert {"bind_scan", "bind_tree"} <= areas
    assert set(re.findall(r"shoal::(bind_\w+)\(m\);", module)) == areas


def test_constraints_hold_what_builds_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pins = dict(line.lower().replace("_", "-").split("==") for line in (ROOT / "constraints.txt").read_text().split())

    for needed in map(Requirement, project["build-system"]["requires"]):
        assert needed.specifier.contains(pins[needed.name]), needed


def test_no_python_of_today_is_shut_out() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert Requirement(f"python{project['requires-python']}").specifier.contains("3.14.1")
    assert not Requirement(f"python{project['requires-python']}").specifier.contains("3.10.9")


def test_wheel_and_sdist_hold_every_file_of_the_servers_pages(tmp_path: Path) -> None:
    build = (
        "from scikit_build_core import build as b; import sys; b.build_sdist(sys.argv[1]); b.build_wheel(sys.argv[1])"
    )
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = os.environ | {"SHOAL_NATIVE": "OFF", "PATH": tools}
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, env=environ, check=True, capture_output=True)
    site = ROOT / "src/shoal/api/site"
    files = {str(path.relative_to(ROOT)) for path in site.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    (wheel,), (sdist,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")

    with ZipFile(wheel) as archive:
        packed = {f"src/{name}" for name in archive.namelist()}
    with tarfile.open(sdist) as sources:
        sent = {name.partition("/")[2] for name in sources.getnames()}

    assert len(files) > 10
    assert files <= packed and files <= sent
