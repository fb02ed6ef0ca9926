"""NPZ archives: what is read, what is left out with a word, and what is refused."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.errors import InvalidField
from shoal.files import open_source

VECTORS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def member(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def archive(path: Path, *members: tuple[str, NDArray[Any]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in members:
            file.writestr(name, member(array))
    return path


@pytest.mark.parametrize("large_first", [True, False])
def test_two_arrays_of_one_name_are_refused_before_either_is_read(large_first: bool, tmp_path: Path) -> None:
    """`numpy.load` reads one of them, while the size of the other is what was checked."""
    members = [("e", np.zeros((60, 800), np.float32)), ("e.npy", np.zeros((60, 8), np.float32))]
    path = archive(tmp_path / "x.npz", *(members if large_first else reversed(members)))

    with pytest.raises(InvalidField, match=r"x\.npz: holds two arrays named 'e'"):
        open_source(path)


def test_an_array_is_read_from_its_own_member_whatever_the_others_are_called(tmp_path: Path) -> None:
    """The array `e.npy` of the member `e.npy.npy` beside a member `e.npy`, which `numpy.load` takes for it."""
    tags = np.arange(6)
    path = archive(tmp_path / "x.npz", ("e.npy.npy", VECTORS), ("e.npy", tags))

    read = open_source(path).read()

    assert np.array_equal(read.vectors["e.npy"], VECTORS)
