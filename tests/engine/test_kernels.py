"""Selection of the kernels."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from shoal.engine import kernels
from shoal.errors import InvalidField

CORE = "shoal.engine._native"
built = pytest.mark.skipif(find_spec(CORE) is None, reason="this installation has no compiled core")


@pytest.fixture(autouse=True)
def _read_afresh() -> Iterator[None]:
    """The choice is made once in a process; each test makes its own, and the next one finds none made."""
    kernels.native.cache_clear()
    yield
    kernels.native.cache_clear()


@pytest.fixture
def without_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an installation that was made without a compiler: importing the core finds no such module."""
    monkeypatch.setitem(sys.modules, CORE, None)


def test_the_value_plain_disables_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_KERNELS", "plain")

    assert kernels.native() is None
    assert kernels.describe() == "plain NumPy (SHOAL_KERNELS=plain)"


@built
@pytest.mark.parametrize("word", ["", "auto", "native"])
def test_the_core_is_used_if_it_is_built(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_KERNELS", word)
    core = kernels.native()

    assert isinstance(core, ModuleType)
    assert core.__name__ == CORE
    assert kernels.describe() == f"native, {core.instructions()}"
    assert core.instructions() in {"AVX2", "AVX-512 VNNI", "NEON", "portable"}


@pytest.mark.parametrize("word", ["", "auto"])
@pytest.mark.usefixtures("without_core")
def test_without_a_core_the_reference_runs(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_KERNELS", word)

    assert kernels.native() is None
    assert kernels.describe() == "plain NumPy (no compiled core)"


@pytest.mark.usefixtures("without_core")
def test_requiring_a_missing_core_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_KERNELS", "native")

    with pytest.raises(InvalidField, match=r"SHOAL_KERNELS: requires the compiled core.*C\+\+20 compiler"):
        kernels.native()


def test_an_unknown_value_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_KERNELS", "fast")

    with pytest.raises(InvalidField, match="SHOAL_KERNELS: must be auto, native or plain, got 'fast'"):
        kernels.native()


@built
@pytest.mark.parametrize("word", ["sse2", "avx", "NEON!", "AVX-512"])
def test_an_unavailable_instruction_set_is_rejected_with_the_available_ones(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOAL_KERNELS", "native")
    monkeypatch.setenv("SHOAL_INSTRUCTIONS", word)

    with pytest.raises(InvalidField, match=rf"SHOAL_INSTRUCTIONS: must be one of .*portable.*, got '{word}'"):
        kernels.native()


def test_an_unknown_instruction_set_is_rejected_without_a_core_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_KERNELS", "plain")
    monkeypatch.setenv("SHOAL_INSTRUCTIONS", "sse2")

    with pytest.raises(InvalidField, match="SHOAL_INSTRUCTIONS: must be one of AVX-512 VNNI, AVX2, NEON, portable"):
        kernels.native()


@built
def test_every_instruction_set_of_this_processor_can_be_selected_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_KERNELS", "native")
    monkeypatch.delenv("SHOAL_INSTRUCTIONS", raising=False)
    core = kernels.native()
    assert core is not None
    fastest, *others = core.available_instructions()
    assert [fastest, *others][-1] == "portable"

    try:
        for name in [*others, fastest]:
            for word in (name, name.lower().replace(" ", "-")):
                kernels.native.cache_clear()
                monkeypatch.setenv("SHOAL_INSTRUCTIONS", word)
                kernels.native()
                assert core.instructions() == name
    finally:
        core.use_instructions(fastest)


def test_a_core_that_lacks_a_library_is_an_error_and_not_a_missing_core(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "_native.py").write_text("import a_library_that_is_not_there")
    monkeypatch.delenv("SHOAL_KERNELS", raising=False)
    monkeypatch.setattr(kernels, "_CORE", "_native")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="a_library_that_is_not_there"):
        kernels.native()


@pytest.mark.process
def test_the_core_is_loaded_by_its_first_use_and_not_before() -> None:
    program = f"import sys, shoal.engine; print({CORE!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


@built
def test_the_type_stub_declares_every_name_of_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_KERNELS", "native")
    stub = ast.parse(Path(kernels.__file__).with_name("_native.pyi").read_text())
    reported = {node.name for node in stub.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    reported |= {
        str(node.target.id)
        for node in stub.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }

    assert reported == {name for name in dir(kernels.native()) if not name.startswith("_")}
