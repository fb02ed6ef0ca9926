"""Every kind of file gives the same documents back."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.errors import InvalidField, TooLarge
from shoal.files import open_source
from shoal.files.bounds import Bounds
from shoal.files.ids.likely import DistinctColumns
from shoal.records.documents.document import own_fields

pytestmark = pytest.mark.process

FLOAT = pa.float32()
IDS = ["b", "a", "é ✓"]
TITLES = ["first", "second, with a comma", 'third\nwith "lines"']
PRICES = [1.5, 2.0, -3.25]
VECTORS = np.array([[1, 0, 0.5], [0.25, -2, 0], [1e-3, 7, 8]], np.float32)


def table(kind: pa.DataType = FLOAT, *, fixed: bool = True) -> pa.Table:
    listed = pa.list_(kind, 3) if fixed else pa.list_(kind)
    vectors = pa.array([[np.dtype(kind.to_pandas_dtype()).type(x) for x in row] for row in VECTORS], listed)
    return pa.table({"id": IDS, "title": TITLES, "price": PRICES, "embedding": vectors})


def parquet(path: Path) -> Path:
    pq.write_table(table(), path / "docs.parquet", row_group_size=2)
    return path / "docs.parquet"


def parquet_of_lists(path: Path) -> Path:
    pq.write_table(table(pa.float64(), fixed=False), path / "docs.pq")
    return path / "docs.pq"


def arrow_stream(path: Path) -> Path:
    with pa.OSFile(str(path / "docs.arrows"), "wb") as sink, pa.ipc.new_stream(sink, table().schema) as writer:
        writer.write_table(table(), max_chunksize=2)
    return path / "docs.arrows"


def arrow_file(path: Path) -> Path:
    with pa.OSFile(str(path / "docs.feather"), "wb") as sink, pa.ipc.new_file(sink, table().schema) as writer:
        writer.write_table(table())
    return path / "docs.feather"


def csv(path: Path) -> Path:
    lines = ["id,title,price,embedding"]
    for id, title, price, vector in zip(IDS, TITLES, PRICES, VECTORS.tolist(), strict=True):
        quoted = title.replace('"', '""')
        lines.append(f'{id},"{quoted}",{price},"{vector}"')
    (path / "docs.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path / "docs.csv"


def json_lines(path: Path) -> Path:
    rows = zip(IDS, TITLES, PRICES, VECTORS.tolist(), strict=True)
    lines = [orjson.dumps({"id": i, "title": t, "price": p, "embedding": v}) for i, t, p, v in rows]
    (path / "docs.jsonl").write_bytes(b"\n\n".join(lines))
    return path / "docs.jsonl"


def json_documents(path: Path) -> Path:
    rows = zip(IDS, TITLES, PRICES, VECTORS.tolist(), strict=True)
    lines = [
        orjson.dumps({"document_id": i, "payload": {"title": t, "price": p}, "vectors": {"embedding": v}})
        for i, t, p, v in rows
    ]
    (path / "docs.ndjson").write_bytes(b"\n".join(lines))
    return path / "docs.ndjson"


def array_with_sidecar(path: Path) -> Path:
    np.save(path / "docs.npy", VECTORS)
    pq.write_table(table().drop_columns(["embedding"]), path / "docs.parquet")
    return path / "docs.npy"


def array_with_lines(path: Path) -> Path:
    np.save(path / "docs.npy", VECTORS.astype(np.float64))
    rows = zip(IDS, TITLES, PRICES, strict=True)
    lines = [orjson.dumps({"id": i, "title": t, "price": p}) for i, t, p in rows]
    (path / "docs.jsonl").write_bytes(b"\n".join(lines))
    return path / "docs.npy"


KINDS = [
    parquet, parquet_of_lists, arrow_stream, arrow_file, csv, json_lines, json_documents, array_with_sidecar,
    array_with_lines,
]  # fmt: skip
each_kind = pytest.mark.parametrize("write", KINDS, ids=lambda write: write.__name__)


@each_kind
@pytest.mark.parametrize("size", [1, 2, 100])
def test_batches_hold_ids_payloads_and_vectors(write: Callable[[Path], Path], size: int, tmp_path: Path) -> None:
    batches = list(open_source(write(tmp_path)).batches(size))

    assert all(0 < len(batch) <= size for batch in batches)
    assert [id for batch in batches for id in batch.ids] == IDS
    payloads = [orjson.loads(payload) for batch in batches for payload in batch.payloads]
    assert [payload["title"] for payload in payloads] == TITLES
    assert [payload["price"] for payload in payloads] == PRICES
    assert all("embedding" not in payload and "id" not in payload for payload in payloads)
    blocks = [batch.vectors["embedding"] for batch in batches]
    assert np.array_equal(np.concatenate([block.values for block in blocks]), VECTORS)
    assert all(block.values.dtype == np.float32 and block.values.flags.c_contiguous for block in blocks)
    assert all(block.rows.tolist() == list(range(len(batch))) for block, batch in zip(blocks, batches, strict=True))


@each_kind
def test_a_whole_read_is_aligned(write: Callable[[Path], Path], tmp_path: Path) -> None:
    source = open_source(write(tmp_path))
    whole = source.read()

    assert source.info.vectors == {"embedding": 3}
    assert whole.ids == IDS
    assert np.array_equal(whole.vectors["embedding"], VECTORS)
    assert [own_fields(item) for item in whole.documents.read()] == [
        {"title": title, "price": price} for title, price in zip(TITLES, PRICES, strict=True)
    ]
    assert whole.missing == 0


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()], ids=str)
def test_floats_of_any_width_become_float32(kind: pa.DataType, tmp_path: Path) -> None:
    pq.write_table(table(kind), tmp_path / "docs.parquet")

    block = open_source(tmp_path / "docs.parquet").read().vectors["embedding"]

    expected = VECTORS.astype(np.float16).astype(np.float32) if kind == pa.float16() else VECTORS
    assert block.dtype == np.float32 and np.array_equal(block, expected)


@pytest.mark.parametrize("fixed", [True, False])
def test_a_null_vector_is_a_document_without_one(fixed: bool, tmp_path: Path) -> None:
    listed = pa.list_(pa.float32(), 2) if fixed else pa.list_(pa.float32())
    holed = pa.table({"id": ["a", "b", "c"], "embedding": pa.array([[1, 2], None, [3, 4]], listed)})
    pq.write_table(holed, tmp_path / "docs.parquet")

    source = open_source(tmp_path / "docs.parquet")
    (batch,) = source.batches()
    whole = source.read()

    assert list(batch.ids) == ["a", "b", "c"]
    assert batch.vectors["embedding"].rows.tolist() == [0, 2]
    assert batch.vectors["embedding"].values.tolist() == [[1, 2], [3, 4]]
    assert whole.ids == ["a", "c"] and whole.missing == 1
    assert whole.vectors["embedding"].tolist() == [[1, 2], [3, 4]]


def test_a_slice_of_a_larger_arrow_table_keeps_its_own_rows(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(6, 2)
    whole = pa.table({"id": list("abcdef"), "embedding": pa.array(values.tolist(), pa.list_(pa.float32(), 2))})
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink, pa.ipc.new_file(sink, whole.schema) as writer:
        writer.write_table(whole)

    batches = list(open_source(tmp_path / "x.arrow").batches(4))

    assert [batch.vectors["embedding"].values.tolist() for batch in batches] == [
        values[:4].tolist(),
        values[4:].tolist(),
    ]


def test_several_vectors_are_read_under_the_names_given(tmp_path: Path) -> None:
    both = pa.table(
        {
            "id": ["a", "b"],
            "left": pa.array([[1.0, 2.0], [3.0, 4.0]]),
            "right": pa.array([[5, 6, 7], None], pa.list_(pa.int8())),
        }
    )
    pq.write_table(both, tmp_path / "docs.parquet")

    source = open_source(tmp_path / "docs.parquet", vector_columns={"text": "left", "image": "right"})
    (batch,) = source.batches()

    assert source.info.vectors == {"text": 2, "image": 3}
    assert batch.vectors["text"].values.tolist() == [[1, 2], [3, 4]]
    assert batch.vectors["image"].rows.tolist() == [0]
    assert source.read().ids == ["a"]


def test_a_struct_of_vectors_gives_each_its_own_block(tmp_path: Path) -> None:
    nested = pa.array(
        [{"text": [1.0, 2.0], "image": [9.0]}, {"text": [3.0, 4.0], "image": None}],
        pa.struct([("text", pa.list_(pa.float32())), ("image", pa.list_(pa.float32()))]),
    )
    payload = pa.array([{"title": "one"}, {"title": "two"}])
    pq.write_table(pa.table({"id": ["a", "b"], "vectors": nested, "payload": payload}), tmp_path / "docs.parquet")

    source = open_source(tmp_path / "docs.parquet")
    (batch,) = source.batches()

    assert source.info.vectors == {"text": 2, "image": 1}
    assert batch.vectors["text"].values.tolist() == [[1, 2], [3, 4]]
    assert batch.vectors["image"].rows.tolist() == [0]
    assert [orjson.loads(payload)["title"] for payload in batch.payloads] == ["one", "two"]


def test_rows_without_an_id_column_are_numbered(tmp_path: Path) -> None:
    pq.write_table(table().drop_columns(["id"]), tmp_path / "docs.parquet")

    source = open_source(tmp_path / "docs.parquet")

    assert [id for batch in source.batches(2) for id in batch.ids] == ["0000000000", "0000000001", "0000000002"]


def test_ids_may_be_whole_numbers_and_csv_keeps_their_zeros(tmp_path: Path) -> None:
    pq.write_table(pa.table({"_id": [7, 8], "embedding": [[1.0, 2.0], [3.0, 4.0]]}), tmp_path / "docs.parquet")
    (tmp_path / "docs.csv").write_text('id,embedding\n007,"[1, 2]"\n7,"[3, 4]"\n')

    assert open_source(tmp_path / "docs.parquet").read().ids == ["7", "8"]
    assert open_source(tmp_path / "docs.csv").read().ids == ["007", "7"]


def test_csv_types_come_from_all_rows(tmp_path: Path) -> None:
    rows = "".join(f'{i},{i},2024-01-0{i % 9 + 1},"[1, {i}]"\n' for i in range(3000))
    (tmp_path / "docs.csv").write_text(f"id,code,day,embedding\n{rows}x,AB,,\n")

    payloads = [orjson.loads(p) for batch in open_source(tmp_path / "docs.csv").batches() for p in batch.payloads]

    assert payloads[0] == {"code": "0", "day": "2024-01-01"}
    assert payloads[-1] == {"code": "AB", "day": ""}


def test_attributes_of_every_arrow_type_have_a_json_form(tmp_path: Path) -> None:
    moment = datetime(2024, 5, 6, 7, 8, 9, 120000, tzinfo=UTC)
    columns = {
        "id": pa.array(["a"]),
        "zoned": pa.array([moment], pa.timestamp("ns", "UTC")),
        "local": pa.array([moment.replace(tzinfo=None, microsecond=0)], pa.timestamp("s")),
        "day": pa.array([date(2024, 5, 6)]),
        "clock": pa.array([time(7, 8)]),
        "span": pa.array([timedelta(seconds=90)]),
        "exact": pa.array([Decimal("1.25")]),
        "huge": pa.array([Decimal("1234567890123456789.123456789")]),
        "raw": pa.array([b"\x00\xff"]),
        "word": pa.array(["x"]).dictionary_encode(),
        "nested": pa.array([{"tags": ["p", "q"], "when": moment}]),
        "nan": pa.array([float("nan")]),
        "none": pa.array([None], pa.string()),
        "flag": pa.array([True]),
        "embedding": pa.array([[1.0, 2.0]]),
    }
    pq.write_table(pa.table(columns), tmp_path / "docs.parquet")

    (batch,) = open_source(tmp_path / "docs.parquet").batches()

    assert orjson.loads(batch.payloads[0]) == {
        "zoned": "2024-05-06T07:08:09.120000Z",
        "local": "2024-05-06T07:08:09",
        "day": "2024-05-06",
        "clock": "07:08:00",
        "span": 90.0,
        "exact": 1.25,
        "huge": "1234567890123456789.123456789",
        "raw": "AP8=",
        "word": "x",
        "nested": {"tags": ["p", "q"], "when": "2024-05-06T07:08:09.120000Z"},
        "nan": None,
        "none": None,
        "flag": True,
    }


def test_other_vectors_and_reserved_names_are_left_out_with_a_warning(tmp_path: Path) -> None:
    two = pa.table(
        {"id": ["a"], "left": [[1.0, 2.0]], "right": [[1.0, 2.0]], "collection_id": ["c"], "tags": [["x", "y"]]}
    )
    pq.write_table(two, tmp_path / "docs.parquet")

    source = open_source(tmp_path / "docs.parquet", vector_columns=["left"])
    (batch,) = source.batches()

    assert orjson.loads(batch.payloads[0]) == {"tags": ["x", "y"]}
    assert [word for warning in source.info.warnings for word in ("right", "collection_id") if word in warning] == [
        "right",
        "collection_id",
    ]


def test_the_column_with_a_usual_name_is_taken_among_several(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "other": [[1.0, 2.0]], "Embedding": [[3.0, 4.0]]}), tmp_path / "d.parquet")

    assert open_source(tmp_path / "d.parquet").info.vectors == {"Embedding": 2}


def test_json_lines_keep_what_columns_cannot_hold(tmp_path: Path) -> None:
    lines = [{"id": 1, "v": [1, 2], "x": 5}, {"id": 2, "v": [3, 4], "x": "five", "y": {"z": [1, "two"]}}]
    (tmp_path / "docs.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\n".join(map(orjson.dumps, lines)))

    source = open_source(tmp_path / "docs.jsonl")
    (batch,) = source.batches()

    assert [orjson.loads(payload) for payload in batch.payloads] == [{"x": 5}, {"x": "five", "y": {"z": [1, "two"]}}]
    assert list(source.read().documents.read(["x", "y.z"])) == [{"x": 5}, {"x": "five", "y": {"z": [1, "two"]}}]


def test_documents_as_json_lines_keep_metadata_and_lineage(tmp_path: Path) -> None:
    document = {
        "document_id": "a",
        "vectors": {"text": [1, 2]},
        "payload": {"title": "t", "_internal": {"stolen": 1}},
        "metadata": {"lang": "en"},
        "root_bucket_id": "bkt_1",
    }
    (tmp_path / "docs.ndjson").write_bytes(orjson.dumps(document))

    (batch,) = open_source(tmp_path / "docs.ndjson").batches()

    assert orjson.loads(batch.payloads[0]) == {
        "title": "t",
        "metadata": {"lang": "en"},
        "_internal": {"lineage": {"root_bucket_id": "bkt_1", "source_type": "direct_upsert"}},
    }


def test_an_array_alone_is_numbered_and_takes_the_name_given(tmp_path: Path) -> None:
    np.save(tmp_path / "docs.npy", VECTORS.astype(np.float16))

    whole = open_source(tmp_path / "docs.npy", vector_columns=["text"]).read()

    assert whole.ids == ["0000000000", "0000000001", "0000000002"]
    assert np.array_equal(whole.vectors["text"], VECTORS.astype(np.float16))
    assert list(whole.documents.read()) == [{}, {}, {}]


@pytest.mark.parametrize("shape", ["wrapped", "lines", "traces"])
def test_json_whose_first_line_is_very_long_is_read_by_its_shape(shape: str, tmp_path: Path) -> None:
    rows = [{"id": f"d{n}", "note": "x" * 600_000, "vec": [n + 0.5, 1.0]} for n in range(4)]
    path = tmp_path / "docs.json"
    if shape == "wrapped":
        path.write_bytes(orjson.dumps({"total": 4, "data": rows}))
    elif shape == "lines":
        rows[0]["note"] = "x" * 1_200_000
        path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    else:
        spans = [
            {
                "spanId": row["id"],
                "attributes": [
                    {"key": "note", "value": {"stringValue": row["note"]}},
                    {"key": "vec", "value": {"arrayValue": {"values": [{"doubleValue": n} for n in row["vec"]]}}},
                ],
            }
            for row in rows
        ]
        exports = [{"resourceSpans": [{"scopeSpans": [{"spans": spans[at : at + 2]}]}]} for at in (0, 2)]
        path.write_bytes(b"\n".join(map(orjson.dumps, exports)))

    table = open_source(path).read()

    assert table.ids == ["d0", "d1", "d2", "d3"]
    assert table.vectors["vec"].tolist() == [[0.5, 1.0], [1.5, 1.0], [2.5, 1.0], [3.5, 1.0]]


def test_a_column_named_like_ids_with_duplicates_is_noted(tmp_path: Path) -> None:
    lines = [f'T-{row % 2900},"[{row}.5, 1.0]"' for row in range(3000)]
    (tmp_path / "docs.csv").write_text("\n".join(["Ticket ID,embedding", *lines]))

    source = open_source(tmp_path / "docs.csv")

    assert source.info.id_column is None
    assert "Column 'Ticket ID' looks like ids, but has duplicates" in " ".join(source.info.warnings)


def spans(*values: dict[str, Any]) -> bytes:
    held = [
        {
            "spanId": f"{number:016x}",
            "attributes": [
                {"key": "n", "value": value},
                {"key": "vec", "value": {"arrayValue": {"values": [{"doubleValue": number}, {"doubleValue": 1.0}]}}},
            ],
        }
        for number, value in enumerate(values)
    ]
    return orjson.dumps({"resourceSpans": [{"scopeSpans": [{"spans": held}]}]})


def test_numbers_of_spans_that_are_none_stay_text(tmp_path: Path) -> None:
    texts: list[Any] = ["5", "abc", "9" * 30, "9" * 6000, str(2**63), "-7"]
    (tmp_path / "t.jsonl").write_bytes(spans(*({"intValue": text} for text in texts)))

    read = [
        orjson.loads(payload)["n"]
        for batch in open_source(tmp_path / "t.jsonl").batches()
        for payload in batch.payloads
    ]

    assert read == [5, "abc", "9" * 30, "9" * 6000, 2**63, -7]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"[]", "t.jsonl: line 3: is not a JSON object, got []"),
        (b'{"resourceSpans":[{"scope', "t.jsonl: line 3: is not JSON"),
        (b'{"resourceSpans":5}', "t.jsonl: line 3, 'resourceSpans': is not an array, got 5"),
    ],
)
def test_a_bad_line_of_traces_is_named_with_its_key(line: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(spans({"intValue": "1"}, {"intValue": "2"}) + b"\n\n" + line)
    with pytest.raises(InvalidField) as refused:
        open_source(tmp_path / "t.jsonl").read()

    assert refused.value.message.startswith(says)


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_the_first_of_the_likely_ids_that_never_repeats_is_taken(ending: str, tmp_path: Path) -> None:
    rows = [{"order_no": f"A-{n % 5000}", "sku": f"S-{n}", "vec": [n + 0.5, 1.0]} for n in range(6000)]
    lines = [orjson.dumps(row) for row in rows]
    if ending == "csv":
        lines = [b"order_no,sku,vec", *(f'{r["order_no"]},{r["sku"]},"{r["vec"]}"'.encode() for r in rows)]
    (tmp_path / f"docs.{ending}").write_bytes(b"\n".join(lines))

    assert open_source(tmp_path / f"docs.{ending}").info.id_column == "sku"


def test_values_that_are_one_as_ids_are_one_value() -> None:
    columns = DistinctColumns(["same", "gap", "other"])
    columns.add({"same": [1, "a"], "gap": ["x", "y"], "other": ["1", 2.0]})
    columns.add({"same": ["1", "b"], "gap": [None, "z"], "other": [3, "4"]})

    assert columns.finish() == ["other"]


def test_a_header_of_years_is_read_as_values_and_noted(tmp_path: Path) -> None:
    (tmp_path / "years.csv").write_text("2019,2020,2021\n1.5,2.5,3.5\n")
    (tmp_path / "plain.csv").write_text("0.5,1.5,1.5\n1.5,2.5,3.5\n")

    assert open_source(tmp_path / "years.csv").info.warnings[0].startswith("The first line is integers")
    assert not any("first line" in warning for warning in open_source(tmp_path / "plain.csv").info.warnings)


def test_too_many_columns_are_refused_by_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text(",".join(f"c{n}" for n in range(20_000)) + '\n"')
    with pytest.raises(InvalidField, match="has 20,000 columns"):
        open_source(tmp_path / "wide.csv")


def test_a_text_repeated_to_gigabytes_is_rejected_before_it_is_read(tmp_path: Path) -> None:
    rows = 300_000
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * 10_000]))
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(2 * rows, np.float32)), 2)
    pq.write_table(pa.table({"text": text, "embedding": vectors}), tmp_path / "x.parquet")
    with pytest.raises(TooLarge, match=r"unfolds to 300,000 documents of together 2\.\d GiB"):
        open_source(tmp_path / "x.parquet", bounds=Bounds(free_bytes=2**30))
