"""JSON in every shape in which programs write tables."""

import base64
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpus.cases import BODIES, IDS, NUMBERS, ROWS, TITLES, UUIDS, VECTORS, case

LISTS = [[round(n, 6) for n in vector] for vector in VECTORS.tolist()]
ROWS_OF_JSON: list[dict[str, Any]] = [
    {"id": id, "text": text, "embedding": vector} for id, text, vector in zip(IDS, TITLES, LISTS, strict=True)
]


def save(folder: Path, name: str, value: object, **how: Any) -> str:
    (folder / name).write_text(json.dumps(value, **how), encoding="utf-8")
    return name


def lines(rows: Sequence[object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def to_records(**columns: Sequence[object]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@case(ids=NUMBERS, text=["text"])
def json_lines_of_lists(folder: Path) -> str:
    (folder / "docs.jsonl").write_text(lines(to_records(id=NUMBERS, text=TITLES, embedding=LISTS)))
    return "docs.jsonl"


@case(ids=IDS, text=["text"])
def json_lines_in_a_gzip_archive_with_base64(folder: Path) -> str:
    vectors = [base64.b64encode(vector.tobytes()).decode() for vector in VECTORS]
    text = lines(to_records(_id=IDS, text=TITLES, vector=vectors))
    (folder / "docs.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    return "docs.jsonl.gz"


@case(ids=IDS, text=["text"])
def json_lines_in_folders_of_days(folder: Path) -> str:
    for part in range(2):
        day = folder / "export" / f"day=2024-05-0{part + 1}"
        day.mkdir(parents=True)
        (day / "part-0.jsonl.gz").write_bytes(gzip.compress(lines(ROWS_OF_JSON[12 * part : 12 * part + 12]).encode()))
    return "export"


@case(ids=IDS, text=["text"])
def json_lines_called_json(folder: Path) -> str:
    (folder / "docs.json").write_text(lines(ROWS_OF_JSON))
    return "docs.json"


@case(ids=IDS, text=["metadata.text"])
def json_lines_of_pinecone(folder: Path) -> str:
    rows = to_records(id=IDS, values=LISTS, metadata=[{"text": text} for text in TITLES])
    (folder / "docs.ndjson").write_text(lines(rows))
    return "docs.ndjson"


@case(ids=UUIDS, text=["text"], notes=["Column 'uuid' has a different value in every row"])
def json_lines_with_an_object_around_the_values(folder: Path) -> str:
    (folder / "docs.jsonl").write_text(
        lines(to_records(uuid=UUIDS, text=TITLES, embedding=[{"values": vector} for vector in LISTS]))
    )
    return "docs.jsonl"


@case(ids=IDS, text=["text"], notes=["Column 'doc_id' has a different value in every row"])
def json_lines_with_vectors_as_text_of_json(folder: Path) -> str:
    (folder / "docs.jsonl").write_text(
        lines(to_records(doc_id=IDS, text=TITLES, embedding=list(map(json.dumps, LISTS))))
    )
    return "docs.jsonl"


@case(refused=["docs.jsonl: row 6 (line 9)", "is not JSON"])
def json_lines_with_a_broken_line(folder: Path) -> str:
    text = [json.dumps(row) for row in ROWS_OF_JSON]
    text[6] = text[6][:-20]
    (folder / "docs.jsonl").write_text("\n\n" + "\n".join(text) + "\n")
    return "docs.jsonl"


@case(refused=["docs.jsonl: row 8 (line 9), column 'embedding'", "has 3 numbers where"])
def json_lines_with_one_vector_too_short(folder: Path) -> str:
    rows = [dict(row, embedding=[0.5] * 3) if at == 8 else row for at, row in enumerate(ROWS_OF_JSON)]
    (folder / "docs.jsonl").write_text(lines(rows))
    return "docs.jsonl"


@case(ids=IDS, text=["title", "body"])
def json_array_that_is_indented(folder: Path) -> str:
    return save(folder, "docs.json", to_records(id=IDS, title=TITLES, body=BODIES, vector=LISTS), indent=2)


@case(ids=IDS, text=["text"])
def json_array_in_a_gzip_archive(folder: Path) -> str:
    (folder / "docs.json.gz").write_bytes(gzip.compress(json.dumps(ROWS_OF_JSON).encode()))
    return "docs.json.gz"


@case(ids=IDS, text=["text"])
def json_array_called_json_lines(folder: Path) -> str:
    return save(folder, "docs.jsonl", ROWS_OF_JSON)


@case(ids=NUMBERS, text=["text"])
def json_of_pandas_by_columns(folder: Path) -> str:
    columns: dict[str, Sequence[object]] = {"id": NUMBERS, "text": TITLES, "embedding": LISTS}
    return save(
        folder, "docs.json", {name: {str(at): v for at, v in enumerate(values)} for name, values in columns.items()}
    )


@case(ids=IDS, text=["text"])
def json_of_pandas_by_index(folder: Path) -> str:
    return save(
        folder, "docs.json", {row["id"]: {"text": row["text"], "embedding": row["embedding"]} for row in ROWS_OF_JSON}
    )


@case(text=["text"])
def json_of_pandas_split(folder: Path) -> str:
    data = [[text, vector] for text, vector in zip(TITLES, LISTS, strict=True)]
    return save(folder, "docs.json", {"columns": ["text", "embedding"], "index": list(range(ROWS)), "data": data})


@case(ids=IDS, text=["text"])
def json_with_data_around_the_rows(folder: Path) -> str:
    return save(folder, "docs.json", {"total": ROWS, "next": None, "data": ROWS_OF_JSON})


@case(notes=["No column reads like text (object, index)"])
def json_of_an_answer_with_embeddings(folder: Path) -> str:
    data = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(LISTS)]
    usage = {"prompt_tokens": 96, "total_tokens": 96}
    return save(
        folder, "answer.json", {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}
    )


@case(ids=IDS, text=["documents"])
def json_of_chroma(folder: Path) -> str:
    return save(folder, "docs.json", {
        "ids": IDS, "embeddings": LISTS, "documents": TITLES, "metadatas": [{"lang": "en"}] * ROWS,
        "uris": None, "included": ["embeddings", "documents", "metadatas"],
    })  # fmt: skip


@case(ids=IDS, text=["payload.text"])
def json_of_qdrant(folder: Path) -> str:
    points = to_records(id=IDS, vector=LISTS, payload=[{"text": text} for text in TITLES])
    return save(
        folder, "docs.json", {"result": {"points": points, "next_page_offset": None}, "status": "ok", "time": 0.1}
    )


@case(ids=IDS, text=["text"])
def json_of_elasticsearch(folder: Path) -> str:
    hits = [
        {"_index": "docs", "_id": id, "_score": 1.0, "_source": {"text": text, "embedding": vector}}
        for id, text, vector in zip(IDS, TITLES, LISTS, strict=True)
    ]
    return save(folder, "docs.json", {"took": 3, "timed_out": False, "hits": {"total": {"value": ROWS}, "hits": hits}})


@case(ids=IDS, notes=["No column reads like text (id)"])
def json_of_vectors_by_name(folder: Path) -> str:
    return save(folder, "docs.json", dict(zip(IDS, LISTS, strict=True)))


@case(ids=IDS, notes=["Column 'custom_id' has a different value in every row", "No column reads like text (custom_id)"])
def json_lines_of_a_batch_of_openai(folder: Path) -> str:
    bodies = [{"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": v}]} for v in LISTS]
    responses = [{"status_code": 200, "body": body} for body in bodies]
    (folder / "batch.jsonl").write_text(
        lines(to_records(id=UUIDS, custom_id=IDS, response=responses, error=[None] * ROWS))
    )
    return "batch.jsonl"


@case(ids=IDS, text=["text"])
def json_objects_one_after_the_other_as_jq_prints_them(folder: Path) -> str:
    (folder / "docs.json").write_text("\n".join(json.dumps(row, indent=2) for row in ROWS_OF_JSON))
    return "docs.json"


@case(refused=["docs.json", "arrays without names", "orient='records'"])
def json_of_pandas_values(folder: Path) -> str:
    return save(folder, "docs.json", [[row["id"], row["text"], row["embedding"]] for row in ROWS_OF_JSON])


@case()
def json_of_nothing_but_vectors(folder: Path) -> str:
    return save(folder, "docs.json", LISTS)


def spans() -> list[dict[str, Any]]:
    """As OpenInference names what an embedding call is about, in OTLP's JSON."""
    return [
        {
            "traceId": f"{row:032x}", "spanId": f"{row + 16:016x}", "name": "embeddings", "kind": 1,
            "startTimeUnixNano": str(1714550400000000000 + row), "endTimeUnixNano": str(1714550401000000000 + row),
            "attributes": [
                {"key": "openinference.span.kind", "value": {"stringValue": "EMBEDDING"}},
                {"key": "embedding.embeddings.0.embedding.text", "value": {"stringValue": TITLES[row]}},
                {"key": "embedding.embeddings.0.embedding.vector",
                 "value": {"arrayValue": {"values": [{"doubleValue": n} for n in LISTS[row]]}}},
                {"key": "llm.token_count.total", "value": {"intValue": "7"}},
            ],
            "status": {"code": 1},
        }
        for row in range(ROWS)
    ]  # fmt: skip


def traces(held: Sequence[dict[str, Any]]) -> dict[str, Any]:
    service = {"attributes": [{"key": "service.name", "value": {"stringValue": "assistant"}}]}
    return {"resourceSpans": [{"resource": service, "scopeSpans": [{"scope": {"name": "openai"}, "spans": held}]}]}


SPAN_IDS = [f"{row + 16:016x}" for row in range(ROWS)]


@case(
    ids=SPAN_IDS,
    text=["embedding.embeddings.0.embedding.text"],
    notes=["Column 'span_id' has a different value in every row"],
)
def json_of_open_telemetry(folder: Path) -> str:
    return save(folder, "traces.json", traces(spans()))


@case(
    ids=SPAN_IDS,
    text=["embedding.embeddings.0.embedding.text"],
    notes=["Column 'span_id' has a different value in every row"],
)
def json_lines_of_a_collector(folder: Path) -> str:
    (folder / "traces.jsonl").write_text(lines([traces(spans()[at : at + 5]) for at in range(0, ROWS, 5)]))
    return "traces.jsonl"


@case(ids=IDS, text=["text"])
def json_of_text_alone(folder: Path) -> str:
    return save(folder, "docs.json", [{"id": row["id"], "text": row["text"]} for row in ROWS_OF_JSON])


@case(refused=["docs.json", "no rows"])
def json_of_no_rows(folder: Path) -> str:
    return save(folder, "docs.json", [])


@case(refused=["docs.json", "is not JSON", "line 3"])
def json_that_was_cut_off(folder: Path) -> str:
    text = "[\n" + ",\n".join(json.dumps(row) for row in ROWS_OF_JSON[:2])
    (folder / "docs.json").write_text(text[:-20])
    return "docs.json"


@case(refused=["settings.json", "no column of vectors", "name, threads"])
def json_of_something_else(folder: Path) -> str:
    return save(folder, "settings.json", {"name": "shoal", "threads": 4, "paths": ["a", "b"]})
