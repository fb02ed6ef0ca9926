"""Vector segments: names, appending, truncation, memory mapping."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.columns import Points
from shoal.errors import Corrupt
from shoal.storage.sqlite.documents.vectors import SegmentKey, VectorSegments, safe_name

KEY = SegmentKey("col_1@run_2", "text/../é", 1)


def rows(start: int, count: int, dimension: int = 3) -> Points:
    values = np.arange(start * dimension, (start + count) * dimension, dtype=np.float32)
    return values.reshape(count, dimension)


def store(segments: VectorSegments, slots: int, values: Points) -> int:
    appender = segments.append(KEY, values.shape[1], slots)
    first = appender.append(values)
    appender.sync()
    appender.close()
    return first


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), min_size=2, max_size=2, unique=True))
def test_different_texts_get_different_file_names(texts: list[str]) -> None:
    one, two = (safe_name(text) for text in texts)

    assert one.casefold() != two.casefold()
    assert all(0 < len(name) <= 120 and name.isascii() for name in (one, two))
    assert not set("/\\.:\0 ") & set(one + two)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "A", "a", "col_1@run_2", "x" * 5000])
def test_a_name_is_a_single_path_component(name: str, tmp_path: Path) -> None:
    assert (tmp_path / safe_name(name)).resolve().parent == tmp_path.resolve()


def test_rows_are_read_back_from_their_slots(tmp_path: Path) -> None:
    segments = VectorSegments(tmp_path)

    assert store(segments, 0, rows(0, 4)) == 0
    assert store(segments, 4, rows(4, 2)) == 4

    mapped = segments.map(KEY, 3, 6)
    assert np.array_equal(mapped, rows(0, 6))
    assert isinstance(mapped, np.memmap) and not mapped.flags.writeable
    assert mapped.dtype == np.float32 and mapped.flags.c_contiguous


def test_rows_of_an_unfinished_writer_are_truncated_by_the_next(tmp_path: Path) -> None:
    segments = VectorSegments(tmp_path)
    store(segments, 0, rows(0, 4))
    store(segments, 4, rows(90, 5))  # not committed: the caller continues with 4 slots
    with segments.path(KEY).open("ab") as file:
        file.write(b"torn")
    held = segments.map(KEY, 3, 4)

    assert store(segments, 4, rows(4, 1)) == 4

    assert segments.path(KEY).stat().st_size == 5 * 3 * 4
    assert np.array_equal(segments.map(KEY, 3, 5), rows(0, 5))
    assert np.array_equal(held, rows(0, 4))


def test_a_file_shorter_than_its_committed_rows_is_corrupt(tmp_path: Path) -> None:
    segments = VectorSegments(tmp_path)
    store(segments, 0, rows(0, 4))
    os.truncate(segments.path(KEY), 20)

    with pytest.raises(Corrupt):
        segments.map(KEY, 3, 4)
    with pytest.raises(Corrupt):
        segments.append(KEY, 3, 4)


def test_columns_in_another_memory_order_are_stored_row_by_row(tmp_path: Path) -> None:
    segments = VectorSegments(tmp_path)

    store(segments, 0, np.asfortranarray(rows(0, 5)))

    assert np.array_equal(segments.map(KEY, 3, 5), rows(0, 5))


def test_zero_rows_can_be_appended_and_mapped(tmp_path: Path) -> None:
    segments = VectorSegments(tmp_path)

    assert store(segments, 0, rows(0, 0)) == 0
    assert segments.map(KEY, 3, 0).shape == (0, 3)


def test_a_segment_holds_at_least_one_row() -> None:
    assert VectorSegments(Path(), 1 << 30).rows_per_segment(384) == (1 << 30) // (384 * 4)
    assert VectorSegments(Path(), 10).rows_per_segment(384) == 1


def test_a_removed_segment_stays_readable_while_it_is_open(tmp_path: Path) -> None:
    segments = VectorSegments(tmp_path)
    store(segments, 0, rows(0, 4))
    held = segments.map(KEY, 3, 4)

    segments.remove(KEY)
    segments.remove(KEY)

    assert np.array_equal(held, rows(0, 4))
    with pytest.raises(FileNotFoundError):
        segments.map(KEY, 3, 4)


def test_sweeping_removes_unreferenced_segments(tmp_path: Path) -> None:
    segments = VectorSegments(tmp_path)
    store(segments, 0, rows(0, 4))
    stray = segments.path(SegmentKey("col_9", "text", 7))
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"1234")

    assert segments.sweep([KEY]) == 4

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [segments.path(KEY)]
    assert not stray.parent.parent.exists()
