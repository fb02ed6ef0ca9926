"""Which version of the engine's inner loops runs: the compiled core, or its plain twins in NumPy with the same answers.

`SHOAL_KERNELS` in the environment decides: `native` insists on the core, `plain` leaves it aside, `auto` or nothing
takes the core where this installation has one. `SHOAL_INSTRUCTIONS` names the instruction set that the core uses;
nothing takes the fastest that the processor has. Both are read once in a process.
"""

import os
from functools import cache
from importlib import import_module
from types import ModuleType

from shoal.errors import InvalidField

__all__ = ["describe", "native"]

_VARIABLE = "SHOAL_KERNELS"
_INSTRUCTIONS = "SHOAL_INSTRUCTIONS"
_NAMES = ("AVX-512 VNNI", "AVX2", "NEON", "portable")
_CORE = "shoal.engine._native"


@cache
def native() -> ModuleType | None:
    """The compiled core (its functions are told in `_native.pyi`), or None where the plain twins are to run.

    Raises InvalidField where SHOAL_KERNELS asks for a core that is not there or holds another word, and where
    SHOAL_INSTRUCTIONS names no instruction set that this processor has.
    A core that is there and cannot be loaded is an ImportError: it was built for something else than this machine.
    """
    wanted = os.environ.get(_VARIABLE) or "auto"
    if wanted not in ("auto", "native", "plain"):
        raise InvalidField(_VARIABLE, "must be auto, native or plain", value=wanted)
    core = None if wanted == "plain" else _import_core()
    if core is None and wanted == "native":
        raise InvalidField(
            _VARIABLE,
            "asks for the compiled core, which this installation lacks",
            value=wanted,
            remedy="Install Shoal again with a C++20 compiler at hand, or unset the variable.",
        )
    _choose_instructions(core)
    return core


def _choose_instructions(core: ModuleType | None) -> None:
    """Raises InvalidField where SHOAL_INSTRUCTIONS names what cannot be had. Case, spaces and hyphens do not count."""
    wanted = os.environ.get(_INSTRUCTIONS)
    if not wanted:
        return
    there = _NAMES if core is None else tuple(core.available_instructions())
    name = {_normalize_name(name): name for name in there}.get(_normalize_name(wanted))
    if name is None:
        on = "" if core is None else " on this processor"
        remedy = "Unset it to take the fastest."
        raise InvalidField(_INSTRUCTIONS, f"must be one of {', '.join(there)}{on}", value=wanted, remedy=remedy)
    if core is not None:
        core.use_instructions(name)


def _normalize_name(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def describe() -> str:
    """What runs, in words: "native, avx2" with the instruction set, or "plain NumPy" with the reason."""
    core = native()
    if core is not None:
        return f"native, {core.instructions()}"
    asked = os.environ.get(_VARIABLE) == "plain"
    return f"plain NumPy ({'SHOAL_KERNELS=plain' if asked else 'no compiled core'})"


def _import_core() -> ModuleType | None:
    try:
        return import_module(_CORE)
    except ModuleNotFoundError as missing:
        if missing.name != _CORE:
            raise
        return None
