"""What `import shoal` offers, and what it costs."""

import subprocess
import sys

import pytest

import shoal

pytestmark = pytest.mark.process

WEB = {"fastapi", "starlette", "uvicorn", "prometheus_client"}
"""What the extra `server` brings."""
HEAVY = ("fastapi", "uvicorn", "httpx", "pydantic", "pyarrow", "numpy", "scipy", "sklearn", "re2", "rich")


def loaded_by(code: str) -> set[str]:
    """The heavy packages in memory after running some code in a fresh interpreter."""
    program = f"import sys\n{code}\nprint(*[name for name in {(*HEAVY, *WEB)!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_every_public_name_is_there() -> None:
    for name in shoal.__all__:
        assert getattr(shoal, name) is not None

    assert dir(shoal) == sorted(shoal.__all__)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'clusters'"):
        shoal.clusters  # noqa: B018  # the access is the test


def test_import_shoal_loads_nothing_heavy() -> None:
    assert loaded_by("import shoal") == set()


def test_the_command_line_loads_nothing_heavy_before_a_command_runs() -> None:
    assert loaded_by("import shoal.cli.main") == set()


def test_help_loads_nothing_heavy() -> None:
    code = "from shoal.cli.main import main\nsys.argv = ['shoal', '--help']\ntry: main()\nexcept SystemExit: pass\n"

    assert loaded_by(code) == set()


def test_the_engine_loads_no_web_and_no_files() -> None:
    assert loaded_by("import shoal.engine") <= {"numpy", "scipy", "sklearn"}


@pytest.mark.parametrize(
    "code",
    [
        "import shoal, numpy\nshoal.cluster(numpy.eye(40, dtype='float32').repeat(3, axis=0), algorithm='kmeans')",
        "import shoal\nshoal.Client",
        "import shoal\nshoal.KMeans, shoal.load",
        "import shoal.cli.processes.worker, shoal.cli.processes.run_child, shoal.cli.output.cluster_report",
    ],
    ids=["cluster", "Client", "estimators", "workers"],
)
def test_only_the_server_loads_what_the_extra_server_brings(code: str) -> None:
    assert loaded_by(code) & WEB == set()
