"""Cluster ids as text: every path has one id, and nothing else is read as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.records.clusters.ids import (
    NOISE_ID,
    SERIES,
    format_cluster_id,
    format_layer_id,
    format_number,
    id_in_partition,
    is_cluster_id,
    is_layer_id,
    parse_cluster_id,
    parse_layer_id,
    top_number,
)

paths = st.lists(st.integers(0, 10**9), max_size=4).map(tuple)


@given(paths)
def test_an_id_is_read_back_as_the_path_it_was_written_from(path: tuple[int, ...]) -> None:
    assert parse_cluster_id(format_cluster_id(path)) == path
    assert is_cluster_id(format_cluster_id(path)) == bool(path)


@pytest.mark.parametrize("series", SERIES)
@given(st.integers(0, 10**9))
def test_an_id_of_a_layer_is_read_back(series: str, number: int) -> None:
    id = format_layer_id("broad" if series == "broad" else "fine", number)

    assert parse_layer_id(id) == (series, number)
    assert is_layer_id(id) and not is_cluster_id(id)


def test_ids_look_as_the_contract_says() -> None:
    assert [format_cluster_id(path) for path in ((3,), (3, 0), (3, 0, 12))] == [
        "cl_3",
        "cl_3_sub_0",
        "cl_3_sub_0_sub_12",
    ]
    assert (NOISE_ID, format_layer_id("broad", 2), format_number((3, 0))) == ("cl_noise", "broad_2", "3.0")
    assert id_in_partition("cl_0", "even") == "even:cl_0"
    assert id_in_partition("cl_0", None) == "cl_0"


@pytest.mark.parametrize("text", [NOISE_ID, "cl_", "cl_1_sub_", "cl_-1", "cl_1_2", "broad_0", "xcl_1", "cl_1 ", "cl_٣"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not the id of a cluster"):
        parse_cluster_id(text)
    assert top_number(text) is None


def test_only_clusters_outside_groups_have_a_top_number() -> None:
    assert (top_number("cl_3"), top_number("cl_3_sub_0")) == (3, None)
