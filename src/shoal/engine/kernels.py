"""Selects the implementation of the engine's inner loops: the compiled core, or the NumPy reference with equal results.

The environment variable `SHOAL_KERNELS` decides: `native` requires the core, `plain` selects the reference, `auto` (the
default) uses the core where it is installed. `SHOAL_INSTRUCTIONS` names the instruction set of the core; by default the
fastest one that the processor supports. Both are read once per process.
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
    """The compiled core (its functions are described in `_native.pyi`), or None to use the NumPy reference.

    Raises InvalidField where SHOAL_KERNELS requires a core that is not installed or has an unknown value, and where
    SHOAL_INSTRUCTIONS names an instruction set that this processor lacks. A core that is installed but fails to load
    raises ImportError: it was built for another machine.
    """
    requested = os.environ.get(_VARIABLE) or "auto"
    if requested not in ("auto", "native", "plain"):
        raise InvalidField(_VARIABLE, "must be auto, native or plain", value=requested)
    core = None if requested == "plain" else _import_core()
    if core is None and requested == "native":
        raise InvalidField(
            _VARIABLE,
            "requires the compiled core, which is not installed",
            value=requested,
            remedy="Reinstall Shoal with a C++20 compiler available, or unset the variable.",
        )
    _choose_instructions(core)
    return core


def _choose_instructions(core: ModuleType | None) -> None:
    """Apply SHOAL_INSTRUCTIONS, ignoring case, spaces and hyphens. Raises InvalidField if it is not available."""
    requested = os.environ.get(_INSTRUCTIONS)
    if not requested:
        return
    available = _NAMES if core is None else tuple(core.available_instructions())
    name = {_normalize_name(name): name for name in available}.get(_normalize_name(requested))
    if name is None:
        scope = "" if core is None else " on this processor"
        remedy = "Unset it to take the fastest."
        raise InvalidField(
            _INSTRUCTIONS, f"must be one of {', '.join(available)}{scope}", value=requested, remedy=remedy
        )
    if core is not None:
        core.use_instructions(name)


def _normalize_name(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def describe() -> str:
    """The selected implementation in words: "native, avx2" with the instruction set, or "plain NumPy" with the
    reason."""
    core = native()
    if core is not None:
        return f"native, {core.instructions()}"
    is_plain = os.environ.get(_VARIABLE) == "plain"
    return f"plain NumPy ({'SHOAL_KERNELS=plain' if is_plain else 'no compiled core'})"


def _import_core() -> ModuleType | None:
    try:
        return import_module(_CORE)
    except ModuleNotFoundError as missing:
        if missing.name != _CORE:
            raise
        return None
