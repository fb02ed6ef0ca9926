"""Files with types: Parquet, Arrow and NumPy, as libraries write them."""

import datetime
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from corpus.cases import BODIES, DIMENSION, IDS, NUMBERS, ROWS, TITLES, TOPICS, UUIDS, VECTORS, case

LISTS = VECTORS.tolist()
FLAT = VECTORS.ravel()


def parquet(folder: Path, columns: dict[str, Any] | pa.Table, name: str = "docs.parquet", **how: Any) -> str:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / name, **how)
    return name


@case(ids=IDS, text=["text"], notes=["Column '__index_level_0__' has a different value in every row"])
def parquet_of_pandas_with_an_index_of_text(folder: Path) -> str:
    table = pa.table({"text": TITLES, "embedding": pa.array(LISTS, pa.list_(pa.float64())), "__index_level_0__": IDS})
    index = {"index_columns": ["__index_level_0__"], "columns": [], "column_indexes": [], "pandas_version": "2.2.3"}
    return parquet(folder, table.replace_schema_metadata({"pandas": json.dumps(index)}))


@case(ids=IDS, text=["text"], notes=["Column 'ticket' has a different value in every row"])
def parquet_that_pandas_wrote(folder: Path) -> str:
    frame = pd.DataFrame({"ticket": IDS, "text": TITLES, "embedding": list(VECTORS)}).set_index("ticket")
    frame.to_parquet(folder / "docs.parquet")
    return "docs.parquet"


@case(ids=IDS, text=["text"], notes=["Column 'ticket' has a different value in every row"])
def parquet_that_polars_wrote(folder: Path) -> str:
    frame = pl.DataFrame({"ticket": IDS, "text": TITLES}).with_columns(pl.Series("embedding", VECTORS))
    frame.write_parquet(folder / "docs.parquet")
    return "docs.parquet"


@case(text=["text"])
def parquet_of_pandas_with_an_index_of_numbers(folder: Path) -> str:
    return parquet(folder, {"text": TITLES, "embedding": LISTS, "__index_level_0__": NUMBERS})


@case(ids=IDS, text=["title", "body"])
def parquet_of_polars(folder: Path) -> str:
    columns = {
        "id": pa.array(IDS, pa.large_string()),
        "title": pa.array(TITLES, pa.string_view()),
        "body": pa.array(BODIES, pa.large_string()),
        "topic": pa.array(TOPICS).dictionary_encode(),
        "embedding": pa.array(LISTS, pa.large_list(pa.float32())),
    }
    return parquet(folder, columns, compression="zstd")


@case(ids=UUIDS, text=["text"])
def parquet_of_duckdb(folder: Path) -> str:
    uuids = pa.array([UUID(text).bytes for text in UUIDS], pa.uuid())
    columns = {"id": uuids, "text": TITLES, "vec": pa.array(LISTS, pa.list_(pa.field("element", pa.float32())))}
    return parquet(folder, columns, compression="snappy", version="1.0")


@case(text=["text"])
def parquet_of_hugging_face(folder: Path) -> str:
    columns = {"text": TITLES, "label": [row % 3 for row in range(ROWS)]}
    columns |= {"embeddings": pa.array(LISTS, pa.list_(pa.float32()))}
    meta = {"huggingface": json.dumps({"info": {"features": {"text": {"dtype": "string", "_type": "Value"}}}})}
    table = pa.table(columns).replace_schema_metadata(meta)
    return parquet(folder, table, "train-00000-of-00001.parquet", row_group_size=5)


@case(ids=NUMBERS, text=["text"])
def parquet_of_half_floats_in_lists_of_one_size(folder: Path) -> str:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(FLAT.astype(np.float16)), DIMENSION)
    return parquet(folder, {"id": pa.array(NUMBERS, pa.uint32()), "text": TITLES, "embedding": vectors})


@case(ids=NUMBERS, text=["text"], notes=["Column 'ticket_id' has a different value in every row"])
def parquet_with_ids_that_became_floats(folder: Path) -> str:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(FLAT.astype(np.float64)), DIMENSION)
    return parquet(folder, {"ticket_id": pa.array(NUMBERS, pa.float64()), "text": TITLES, "vector": vectors})


@case(ids=NUMBERS, text=["text"])
def parquet_of_spark_with_its_own_vectors(folder: Path) -> str:
    kind = pa.struct(
        [
            ("type", pa.int8()),
            ("size", pa.int32()),
            ("indices", pa.list_(pa.int32())),
            ("values", pa.list_(pa.float64())),
        ]
    )
    vectors = pa.array([{"type": 1, "size": None, "indices": None, "values": vector} for vector in LISTS], kind)
    ids = pa.array([Decimal(number) for number in NUMBERS], pa.decimal128(12, 0))
    columns = pa.table({"id": ids, "text": TITLES, "features": vectors})
    for part in range(2):
        parquet(folder, columns.slice(12 * part, 12), f"docs/part-0000{part}-c000.snappy.parquet")
    (folder / "docs/_SUCCESS").touch()
    return "docs"


@case(ids=IDS, text=["text"])
def parquet_with_vectors_as_bytes(folder: Path) -> str:
    vectors = pa.array([vector.tobytes() for vector in VECTORS], pa.binary())
    return parquet(folder, {"id": [id.encode() for id in IDS], "text": TITLES, "embedding": vectors})


@case(ids=IDS, text=["text"], notes=["Column 'key' has a different value in every row"])
def parquet_with_vectors_of_a_field_for_each_number(folder: Path) -> str:
    parts = [pa.array(VECTORS[:, at]) for at in range(DIMENSION)]
    vectors = pa.StructArray.from_arrays(parts, [f"d{at}" for at in range(DIMENSION)])
    return parquet(folder, {"key": IDS, "text": TITLES, "embedding": vectors})


@case(ids=IDS, text=["text"])
def parquet_with_an_object_around_the_values(folder: Path) -> str:
    return parquet(folder, {"id": IDS, "text": TITLES, "embedding": [{"values": vector} for vector in LISTS]})


@case(ids=IDS, text=["text"])
def parquet_with_lists_around_the_vectors(folder: Path) -> str:
    return parquet(folder, {"id": IDS, "text": TITLES, "embedding": [[vector] for vector in LISTS]})


@case(ids=IDS, text=["note"], notes=["Columns '0' to '11' were read as one vector 'vector'"])
def parquet_with_times_maps_and_a_column_for_each_dimension(folder: Path) -> str:
    columns: dict[str, Any] = {"id": IDS, "note": TITLES}
    days = [datetime.datetime(2024, 5, 1 + row) for row in range(ROWS)]
    columns["seen"] = pa.array(days, pa.timestamp("ns", "Europe/Rome"))
    columns["tags"] = pa.array([[("lang", "en")]] * ROWS, pa.map_(pa.string(), pa.string()))
    columns |= {f"{at}": VECTORS[:, at] for at in range(DIMENSION)}
    return parquet(folder, columns)


@case(ids=IDS[2:], rows=range(2, ROWS), text=["text"], notes=["2 documents have no embedding"])
def parquet_with_missing_vectors(folder: Path) -> str:
    return parquet(folder, {"id": IDS, "text": TITLES, "embedding": [None, None, *LISTS[2:]]})


@case(ids=IDS[1:], rows=range(1, ROWS), text=["text"], notes=["1 document has no embedding"])
def parquet_with_a_vector_of_nothing_but_nan(folder: Path) -> str:
    vectors = VECTORS.astype(np.float64)
    vectors[0] = np.nan
    return parquet(folder, {"id": IDS, "text": TITLES, "embedding": vectors.tolist()})


@case(refused=["docs.parquet: row 3, column 'embedding'", "nan", "finite"])
def parquet_with_one_number_that_is_nan(folder: Path) -> str:
    vectors = VECTORS.astype(np.float64)
    vectors[3, 5] = np.nan
    return parquet(folder, {"id": IDS, "text": TITLES, "embedding": vectors.tolist()})


@case(refused=["docs.parquet: row 5, column 'embedding'", "has 11 numbers where the others have 12"])
def parquet_with_one_vector_too_short(folder: Path) -> str:
    return parquet(folder, {"id": IDS, "text": TITLES, "embedding": [*LISTS[:5], LISTS[5][:11], *LISTS[6:]]})


@case(ids=IDS, text=["title", "body"])
def parquet_of_text_alone(folder: Path) -> str:
    return parquet(folder, {"id": IDS, "title": TITLES, "body": BODIES})


@case(ids=NUMBERS, text=["text"])
def parquet_in_folders_of_languages(folder: Path) -> str:
    for at, lang in enumerate(("de", "en")):
        rows = slice(12 * at, 12 * at + 12)
        parquet(
            folder, {"id": NUMBERS[rows], "text": TITLES[rows], "embedding": LISTS[rows]}, f"data/lang={lang}/x.parquet"
        )
    return "data"


def shards(folder: Path) -> list[str]:
    for part in range(3):
        rows = slice(8 * part, 8 * part + 8)
        parquet(folder, {"sku": IDS[rows], "text": TITLES[rows], "vector": LISTS[rows]}, f"part-{part}.parquet")
    return [f"part-{part}.parquet" for part in range(3)]


@case(ids=IDS, text=["text"], notes=["Column 'sku' has a different value in every row"])
def parquet_in_a_pattern(folder: Path) -> Sequence[str]:
    shards(folder)
    return ["part-*.parquet"]


@case(ids=IDS, text=["text"], notes=["Column 'sku' has a different value in every row"])
def parquet_in_a_pattern_that_the_shell_wrote_out(folder: Path) -> Sequence[str]:
    return shards(folder)


@case(ids=IDS, text=["text"])
def parquet_with_fields_of_a_struct_in_another_order_in_another_file(folder: Path) -> str:
    for part in range(2):
        rows = slice(12 * part, 12 * part + 12)
        names = ["lang", "year"] if part else ["year", "lang"]
        info = pa.StructArray.from_arrays([pa.array([2024 if n == "year" else "en"] * 12) for n in names], names)
        parquet(
            folder,
            {"id": IDS[rows], "text": TITLES[rows], "info": info, "embedding": LISTS[rows]},
            f"docs/{part}.parquet",
        )
    return "docs"


@case(ids=IDS, text=["text"])
def feather_with_lz4(folder: Path) -> str:
    table = pa.table({"id": IDS, "text": TITLES, "embedding": pa.array(LISTS, pa.list_(pa.float32(), DIMENSION))})
    feather.write_feather(table, str(folder / "docs.feather"), compression="lz4")
    return "docs.feather"


@case(refused=["docs.feather", "Feather V1", "pandas.read_feather"])
def feather_of_the_first_version(folder: Path) -> str:
    (folder / "docs.feather").write_bytes(b"FEA1" + bytes(64) + b"FEA1")
    return "docs.feather"


@case(ids=NUMBERS, text=["text"])
def arrow_stream_with_vectors_of_views(folder: Path) -> str:
    table = pa.table(
        {"Id": pa.array(NUMBERS, pa.int64()), "text": TITLES, "embedding": pa.array(LISTS, pa.list_view(pa.float64()))}
    )
    with pa.ipc.new_stream(folder / "docs.arrows", table.schema) as writer:
        writer.write_table(table, 7)
    return "docs.arrows"


@case()
def numpy_array_alone(folder: Path) -> str:
    np.save(folder / "vectors.npy", VECTORS)
    return "vectors.npy"


@case(ids=IDS, text=["text"])
def numpy_array_of_halves_with_a_table_beside_it(folder: Path) -> str:
    np.save(folder / "docs.npy", VECTORS.astype(np.float16))
    (folder / "docs.csv").write_text("id,text\n" + "".join(f'{id},"{t}"\n' for id, t in zip(IDS, TITLES, strict=True)))
    return "docs.npy"


@case(ids=IDS, text=["texts"], notes=["Column 'ids' has a different value in every row"])
def numpy_archive_with_ids_and_texts(folder: Path) -> str:
    np.savez_compressed(folder / "docs.npz", embeddings=VECTORS, ids=np.array(IDS), texts=np.array(TITLES))
    return "docs.npz"


@case(ids=NUMBERS, notes=["Column 'ids' has a different value in every row", "No column reads like text (ids, y)"])
def numpy_archive_with_numbers_for_ids(folder: Path) -> str:
    np.savez(folder / "docs.npz", X=VECTORS.astype(np.float64), ids=np.array(NUMBERS), y=np.arange(ROWS))
    return "docs.npz"


@case(refused=["docs.npy", "Python objects", "numpy.stack"])
def numpy_array_of_vectors_of_different_lengths(folder: Path) -> str:
    np.save(folder / "docs.npy", np.array([*LISTS, [0.5]], dtype=object))
    return "docs.npy"


@case(refused=["docs.npz", "'texts'", "Python objects", "astype(str)"])
def numpy_archive_of_objects(folder: Path) -> str:
    np.savez(folder / "docs.npz", embeddings=VECTORS, texts=np.array(TITLES, object))
    return "docs.npz"


@case(refused=["docs.npz", "several columns that may be the vectors: x_train, x_test", "--vector"])
def numpy_archive_of_training_and_test(folder: Path) -> str:
    np.savez(folder / "docs.npz", x_train=VECTORS, x_test=VECTORS[:, :8])
    return "docs.npz"
