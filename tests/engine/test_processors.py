"""Results do not depend on the instructions of the processor."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.elementary import exp, log
from shoal.engine import kernels

PROGRAM = Path(__file__).parent / "every_algorithm.py"
OLDER = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V4"
OLDEST = f"{OLDER} AVX2 FMA3 X86_V3"
PROCESSORS: dict[str, tuple[str, str, str]] = {
    "this one": ("", "", ""),
    "without AVX-512": (OLDER, "Haswell", "avx2"),
    "another maker's": (OLDEST, "Zen", ""),
    "an old one": (OLDEST, "Nehalem", "portable"),
}
"""The features that NumPy does without, the kernels of BLAS, and the instructions of the core."""


def told_on(without: str, blas: str, core: str) -> dict[str, Any]:
    known = np._core._multiarray_umath.__cpu_dispatch__  # type: ignore[attr-defined]
    given = {
        "NPY_DISABLE_CPU_FEATURES": " ".join(name for name in without.split() if name in known),
        "OPENBLAS_CORETYPE": blas,
        "SHOAL_INSTRUCTIONS": core,
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAM)],
        env={**os.environ, **{name: value for name, value in given.items() if value}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.process
@pytest.mark.skipif(kernels.native() is None, reason="the instruction sets are those of the compiled core")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the instruction sets are those of x86")
def test_labels_maps_and_names_are_the_same_on_every_processor() -> None:
    """NumPy, BLAS and the core each take other instructions, as on four kinds of processors."""
    reported = {name: told_on(*settings) for name, settings in PROCESSORS.items()}

    expected = reported.pop("this one")
    assert len(expected) > 20 and all(one["clusters"] for one in expected.values())
    for name, answer in reported.items():
        assert answer == expected, name


@given(st.floats(-740, 709))
def test_exponentials_are_accurate_to_the_last_bits(value: float) -> None:
    assert float(exp(value)) == pytest.approx(float(np.exp(value)), rel=6e-16, abs=5e-324)


@given(st.floats(1e-300, 1e300))
def test_logarithms_are_accurate_to_the_last_bits(value: float) -> None:
    assert float(log(value)) == pytest.approx(float(np.log(value)), rel=6e-16, abs=1e-18)


def test_exp_and_log_handle_their_limits() -> None:
    assert exp([-np.inf, -800.0, 0.0, 800.0, np.inf]).tolist() == [0.0, 0.0, 1.0, np.inf, np.inf]
    assert log([0.0, 1.0, np.inf]).tolist() == [-np.inf, 0.0, np.inf]
    assert np.isnan(exp(np.nan)) and np.isnan(log(-1.0)) and np.isnan(log(np.nan))
