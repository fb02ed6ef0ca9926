"""Columns in every layout that Arrow has, vectors in every form that files have: all read as the same documents."""

import base64
import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.errors import InvalidField
from shoal.files import open_source
from shoal.tables import to_plain

COUNT = 6
IDS = [f"d{n}" for n in range(COUNT)]
TEXTS: list[str | None] = ["a", "b" * 40, None, "ü", "", "f"]
BLOCK = np.random.default_rng(0).normal(size=(COUNT, 8)).astype(np.float32)
LISTS = BLOCK.tolist()


def written(folder: Path, **columns: Any) -> Path:
    table, path = pa.table(columns), folder / "docs.arrow"
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    return path


def payloads(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(payload) for batch in open_source(path).batches() for payload in batch.payloads]


def refusal(path: Path, **how: Any) -> InvalidField:
    with pytest.raises(InvalidField) as refused:
        list(open_source(path, **how).batches())
    return refused.value


def runs(values: list[str | None]) -> pa.Array:
    return pa.RunEndEncodedArray.from_arrays(pa.array(range(1, len(values) + 1), pa.int32()), pa.array(values))


TEXT_LAYOUTS: dict[str, Callable[[list[str | None]], pa.Array]] = {
    "string": lambda values: pa.array(values, pa.string()),
    "large_string": lambda values: pa.array(values, pa.large_string()),
    "string_view": lambda values: pa.array(values, pa.string_view()),
    "dictionary": lambda values: pa.array(values).dictionary_encode(),
    "dictionary of views": lambda values: pa.DictionaryArray.from_arrays(
        pa.array([None if v is None else n for n, v in enumerate(values)], pa.int16()),
        pa.array([v or "" for v in values], pa.large_string()),
    ),
    "run ends": runs,
}


@pytest.mark.parametrize("layout", TEXT_LAYOUTS)
def test_text_in_any_layout_is_text(layout: str, tmp_path: Path) -> None:
    make = TEXT_LAYOUTS[layout]
    nested = pa.StructArray.from_arrays([make(TEXTS)], ["inner"])
    path = written(tmp_path, id=make(list(IDS)), text=make(TEXTS), nested=nested, embedding=LISTS)

    read = open_source(path).read()

    assert read.ids == IDS
    assert np.array_equal(read.vectors["embedding"], BLOCK)
    assert payloads(path) == [{"text": text, "nested": {"inner": text}} for text in TEXTS]


def backwards(lists: list[list[float]]) -> pa.Array:
    """Views into numbers that lie in the other order."""
    size = len(lists[0])
    starts = pa.array([size * (len(lists) - 1 - n) for n in range(len(lists))], pa.int32())
    numbers = pa.array([value for row in reversed(lists) for value in row], pa.float32())
    return pa.ListViewArray.from_arrays(starts, pa.array([size] * len(lists), pa.int32()), numbers)


VECTOR_FORMS: dict[str, Callable[[list[list[float]]], pa.Array]] = {
    "list": lambda lists: pa.array(lists, pa.list_(pa.float32())),
    "large_list": lambda lists: pa.array(lists, pa.large_list(pa.float64())),
    "fixed_size_list": lambda lists: pa.array(lists, pa.list_(pa.float32(), 8)),
    "list_view": lambda lists: pa.array(lists, pa.list_view(pa.float32())),
    "list_view in another order": backwards,
    "tensor": lambda lists: pa.FixedShapeTensorArray.from_numpy_ndarray(np.array(lists, np.float32)),
    "decimals": lambda lists: pa.array(
        [[Decimal(repr(value)) for value in row] for row in lists], pa.list_(pa.decimal128(38, 20))
    ),
    "struct of numbers": lambda lists: pa.array([{f"x{n}": v for n, v in enumerate(row)} for row in lists]),
    "struct of Spark": lambda lists: pa.array(
        [{"type": 1, "size": None, "indices": None, "values": row} for row in lists],
        pa.struct(
            [
                ("type", pa.int8()),
                ("size", pa.int32()),
                ("indices", pa.list_(pa.int32())),
                ("values", pa.list_(pa.float64())),
            ]
        ),
    ),
    "JSON": lambda lists: pa.array([json.dumps(row) for row in lists]),
    "JSON as a view": lambda lists: pa.array([json.dumps(row) for row in lists], pa.string_view()),
    "printed by NumPy": lambda lists: pa.array([str(np.array(row)) for row in lists]),
    "repr of NumPy": lambda lists: pa.array([repr(np.array(row, np.float32)) for row in lists]),
    "PostgreSQL": lambda lists: pa.array(["{" + ",".join(map(str, row)) + "}" for row in lists]),
    "spaces": lambda lists: pa.array([" ".join(map(str, row)) for row in lists]),
    "float32 bytes": lambda lists: pa.array([np.array(row, "<f4").tobytes() for row in lists], pa.binary()),
    "float64 bytes": lambda lists: pa.array([np.array(row, "<f8").tobytes() for row in lists], pa.binary_view()),
    "fixed bytes": lambda lists: pa.array([np.array(row, "<f4").tobytes() for row in lists], pa.binary(32)),
    "base64": lambda lists: pa.array([base64.b64encode(np.array(row, "<f4").tobytes()).decode() for row in lists]),
}


@pytest.mark.parametrize("form", VECTOR_FORMS)
@pytest.mark.parametrize("vector_columns", [None, ["embedding"]], ids=["inferred", "named"])
def test_vectors_in_any_form_are_read(form: str, vector_columns: list[str] | None, tmp_path: Path) -> None:
    path = written(tmp_path, id=IDS, kind=["a"] * COUNT, embedding=VECTOR_FORMS[form](LISTS))

    read = open_source(path, vector_columns=vector_columns).read()

    assert np.allclose(read.vectors["embedding"], BLOCK, rtol=1e-6)
    assert list(read.documents.read()) == [{"kind": "a"}] * COUNT


@pytest.mark.parametrize("form", [name for name in VECTOR_FORMS if "view" not in name and "64 bytes" not in name])
def test_rows_without_a_vector_are_known_in_any_form(form: str, tmp_path: Path) -> None:
    whole = VECTOR_FORMS[form](LISTS)
    gaps = pa.array([n if n % 2 else None for n in range(COUNT)], pa.int64())
    column = whole.take(gaps)
    (batch,) = open_source(written(tmp_path, id=IDS, embedding=column), vector_columns=["embedding"]).batches()

    assert batch.vectors["embedding"].rows.tolist() == [1, 3, 5]
    assert np.allclose(batch.vectors["embedding"].values, BLOCK[1::2], rtol=1e-6)


@pytest.mark.parametrize("form", ["list", "JSON", "printed by NumPy", "float32 bytes", "base64", "spaces"])
def test_one_vector_of_another_length_is_named_with_both_lengths(form: str, tmp_path: Path) -> None:
    for row, length in ((0, 9), (4, 9), (5, 7)):
        lists = [list(item) for item in LISTS]
        lists[row] = [0.5] * length
        path = written(tmp_path, id=IDS, embedding=VECTOR_FORMS[form](lists))
        for columns in (None, ["embedding"]):
            error = refusal(path, vector_columns=columns)
            assert error.field == f"docs.arrow: row {row}, column 'embedding'"
            assert error.problem == f"has {length} numbers where the others have 8"


@pytest.mark.parametrize("vector_columns", [None, ["embedding"]], ids=["inferred", "named"])
@pytest.mark.parametrize("form", [list, json.dumps, lambda row: str(np.array(row))], ids=["lists", "JSON", "printed"])
def test_json_lines_hold_vectors_in_the_same_forms(
    form: Callable[[list[float]], Any], vector_columns: Any, tmp_path: Path
) -> None:
    path = tmp_path / "docs.jsonl"
    lines = [{"id": id, "embedding": form(row)} for id, row in zip(IDS, LISTS, strict=True)]
    path.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    assert np.allclose(open_source(path, vector_columns=vector_columns).read().vectors["embedding"], BLOCK, rtol=1e-6)

    lines[4]["embedding"] = form([0.5] * 9)
    path.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    error = refusal(path, vector_columns=vector_columns)
    assert error.field == "docs.jsonl: row 4 (line 5), column 'embedding'"
    assert error.problem.startswith("has 9 numbers where") and error.problem.endswith("8")


def test_an_empty_vector_is_named(tmp_path: Path) -> None:
    lists = [*LISTS[:3], [], *LISTS[4:]]
    error = refusal(written(tmp_path, id=IDS, embedding=pa.array(lists, pa.list_(pa.float32()))))

    assert error.message.startswith("docs.arrow: row 3, column 'embedding': has 0 numbers where the others have 8")


def test_vectors_abbreviated_by_numpy_are_rejected(tmp_path: Path) -> None:
    texts = [str(np.arange(2000) / 7) for _ in IDS]
    error = refusal(written(tmp_path, id=IDS, embedding=texts), vector_columns=["embedding"])

    assert "row 0" in error.field and "'...'" in error.problem


@pytest.mark.parametrize(
    "column",
    [
        pa.array([f"{n},{n + 5}" for n in range(COUNT)]),
        pa.array([f"({n}.5, 13.4)" for n in range(COUNT)]),
        pa.array([{"lat": 1.5 * n, "lon": 2.5} for n in range(COUNT)]),
        pa.array([uuid.uuid5(uuid.NAMESPACE_DNS, str(n)).bytes for n in range(COUNT)], pa.binary(16)),
        pa.array([uuid.uuid5(uuid.NAMESPACE_DNS, str(n)).hex for n in range(COUNT)]),
        pa.array([f"password{n}" for n in range(COUNT)]),
        pa.array(["2024-01-01"] * COUNT),
    ],
    ids=["amounts", "tuples", "struct", "hashes", "hexadecimal", "words", "dates"],
)
def test_values_that_only_resemble_vectors_stay_attributes(column: pa.Array, tmp_path: Path) -> None:
    source = open_source(written(tmp_path, id=IDS, thing=column), needs_vectors=False)

    assert source.info.vectors == {}
    assert all("thing" in orjson.loads(payload) for batch in source.batches() for payload in batch.payloads)


# ── a column for each dimension ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("names", ["emb_{}", "emb.{}", "emb{}", "{}"])
@pytest.mark.parametrize("first", [0, 1])
def test_a_column_for_each_dimension_is_one_vector(names: str, first: int, tmp_path: Path) -> None:
    columns = {names.format(first + n): BLOCK[:, n] for n in reversed(range(8))}
    source = open_source(written(tmp_path, id=IDS, text=TEXTS, **columns))
    name = "vector" if names == "{}" else "emb"

    read = source.read()

    assert source.info.vectors == {name: 8}
    assert np.array_equal(read.vectors[name], BLOCK)
    assert list(read.documents.read()) == [{"text": text} for text in TEXTS]
    assert any("were read as one vector" in warning for warning in source.info.warnings)


def test_columns_for_dimensions_can_be_named_by_what_they_begin_with(tmp_path: Path) -> None:
    columns = {f"emb_{n}": BLOCK[:, n] for n in range(8)} | {f"other_{n}": BLOCK[:, n] * 2 for n in range(8)}
    path = written(tmp_path, id=IDS, **columns)

    assert np.array_equal(open_source(path, vector_columns=["other"]).read().vectors["other"], BLOCK * 2)


def test_a_few_numbered_columns_stay_attributes_where_no_vector_is_needed(tmp_path: Path) -> None:
    columns = {f"q{n}": BLOCK[:, n] for n in range(1, 5)}
    source = open_source(written(tmp_path, id=IDS, **columns), needs_vectors=False)

    assert source.info.vectors == {}
    assert set(orjson.loads(next(source.batches()).payloads[0])) == set(columns)


def test_a_gap_in_a_dimension_is_named(tmp_path: Path) -> None:
    columns: dict[str, Any] = {f"emb_{n}": BLOCK[:, n] for n in range(8)}
    columns["emb_5"] = pa.array([0.5, None, 0.5, 0.5, 0.5, 0.5])
    error = refusal(written(tmp_path, id=IDS, **columns))

    assert error.message.startswith("docs.arrow: row 1, column 'emb'[5]: is missing")


# ── ids ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

UUIDS = [uuid.UUID(int=n) for n in range(COUNT)]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.ExtensionArray.from_storage(pa.uuid(), pa.array([u.bytes for u in UUIDS], pa.binary(16))), map(str, UUIDS)),
        (pa.array([u.bytes for u in UUIDS], pa.binary(16)), map(str, UUIDS)),
        (pa.array([float(n) for n in range(COUNT)]), map(str, range(COUNT))),
        (pa.array([float(n) for n in range(COUNT)], pa.float16()), map(str, range(COUNT))),
        (pa.array([Decimal(n) for n in range(COUNT)], pa.decimal128(20, 0)), map(str, range(COUNT))),
        (pa.array(range(COUNT), pa.uint8()), map(str, range(COUNT))),
        (pa.array([2**64 - 1 - n for n in range(COUNT)], pa.uint64()), [str(2**64 - 1 - n) for n in range(COUNT)]),
        (pa.array([id.encode() for id in IDS], pa.binary_view()), IDS),
        (pa.array(IDS).dictionary_encode(), IDS),
        (runs(list(IDS)), IDS),
    ],
    ids=["uuid", "16 bytes", "float64", "float16", "decimal", "uint8", "uint64", "bytes", "dictionary", "run ends"],
)
def test_ids_of_any_type_are_text(column: pa.Array, expected: Any, tmp_path: Path) -> None:
    assert open_source(written(tmp_path, id=column, embedding=LISTS)).read().ids == list(expected)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([0.0, 1.0, float("nan"), 3.0, 4.0, 5.0], "has no id"),
        ([0.0, 1.0, None, 3.0, 4.0, 5.0], "has no id"),
        ([0.0, 1.0, 2.5, 3.0, 4.0, 5.0], "is not a whole number"),
        ([0.0, 1.0, 1e17, 3.0, 4.0, 5.0], "is too large for a float to be exact"),
        ([b"a", b"b", b"\xff\xfe", b"d", b"e", b"f"], "is bytes that are no text"),
    ],
)
def test_a_bad_id_is_named(values: list[Any], says: str, tmp_path: Path) -> None:
    error = refusal(written(tmp_path, id=pa.array(values), embedding=LISTS))

    assert error.field == "docs.arrow: row 2, column 'id'"
    assert error.problem == says


@pytest.mark.process
def test_ids_of_foreign_parquet_uuids_are_text(tmp_path: Path) -> None:
    column = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([u.bytes for u in UUIDS], pa.binary(16)))
    pq.write_table(pa.table({"id": column, "embedding": LISTS}), tmp_path / "d.parquet", store_schema=False)

    assert open_source(tmp_path / "d.parquet").read().ids == list(map(str, UUIDS))


# ── attributes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_maps_are_objects_and_json_is_read(tmp_path: Path) -> None:
    attributes = {
        "map": pa.array([[("k", n), ("l", None)] for n in range(COUNT)], pa.map_(pa.string(), pa.int64())),
        "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array([f'{{"deep": [{n}]}}' for n in range(COUNT)])),
        "flag": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1] * COUNT, pa.int8())),
        "key": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([u.bytes for u in UUIDS], pa.binary(16))),
    }
    assert payloads(written(tmp_path, id=IDS, embedding=LISTS, **attributes)) == [
        {"map": {"k": n, "l": None}, "json": {"deep": [n]}, "flag": True, "key": str(UUIDS[n])} for n in range(COUNT)
    ]


def moments(values: list[int], kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (pa.array([0.0, 1.0, 2.0, float("inf"), 4.0, 5.0]), "is infinite"),
        (pa.array([0.0, 1.0, 2.0, float("-inf"), 4.0, 5.0], pa.float16()), "is infinite"),
        (pa.array([[0.0], [1.0], [], [5, float("inf")], None, [5.0]]), "is infinite"),
        (pa.array([{"x": float("inf") if n == 3 else 1.0} for n in range(COUNT)]), "is infinite"),
        (moments([0, 1, 2, 2**62, 4, 5], pa.timestamp("s")), "is not a date of the years 1 to 9999"),
        (moments([0, 1, 2, 253_402_300_800_000, 4, 5], pa.timestamp("ms", "UTC")), "is not a date"),
        (moments([0, 1, 2, -62_135_596_801, 4, 5], pa.timestamp("s")), "is not a date"),
        (moments([0, 1, 2, 2_932_897, 4, 5], pa.date32()), "is not a date"),
        (moments([0, 0, 0, 86_400_000 * 10**8, 0, 0], pa.date64()), "is not a date"),
        (moments([0, 1, 2, 86_400, 4, 5], pa.time32("s")), "is not a time of day"),
        (moments([0, 1, 2, -1, 4, 5], pa.time64("us")), "is not a time of day"),
        (
            pa.array([[("k", 1)], [], [], [("k", 1), ("k", 2)], [], []], pa.map_(pa.string(), pa.int8())),
            "same key twice",
        ),
    ],
)
def test_values_without_a_json_representation_are_rejected_by_row_and_column(
    column: pa.Array, says: str, tmp_path: Path
) -> None:
    path = written(tmp_path, id=IDS, thing=column, embedding=LISTS)
    error = refusal(path, vector_columns=["embedding"])

    assert error.field == "docs.arrow: row 3, column 'thing'"
    assert says in error.problem


TWO_KEYS = pa.StructArray.from_arrays([pa.array(range(COUNT)), pa.array(["x"] * COUNT)], ["same", "same"])


@pytest.mark.parametrize(
    "column",
    [TWO_KEYS, pa.ListArray.from_arrays(pa.array(range(COUNT + 1), pa.int32()), TWO_KEYS)],
    ids=["struct", "list of structs"],
)
def test_two_fields_of_a_struct_with_one_name_are_refused_by_column(column: pa.Array, tmp_path: Path) -> None:
    source = open_source(written(tmp_path, id=IDS, thing=column, embedding=LISTS), vector_columns=["embedding"])

    for read in (source.read, lambda: list(source.batches())):
        with pytest.raises(InvalidField, match="two fields called 'same' in one struct") as caught:
            read()
        assert caught.value.field == "docs.arrow: row 0, column 'thing'"


def test_lists_of_a_fixed_size_of_none_are_empty(tmp_path: Path) -> None:
    nothing = pa.array([[], None, *[[]] * (COUNT - 2)], pa.list_(pa.float32(), 0))
    source = open_source(written(tmp_path, id=IDS, thing=nothing, embedding=LISTS), vector_columns=["embedding"])

    things = [document["thing"] for document in source.read().documents.read()]
    assert things == [[], None, *[[]] * (COUNT - 2)]


def test_the_ends_of_time_are_kept(tmp_path: Path) -> None:
    columns = {
        "first": moments([-62_135_596_800] * COUNT, pa.timestamp("s")),
        "last": moments([253_402_300_799_999_999] * COUNT, pa.timestamp("us", "Europe/Berlin")),
        "day": moments([2_932_896] * COUNT, pa.date32()),
        "clock": moments([86_399_999_999_999] * COUNT, pa.time64("ns")),
        "span": moments([1_500_000_000] * COUNT, pa.duration("ns")),
        "none": pa.array([None] * COUNT, pa.timestamp("ns")),
    }
    assert payloads(written(tmp_path, id=IDS, embedding=LISTS, **columns))[0] == {
        "first": "0001-01-01T00:00:00",
        "last": "9999-12-31T23:59:59.999999Z",
        "day": "9999-12-31",
        "clock": "23:59:59.999999999",
        "span": 1.5,
        "none": None,
    }


@pytest.mark.process
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_invalid_utf8_is_reported_with_the_remedy(kind: str, tmp_path: Path) -> None:
    raw = pa.array([b"caf\xc3\xa9", b"x", b"y", b"z", b"caf\xe9", b"v"], pa.binary())
    table = pa.table({"id": IDS, "note": raw.view(pa.string()), "embedding": LISTS})
    path = tmp_path / f"docs.{kind}"
    if kind == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    error = refusal(path)

    assert error.field == f"docs.{kind}: row 4, column 'note'"
    assert "is not UTF-8 text" in error.message
    assert "Write the column again as text in UTF-8" in error.message


# ── the layouts themselves ───────────────────────────────────────────────────────────────────────────────────────────


def test_plain_columns_of_slices_hold_what_the_slices_hold() -> None:
    columns = [
        *(make(TEXTS) for make in TEXT_LAYOUTS.values()),
        *(make(LISTS) for make in VECTOR_FORMS.values()),
        pa.array([["x", None], None, [], ["y"], None, ["z"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        pa.array([[("k", "v")], None, [], [("l", None)], None, []], pa.map_(pa.string_view(), pa.string_view())),
        pa.array([None, {"a": None}, {"a": "x"}, None, {"a": "y"}, {"a": "z"}], pa.struct([("a", pa.string_view())])),
    ]
    for column in columns:
        for start, length in ((0, 6), (1, 4), (5, 1), (3, 0)):
            piece = column.slice(start, length)
            result = to_plain(piece)
            result.validate(full=True)
            assert result.to_pylist() == piece.to_pylist()
