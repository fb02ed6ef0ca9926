"""Damaged and unusual files of every format, made from a seed: the same ones every time."""

import io
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from random import Random
from types import MappingProxyType
from typing import Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["Mutation", "mutations"]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One file: what was done to it, its format and its bytes."""

    name: str
    format: str
    content: bytes


def mutations(count: int, seed: int = 0, *, bombs: bool = True) -> Iterator[Mutation]:
    """`count` files. The unusual ones come first, evenly thinned out where they are more than half of `count`; the rest
    are damaged in turn. `bombs` take a while to make; `intake/explosions.py` has some of them as well."""
    unusual = [*_unusual(), *(_bombs() if bombs else ())]
    target = min(len(unusual), max(count // 2, 1))
    yield from (unusual[i * len(unusual) // target] for i in range(target))
    sound = list(_sound())
    damages = list(_DAMAGES.items())
    for i in range(count - target):
        base = sound[i % len(sound)]
        what, damage = damages[i // len(sound) % len(damages)]
        random = Random(f"{seed} {i}")
        yield Mutation(f"{base.name}, {what} {i}", base.format, damage(bytearray(base.content), random))


# ── sound files, to be damaged ───────────────────────────────────────────────────────────────────────────────────────


def _table(rows: int = 40) -> pa.Table:
    vectors = np.random.default_rng(0).standard_normal((rows, 8)).astype(np.float32)
    return pa.table(
        {
            "id": [f"d{row}" for row in range(rows)],
            "text": [f"word{row % 5} and more words {row}" for row in range(rows)],
            "kind": pa.array(["a", "b"] * (rows // 2)).dictionary_encode(),
            "tags": [["x", "y"][: row % 3] for row in range(rows)],
            "when": pa.array([1_700_000_000 + row for row in range(rows)], pa.timestamp("s")),
            "info": [{"n": row, "s": str(row)} for row in range(rows)],
            "price": [row / 7 if row % 9 else None for row in range(rows)],
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 8),
        }
    )


def _sound() -> Iterator[Mutation]:
    table = _table()
    for codec in ("none", "snappy", "zstd", "gzip", "lz4", "brotli"):
        yield Mutation(f"Parquet {codec}", "parquet", _parquet(table, compression=codec, row_group_size=16))
    yield Mutation("Parquet 2", "parquet", _parquet(table, use_dictionary=False, data_page_version="2.0"))
    for packed in (None, "zstd", "lz4"):
        yield Mutation(f"Arrow stream {packed}", "arrow", _arrow(table, compression=packed))
        yield Mutation(f"Arrow file {packed}", "arrow", _arrow(table, file=True, compression=packed))
    rows = table.to_pylist()
    plain = [{**row, "when": row["when"].isoformat()} for row in rows]
    yield Mutation("JSON lines", "jsonl", b"\n".join(map(orjson.dumps, plain)))
    documents = [
        {"document_id": row["id"], "vectors": {"text": row["embedding"]}, "payload": row["info"]} for row in rows
    ]
    yield Mutation("JSON documents", "jsonl", b"\n".join(map(orjson.dumps, documents)))
    for kind, mark in (("csv", ","), ("tsv", "\t")):
        cells = [[row["id"], row["text"], str(row["price"] or ""), _quote(row["embedding"])] for row in rows]
        yield Mutation(kind, kind, "\n".join(map(mark.join, [["id", "text", "price", "embedding"], *cells])).encode())
    sink = io.BytesIO()
    np.save(sink, np.asarray([row["embedding"] for row in rows], np.float32))
    yield Mutation("NumPy", "npy", sink.getvalue())


def _quote(values: list[float]) -> str:
    return f'"{values}"'


def _parquet(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def _arrow(table: pa.Table, *, file: bool = False, compression: str | None = None) -> bytes:
    sink = io.BytesIO()
    make = pa.ipc.new_file if file else pa.ipc.new_stream
    with make(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=16)
    return sink.getvalue()


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────────────────────

Damage = Callable[[bytearray, Random], bytes]


def _flip(content: bytearray, random: Random) -> bytes:
    for _ in range(random.choice((1, 1, 2, 8, 64))):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    return bytes(content)


def _flip_in_head(content: bytearray, random: Random) -> bytes:
    content[random.randrange(4, min(len(content), 200))] ^= 1 << random.randrange(8)
    return bytes(content)


def _flip_in_tail(content: bytearray, random: Random) -> bytes:
    content[-random.randrange(1, min(len(content), 600))] ^= 1 << random.randrange(8)
    return bytes(content)


def _cut(content: bytearray, random: Random) -> bytes:
    return bytes(content[: random.randrange(len(content))])


def _cut_head(content: bytearray, random: Random) -> bytes:
    return bytes(content[random.randrange(1, len(content)) :])


def _zero(content: bytearray, random: Random) -> bytes:
    start = random.randrange(len(content))
    length = min(random.choice((4, 8, 64, 512)), len(content) - start)
    content[start : start + length] = bytes(length)
    return bytes(content)


def _fill(content: bytearray, random: Random) -> bytes:
    start = random.randrange(len(content))
    length = min(random.choice((1, 4, 8)), len(content) - start)
    content[start : start + length] = b"\xff" * length
    return bytes(content)


def _huge(content: bytearray, random: Random) -> bytes:
    """A number becomes one that is far too large: a length, a count or an offset, where it is one."""
    size = random.choice((4, 8))
    start = random.randrange(0, max(len(content) - 8, 1)) // 4 * 4
    value = random.choice((2**31 - 1, 2**30, 2**28, -1, 1_000_000))
    content[start : start + size] = struct.pack("<i" if size == 4 else "<q", value)
    return bytes(content)


def _swap(content: bytearray, random: Random) -> bytes:
    length = random.choice((4, 16, 100))
    target, other = (random.randrange(max(len(content) - length, 1)) for _ in range(2))
    part = bytes(content[target : target + length])
    content[target : target + length] = content[other : other + length]
    content[other : other + length] = part
    return bytes(content)


def _insert(content: bytearray, random: Random) -> bytes:
    at = random.randrange(len(content))
    return bytes(content[:at]) + random.randbytes(random.choice((1, 4, 33))) + bytes(content[at:])


def _twice(content: bytearray, random: Random) -> bytes:
    start = random.randrange(len(content))
    stop = min(len(content), start + random.choice((8, 200, 3000)))
    return bytes(content[:stop] + content[start:stop] + content[stop:])


_DAMAGES: Final[Mapping[str, Damage]] = MappingProxyType(
    {
        "flipped": _flip, "flipped in the head": _flip_in_head, "flipped in the tail": _flip_in_tail, "cut": _cut,
        "beheaded": _cut_head, "zeroed": _zero, "filled": _fill, "huge": _huge, "swapped": _swap, "inserted": _insert,
        "doubled": _twice,
    }
)  # fmt: skip


# ── unusual files ────────────────────────────────────────────────────────────────────────────────────────────────────


def _unusual() -> Iterator[Mutation]:
    yield from _unusual_columns()
    yield from _unusual_names()
    yield from _unusual_lines()
    yield from _unusual_arrays()
    yield from _unusual_texts()


def _unusual_columns() -> Iterator[Mutation]:
    for name, column in _columns():
        table = pa.table({"id": [f"d{row}" for row in range(len(column))], "it": column})
        with_vectors = table.append_column("embedding", pa.array([[float(row), 1.0] for row in range(len(column))]))
        alone = pa.table({"id": column})
        for role, value in (
            ("attribute", with_vectors),
            ("vectors", table.rename_columns(["id", "embedding"])),
            ("id", alone),
        ):
            for kind, write in (("parquet", _parquet), ("arrow", _arrow)):
                try:
                    content = write(value)
                except (pa.ArrowException, OverflowError):  # Parquet has no such type
                    continue
                yield Mutation(f"{name} as {role}", kind, content)


def _columns() -> Iterator[tuple[str, pa.Array]]:
    """Columns of three rows, of types that are seldom met."""
    yield "null", pa.nulls(3)
    yield "truth", pa.array([True, None, False])
    for unit in ("s", "ms", "us", "ns"):
        yield f"duration {unit}", pa.array([1, None, 2**62], pa.duration(unit))
        yield f"far duration {unit}", pa.array([2**63 - 1, -(2**63), 0], pa.duration(unit))
        yield f"timestamp {unit}", pa.array([1, None, -1], pa.timestamp(unit))
        yield f"far timestamp {unit}", pa.array([2**63 - 1, -(2**63) + 1, 2**50], pa.timestamp(unit))
        yield f"zoned {unit}", pa.array([1, None, 2**40], pa.timestamp(unit, "Europe/Berlin"))
        yield f"unknown zone {unit}", pa.array([1, None, 5], pa.timestamp(unit, "Mars/Olympus"))
        yield f"list of timestamp {unit}", pa.array([[1, 2], None, [2**62]], pa.list_(pa.timestamp(unit)))
    for kind in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")):
        yield f"{kind}", pa.array([1, None, 5], kind)
        yield f"far {kind}", pa.array([2**31 - 1, -1, 86_400_000], kind)
        yield f"list of {kind}", pa.array([[1], None, [2, None]], pa.list_(kind))
    yield "date32", pa.array([date(1, 1, 1), None, date(9999, 12, 31)])
    yield "far date32", pa.array([2**31 - 1, -(2**31), 0], pa.date32())
    yield "far date64", pa.array([2**62, -(2**62), 1], pa.date64())
    yield "months", pa.array([(1, 2, 3), None, (2**31 - 1, 0, 2**62)], pa.month_day_nano_interval())
    for bits, kind in ((128, pa.decimal128(38, 10)), (256, pa.decimal256(76, 3))):
        yield f"decimal{bits}", pa.array([Decimal("1.5"), None, Decimal(10) ** 20], kind)
    yield "half", pa.array(np.array([1, np.nan, np.inf], np.float16))
    yield "floats", pa.array([float("nan"), float("-inf"), 1e308])
    yield "uint64", pa.array([2**64 - 1, None, 0], pa.uint64())
    yield "bytes", pa.array([b"\xff\x00", None, b""])
    yield "fixed bytes", pa.array([b"ab", None, b"\xff\xfe"], pa.binary(2))
    yield "large bytes", pa.array([b"\xff", None, b"x" * 1000], pa.large_binary())
    yield "string view", pa.array(["short", None, "longer than twelve bytes"]).cast(pa.string_view())
    yield "binary view", pa.array([b"short", None, b"longer than twelve bytes"]).cast(pa.binary_view())
    yield "large string", pa.array(["a", None, "b"], pa.large_string())
    yield "no UTF-8", pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff\xfe", b"c"]).buffers())
    yield "lone surrogates", pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xed\xa0\x80", b"c"]).buffers())
    yield "controls", pa.array(["\x00", "\x1b[2J", "\u202e"])
    yield "uuid", pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16), None, b"a" * 16], pa.binary(16)))
    yield "json", pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}", None, "not json"]))
    yield "dictionary of numbers", pa.array([1.5, None, 1.5]).dictionary_encode()
    yield "dictionary of lists", _dictionary(pa.array([[1.0, 2.0], [3.0, 4.0]]))
    yield "dictionary with null", _dictionary(pa.array(["a", None]))
    yield "dictionary of dictionary", _dictionary(_dictionary(pa.array(["a", "b"])))
    yield "runs", pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", None]))
    yield "runs of lists", pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([[1.0, 2.0], None]))
    yield "map", pa.array([[("k", 1)], None, [("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int8()))
    yield "map of lists", pa.array([[(1, [1.0])], None, []], pa.map_(pa.int8(), pa.list_(pa.float32())))
    yield (
        "dense union",
        pa.UnionArray.from_dense(
            pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()), [pa.array(["a", "b"]), pa.array([1.5])]
        ),
    )
    yield (
        "sparse union",
        pa.UnionArray.from_sparse(
            pa.array([0, 1, 0], pa.int8()), [pa.array(["a", "b", "c"]), pa.array([1.5, 2.5, 3.5])]
        ),
    )
    yield "list view", pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_view(pa.float32()))
    yield "large list view", pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.large_list_view(pa.float64()))
    yield "large list", pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.large_list(pa.float64()))
    yield "fixed list of none", pa.array([[], None, []], pa.list_(pa.float32(), 0))
    yield "ragged list", pa.array([[1.0], [1.0, 2.0], []])
    yield "list with null", pa.array([[1.0, None], [1.0, 2.0], None])
    yield "list of text", pa.array([["a"], None, ["1.0", "2.0"]])
    yield "list of lists", pa.array([[[1.0, 2.0]], None, [[3.0, 4.0]]])
    yield "list of truth", pa.array([[True, False], None, [True, True]])
    yield "list of decimals", pa.array([[Decimal("1.5"), Decimal(2)], None, [Decimal(1), Decimal(2)]])
    yield "list of structs", pa.array([[{"a": 1}], None, []])
    yield "empty struct", pa.array([{}, None, {}], pa.struct([]))
    yield "struct", pa.array([{"a": 1, "b": [1.0, 2.0]}, None, {"a": None, "b": None}])
    yield "struct of time", pa.array([{"a": time(1), "b": timedelta(1)}, None, {"a": None, "b": None}])
    yield "equal field names", pa.StructArray.from_arrays([pa.array([1, 2, 3]), pa.array(["a", "b", "c"])], ["f", "f"])
    yield "nameless field", pa.StructArray.from_arrays([pa.array([1, 2, 3])], [""])
    yield "dotted field", pa.StructArray.from_arrays([pa.array([1, 2, 3])], ["a.b"])
    for depth in (10, 64, 70, 200):
        yield f"nested {depth} deep", _nest(depth)
    yield "text of arrays", pa.array(["[1.0, 2.0]", None, "[3.0, 4.0]"])
    yield "text of bad arrays", pa.array(["[1.0, 2.0]", "[1.0,", "[[1, 2]]"])
    yield "text of deep arrays", pa.array(["[" * 5000 + "]" * 5000, "[1.0, 2.0]", None])
    yield "text of huge numbers", pa.array(["[1e999, 2]", "[1.0, 2.0]", "[9" + "9" * 5000 + ", 1]"])
    yield (
        "tensor",
        pa.ExtensionArray.from_storage(
            pa.fixed_shape_tensor(pa.float32(), [2]), pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float32(), 2))
        ),
    )


def _dictionary(values: pa.Array) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.int8()), values)


def _nest(depth: int) -> pa.Array:
    column = pa.array([1, 2, 3])
    for level in range(depth):
        if level % 2:
            column = pa.StructArray.from_arrays([column], ["s"])
        else:
            column = pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), column)
    return column


def _unusual_names() -> Iterator[Mutation]:
    vectors = pa.array([[1.0, 2.0], [3.0, 4.0]])
    for what, names in {
        "equal names": ["a", "a", "embedding"],
        "no names": ["", "b", "embedding"],
        "dots": ["a.b", "a.c", "embedding"],
        "reserved names": ["document_id", "_internal", "vectors"],
        "reserved and nested": ["collection_id", "vectors.text", "embedding"],
        "control names": ["\x00", "\x1b[2J", "embedding"],
        "long names": ["n" * 100_000, "m" * 70_000, "embedding"],
        "two ids": ["id", "_id", "embedding"],
        "two vectors": ["id", "left", "right"],
    }.items():
        arrays = [pa.array(["x", "y"]), vectors if what == "two vectors" else pa.array(["u", "v"]), vectors]
        table = pa.Table.from_arrays(arrays, names=names)
        yield Mutation(what, "parquet", _parquet(table))
        yield Mutation(what, "arrow", _arrow(table))
    for columns in (1000, 16_384, 20_000):
        table = pa.table({f"c{i}": [1] for i in range(columns)})
        yield Mutation(f"{columns} columns", "arrow", _arrow(table))
    for rows in (0, 1):
        yield Mutation(f"{rows} rows", "parquet", _parquet(_table().slice(0, rows)))
        yield Mutation(f"{rows} rows", "arrow", _arrow(_table().slice(0, rows)))
    yield Mutation("no columns", "arrow", _arrow(pa.table({})))


def _bombs() -> Iterator[Mutation]:
    long = "x" * 900_000
    for rows, value in ((2500, long), (200_000, "y" * 10_000), (1_000_000, "short")):
        repeated = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), pa.array([value]))
        table = pa.table({"text": repeated})
        yield Mutation(f"{rows} texts of {len(value)}", "parquet", _parquet(table, compression="zstd"))
        yield Mutation(f"{rows} texts of {len(value)}", "arrow", _one_batch(table))
    for dimension in (2, 768):
        zeros = pa.array(np.zeros(20_000_000 // dimension * dimension, np.float32))
        table = pa.table({"embedding": pa.FixedSizeListArray.from_arrays(zeros, dimension)})
        for codec in ("zstd", "gzip", "brotli"):
            yield Mutation(f"zeros {dimension} {codec}", "parquet", _parquet(table, compression=codec))
        for packed in ("zstd", "lz4"):
            yield Mutation(f"zeros {dimension} {packed}", "arrow", _one_batch(table, packed))
    for rows in (3_000_000, 2**31 - 2):
        yield Mutation(f"{rows} nulls", "arrow", _one_batch(pa.table({"n": pa.nulls(rows)})))
    yield Mutation("rows of a number", "parquet", _parquet(pa.table({"n": np.zeros(3_000_000, np.int8)})))
    for count in (10_000_000, 40_000_000):
        ends = pa.array([0, count], pa.int32())
        yield Mutation(
            f"a list of {count}", "parquet", _parquet(pa.table({"l": pa.ListArray.from_arrays(ends, pa.nulls(count))}))
        )
    views = struct.pack("<i4sii", len(long), b"xxxx", 0, 0) * 2500
    buffers = [None, pa.py_buffer(views), pa.py_buffer(long.encode())]
    viewed = pa.Array.from_buffers(pa.string_view(), 2500, buffers)
    yield Mutation("views of one text", "arrow", _one_batch(pa.table({"text": viewed})))
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 2], pa.int32()), pa.array(["a"]))
    yield Mutation("a run of rows", "arrow", _one_batch(pa.table({"t": runs})))


def _one_batch(table: pa.Table, compression: str = "zstd") -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _unusual_lines() -> Iterator[Mutation]:
    vector = b'"embedding":[1.0,2.0]'
    depths = (10, 63, 65, 300, 900, 5000)
    lines = {
        **{f"nested {depth} deep": b'{"a":' + b"[" * depth + b"]" * depth + b"}" for depth in depths},
        **{f"objects {depth} deep": b'{"a":' * depth + b"1" + b"}" * depth for depth in depths},
        "equal keys": b'{"a":1,"a":2,' + vector + b"}",
        "NaN": b'{"a":NaN,' + vector + b"}",
        "huge number": b'{"a":1' + b"0" * 400 + b"," + vector + b"}",
        "huge integer": b'{"a":123456789012345678901234567890,' + vector + b"}",
        "infinite vector": b'{"embedding":[1e999,1]}',
        "lone surrogate": b'{"a":"\\ud800",' + vector + b"}",
        "no UTF-8": b'{"a":"\xff",' + vector + b"}",
        "a byte of zero": b'{"a":"\x00",' + vector + b"}",
        "not an object": b"[1]",
        "two objects": b'{"a":1} {"a":2}',
        "many lists": b'{"a":[' + b"[]," * 900_000 + b"[]]}",
        "long key": b'{"' + b"k" * 1_000_000 + b'":1}',
        "long text": b'{"a":"' + b"t" * 3_000_000 + b'"}',
        "many keys": b"{" + b",".join(b'"k%d":1' % i for i in range(20_000)) + b"}",
        "vectors no object": b'{"vectors":5}',
        "vectors of text": b'{"vectors":{"text":"abc"}}',
        "vectors nested": b'{"vectors":{"text":[[1,2],[3,4]]}}',
        "vector names": b'{"vectors":{"":[1,2],"\\u0000":[1]}}',
        "reserved keys": b'{"_internal":5,"collection_id":[],"document_id":"x",' + vector + b"}",
        "id of a list": b'{"id":[1],' + vector + b"}",
        "long id": b'{"id":"' + b"i" * 300 + b'",' + vector + b"}",
        "id of controls": b'{"id":"\\u0000\\n",' + vector + b"}",
        "lineage": b'{"document_id":"x","vectors":{"t":[1,2]},"lineage_chain":5}',
        "only a mark": b"\xef\xbb\xbf{}",
        "sixteen bits": '{"a":1}'.encode("utf-16"),
    }  # fmt: skip
    for name, line in lines.items():
        yield Mutation(name, "jsonl", line)
        yield Mutation(f"{name} after others", "jsonl", b'{"embedding":[3.0,4.0]}\n' * 3 + line + b"\n")


def _unusual_arrays() -> Iterator[Mutation]:
    headers = {
        "no shape": "{'descr': '<f4', 'fortran_order': False, }",
        "negative": "{'descr': '<f4', 'fortran_order': False, 'shape': (-4, 8), }",
        "huge": "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 8), }",
        "wide": "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1099511627776), }",
        "overflowing": "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
        "flat": "{'descr': '<f4', 'fortran_order': False, 'shape': (8,), }",
        "nothing wide": "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 0), }",
        "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (4, 8), }",
        "texts": "{'descr': '<U4', 'fortran_order': False, 'shape': (4, 2), }",
        "records": "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4, 8), }",
        "times": "{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (4, 4), }",
        "complex": "{'descr': '<c8', 'fortran_order': False, 'shape': (4, 4), }",
        "void": "{'descr': '|V0', 'fortran_order': False, 'shape': (4, 4), }",
        "wide number": "{'descr': '<f16', 'fortran_order': False, 'shape': (2, 4), }",
        "turned": "{'descr': '>f4', 'fortran_order': True, 'shape': (4, 8), }",
        "deep": "(" * 500 + ")" * 500,
        "code": "__import__('os').system('true')",
        "cut": "{'descr': '<f4', 'fort",
        "zeros": "\x00" * 60,
        "floats for shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (4.0, 8), }",
        "fields too many": "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 8), 'x': 1}",
        "long": "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 8), }" + " " * 60_000,
    }
    for name, text in headers.items():
        head = text.encode() + b"\n"
        for version in (1, 2, 3, 9):
            size = struct.pack("<H" if version == 1 else "<I", len(head))
            yield Mutation(
                f"header {name} {version}", "npy", b"\x93NUMPY" + bytes([version, 0]) + size + head + bytes(128)
            )


def _unusual_texts() -> Iterator[Mutation]:
    head = b"id,text,embedding\n"
    for name, content in {
        "only a head": head,
        "quotes left open": head + b'1,"abc,"[1, 2]"\n2,x,"[1, 2]"\n',
        "short rows": head + b"1,a\n",
        "long rows": head + b'1,a,"[1, 2]",b,c\n',
        "commas": b"," * 1_000_000 + b"\n",
        "commas in rows": b"a,b\n" + b",\n" * 200_000,
        "Latin-1": head + "1,Zoë,".encode("latin-1") + b'"[1, 2]"\n',
        "zero bytes": head + b'1,a\x00b,"[1, 2]"\n',
        "deep vectors": head + b"1,a," + b"[" * 3000 + b"]" * 3000 + b"\n",
        "bad vectors": head + b'1,a,"[1, x]"\n2,b,"[1, 2]"\n',
        "far dates": b'id,when,embedding\n1,99999-01-01T00:00:00Z,"[1, 2]"\n2,0000-00-00,"[1, 2]"\n',
        "equal names": b'id,a,a,embedding\n1,2,3,"[1, 2]"\n',
        "late types": b"id,n\n" + b"1,1\n" * 5000 + b"2,text\n",
        "only quotes": b'"' * 1000,
        "returns": head.replace(b"\n", b"\r") + b'1,a,"[1, 2]"\r',
        "no names": b',,\n1,a,"[1, 2]"\n',
        "a long cell": head + b"1," + b"x" * 20_000_000 + b',"[1, 2]"\n',
    }.items():  # fmt: skip
        yield Mutation(name, "csv", content)
