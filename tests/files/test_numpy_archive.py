"""NPZ archives: what is read, what is left out with a word, and what is refused."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import orjson
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


@pytest.mark.parametrize("kind", [">f4", ">f8", np.longdouble, np.float16, ">f2"])
def test_numbers_of_any_byte_order_and_width_are_read(kind: Any, tmp_path: Path) -> None:
    vectors = (8 * VECTORS).astype(np.int32).astype(kind)
    np.savez(tmp_path / "x.npz", e=vectors, n=np.arange(6, dtype=">i8"), day=np.array(["2024-05-01"] * 6, ">M8[D]"))

    source = open_source(tmp_path / "x.npz")

    assert source.info.warnings == []
    assert np.array_equal(source.read().vectors["e"], vectors.astype(np.float32))
    assert [orjson.loads(payload) for batch in source.batches() for payload in batch.payloads] == [
        {"n": n, "day": "2024-05-01"} for n in range(6)
    ]


@pytest.mark.parametrize(
    ("unit", "written"),
    [("h", "2024-05-01T13:00:00"), ("m", "2024-05-01T13:45:00"), ("M", "2024-05-01"), ("ms", "2024-05-01T13:45:10")],
)
def test_times_of_any_unit_are_read(unit: str, written: str, tmp_path: Path) -> None:
    times = np.array(["2024-05-01T13:45:10"] * 6, "M8[s]").astype(f"M8[{unit}]")
    np.savez(tmp_path / "x.npz", e=VECTORS, time=times)

    payloads = [payload for batch in open_source(tmp_path / "x.npz").batches() for payload in batch.payloads]

    assert orjson.loads(payloads[0])["time"].startswith(written)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros(6, np.complex64), "Arrays of a type that no column has were left out: more (complex64)."),
        (np.zeros(6, [("a", "f4")]), "Arrays of a type that no column has were left out: more ([('a', '<f4')])."),
        (np.zeros(6, "m8[M]"), "Arrays of a type that no column has were left out: more (timedelta64[M])."),
        (np.zeros(5), "Arrays of another length were left out: more."),
    ],
)
def test_an_array_that_cannot_be_a_column_is_left_out_with_a_warning(
    array: NDArray[Any], says: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", e=VECTORS, more=array)

    source = open_source(tmp_path / "x.npz")

    assert source.info.warnings == [says]
    assert np.array_equal(source.read().vectors["e"], VECTORS)


def test_an_invalid_text_is_rejected_naming_its_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", e=VECTORS, note=np.array(["\ud800"] * 6))

    with pytest.raises(InvalidField, match=r"x\.npz: array 'note': "):
        list(open_source(tmp_path / "x.npz").batches())
