"""CSV and its relatives."""

import base64
import bz2
import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from corpus.cases import (
    BODIES,
    DIMENSION,
    IDS,
    NUMBERS,
    ROWS,
    TITLES,
    TOPICS,
    UUIDS,
    VECTORS,
    case,
    numpy_text,
)

JSON_TEXT = [json.dumps([round(float(n), 6) for n in vector]) for vector in VECTORS]


def table(columns: Mapping[str, Sequence[object]], delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL) -> str:
    """As `csv.writer` and pandas write it."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\n")  # type: ignore[arg-type]
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue()


def save(folder: Path, name: str, text: str, encoding: str = "utf-8") -> str:
    (folder / name).write_bytes(text.encode(encoding))
    return name


def comma(numbers: Iterable[float], digits: int = 6) -> list[str]:
    """As a German or French office writes them."""
    return [f"{number:.{digits}f}".replace(".", ",") for number in numbers]


@case(ids=NUMBERS, text=["text"])
def csv_of_a_data_frame_with_numpy_vectors(folder: Path) -> str:
    vectors = [numpy_text(vector) for vector in VECTORS]
    assert "\n" in vectors[0]
    assert "," not in vectors[0]
    return save(folder, "docs.csv", table({"id": NUMBERS, "text": TITLES, "embedding": vectors}))


@case(refused=["embedding", "was abbreviated by NumPy", "set_printoptions", "line 2"])
def csv_with_numpy_vectors_that_were_cut(folder: Path) -> str:
    vectors = [numpy_text(np.tile(vector, 100)) for vector in VECTORS]
    assert "..." in vectors[0]
    return save(folder, "docs.csv", table({"id": NUMBERS, "text": TITLES, "embedding": vectors}))


@case(ids=UUIDS, text=["title", "body"], notes=["Column 'uuid' has a different value in every row"])
def csv_with_vectors_as_json_and_uuids(folder: Path) -> str:
    return save(folder, "docs.csv", table({"uuid": UUIDS, "title": TITLES, "body": BODIES, "vector": JSON_TEXT}))


@case(ids=IDS, text=["subject"], notes=["Column 'ticket' has a different value in every row"])
def csv_with_numpy_scalars_in_lists_and_a_ticket(folder: Path) -> str:
    vectors = ["[" + ", ".join(f"np.float32({n})" for n in vector) + "]" for vector in VECTORS.tolist()]
    return save(folder, "tickets.csv", table({"ticket": IDS, "subject": TITLES, "embedding": vectors}))


@case(
    ids=IDS,
    text=["Betreff"],
    notes=[
        "Column 'Ticket-Nr' has a different value in every row",
        "Columns 'dim_0' to 'dim_11' were read as one vector 'dim'",
    ],
)
def csv_of_a_german_office(folder: Path) -> str:
    columns: dict[str, Sequence[object]] = {
        "Ticket-Nr": IDS,
        "Betreff": TITLES,
        "Betrag": comma(np.arange(ROWS) / 4, 2),
    }
    columns |= {f"dim_{at}": comma(VECTORS[:, at]) for at in range(DIMENSION)}
    return save(folder, "tickets.csv", table(columns, ";").replace("\n", "\r\n"), "utf-8-sig")


@case(ids=NUMBERS, text=["text"])
def csv_with_a_separator_line_for_excel(folder: Path) -> str:
    text = table({"id": NUMBERS, "text": TITLES, "embedding": JSON_TEXT}, ";")
    return save(folder, "docs.csv", "sep=;\r\n" + text.replace("\n", "\r\n"))


@case(ids=IDS, text=["text"])
def tsv_with_vectors_of_postgres(folder: Path) -> str:
    vectors = ["{" + ",".join(map(str, vector)) + "}" for vector in VECTORS.tolist()]
    return save(folder, "docs.tsv", table({"_id": IDS, "text": TITLES, "embedding": vectors}, "\t"))


@case(ids=IDS, text=["text"])
def csv_that_is_separated_by_tabs(folder: Path) -> str:
    columns = {"id": IDS, "text": TITLES, "embedding": [text[1:-1] for text in JSON_TEXT]}
    return save(folder, "docs.csv", table(columns, "\t"))


@case(ids=IDS, text=["text"])
def csv_with_bars_and_vectors_between_spaces(folder: Path) -> str:
    vectors = [" ".join(map(str, vector)) for vector in VECTORS.tolist()]
    return save(folder, "docs.csv", table({"document_id": IDS, "text": TITLES, "vec": vectors}, "|"))


@case(ids=IDS, text=["text"])
def text_file_with_a_delimiter_that_is_named(folder: Path) -> Sequence[str]:
    text = table({"id": IDS, "text": TITLES, "embedding": JSON_TEXT}, "^")
    return [save(folder, "docs.txt", text), "--format", "csv", "--delimiter", "^"]


@case(ids=IDS, text=["note"])
def csv_with_line_breaks_in_quotes_and_empty_lines_at_the_end(folder: Path) -> str:
    notes = [f'{title}\n"{body}",\r\nbye' for title, body in zip(TITLES, BODIES, strict=True)]
    return save(folder, "notes.csv", table({"id": IDS, "note": notes, "embedding": JSON_TEXT}) + "\n\n\n")


@case(ids=IDS, text=["text"], notes=["Columns 'emb.0' to 'emb.11' were read as one vector 'emb'"])
def csv_with_everything_in_quotes(folder: Path) -> str:
    columns: dict[str, Sequence[object]] = {"id": IDS, "text": TITLES}
    columns |= {f"emb.{at}": VECTORS[:, at].tolist() for at in range(DIMENSION)}
    return save(folder, "docs.csv", table(columns, quoting=csv.QUOTE_ALL))


@case(refused=["row 0 (line 2)", "'text'", "not UTF-8", "--encoding cp1252"])
def csv_in_latin_1(folder: Path) -> str:
    texts = [f"Größe: {title}" for title in TITLES]
    return save(folder, "docs.csv", table({"id": IDS, "text": texts, "embedding": JSON_TEXT}), "latin-1")


@case(ids=IDS, text=["text"])
def text_file_in_cp1252_whose_encoding_is_named(folder: Path) -> Sequence[str]:
    texts = [f"Größe: {title}" for title in TITLES]
    text = table({"id": IDS, "text": texts, "embedding": JSON_TEXT}, ";")
    return [save(folder, "docs.csv", text, "cp1252"), "--encoding", "cp1252"]


@case(ids=IDS, text=["text"])
def text_file_with_tabs_in_utf_16_as_excel_calls_it(folder: Path) -> str:
    return save(folder, "docs.txt", table({"id": IDS, "text": TITLES, "embedding": JSON_TEXT}, "\t"), "utf-16")


@case(ids=IDS, text=["text"])
def csv_in_utf_16_as_excel_saves_unicode_text(folder: Path) -> str:
    return save(folder, "docs.csv", table({"id": IDS, "text": TITLES, "embedding": JSON_TEXT}, "\t"), "utf-16")


@case(ids=IDS, text=["text"])
def csv_with_a_mark_and_base64_of_float32(folder: Path) -> str:
    vectors = [base64.b64encode(vector.tobytes()).decode() for vector in VECTORS]
    return save(folder, "docs.csv", table({"id": IDS, "text": TITLES, "embedding": vectors}), "utf-8-sig")


@case(ids=IDS, text=["text"])
def csv_with_base64_of_float64(folder: Path) -> str:
    vectors = [base64.b64encode(vector.astype(np.float64).tobytes()).decode() for vector in VECTORS]
    return save(folder, "docs.csv", table({"ID": IDS, "text": TITLES, "vector": vectors}))


@case(ids=IDS, text=["text"])
def csv_in_a_gzip_archive(folder: Path) -> str:
    text = table({"id": IDS, "text": TITLES, "embedding": [f"tensor({text})" for text in JSON_TEXT]})
    (folder / "docs.csv.gz").write_bytes(gzip.compress(text.encode()))
    return "docs.csv.gz"


@case(refused=["bzip2", "Unpack it"])
def csv_in_a_bzip2_archive(folder: Path) -> str:
    (folder / "docs.csv.bz2").write_bytes(bz2.compress(table({"id": IDS, "embedding": JSON_TEXT}).encode()))
    return "docs.csv.bz2"


@case(text=["text"], notes=["Columns '0' to '11' were read as one vector 'vector'"])
def csv_with_the_index_of_a_data_frame_and_a_column_for_each_dimension(folder: Path) -> str:
    columns: dict[str, Sequence[object]] = {"": range(ROWS)}
    columns |= {str(at): VECTORS[:, at].tolist() for at in range(DIMENSION)} | {"text": TITLES}
    return save(folder, "docs.csv", table(columns))


@case(ids=IDS, text=["text"], notes=["Column 'Unnamed: 0' has a different value in every row"])
def csv_with_an_unnamed_column_of_ids(folder: Path) -> str:
    return save(folder, "docs.csv", table({"Unnamed: 0": IDS, "text": TITLES, "embeddings": JSON_TEXT}))


@case(notes=["Columns '0' to '11' were read as one vector 'vector'"])
def csv_of_numbers_without_a_header(folder: Path) -> str:
    out = io.BytesIO()
    np.savetxt(out, VECTORS, delimiter=",")
    (folder / "vectors.csv").write_bytes(out.getvalue())
    return "vectors.csv"


@case()
def numbers_between_spaces_without_a_header(folder: Path) -> Sequence[str]:
    np.savetxt(folder / "vectors.txt", VECTORS)
    return ["vectors.txt", "--format", "csv"]


@case(refused=["words.txt", "has no header"])
def words_with_their_vectors_as_glove_has_them(folder: Path) -> Sequence[str]:
    lines = [f"word{row} " + " ".join(f"{n:.5f}" for n in vector) for row, vector in enumerate(VECTORS)]
    return [save(folder, "words.txt", "\n".join(lines)), "--format", "csv"]


@case(refused=["docs.csv", "has no header", "first line"])
def csv_whose_first_line_is_a_document(folder: Path) -> str:
    text = table({"id": IDS, "text": TITLES, "embedding": JSON_TEXT})
    return save(folder, "docs.csv", text.partition("\n")[2])


@case(refused=["docs.csv: row 0 (line 2)", "A quote is recognized only directly after the delimiter"])
def csv_with_spaces_in_front_of_quotes(folder: Path) -> str:
    rows = [f"{id}, {vector}\n" for id, vector in zip(IDS, (f'"{text}"' for text in JSON_TEXT), strict=True)]
    return save(folder, "docs.csv", "id, embedding\n" + "".join(rows))


@case(refused=["docs.csv", "no rows"])
def csv_with_nothing_but_a_header(folder: Path) -> str:
    return save(folder, "docs.csv", "id,text,embedding\n")


@case(refused=["docs.csv", "is empty"])
def csv_of_no_bytes(folder: Path) -> str:
    return save(folder, "docs.csv", "")


@case(ids=IDS, text=["subject", "body"], notes=["Column 'ticket' has a different value in every row"])
def csv_of_text_alone(folder: Path) -> str:
    return save(folder, "tickets.csv", table({"ticket": IDS, "subject": TITLES, "body": BODIES}))


@case(refused=["sales.csv", "no column of vectors or of text", "amount, units"])
def csv_of_amounts(folder: Path) -> str:
    return save(folder, "sales.csv", table({"amount": [n / 4 for n in range(ROWS)], "units": range(ROWS)}))


@case(refused=["docs.csv: row 4321 (line 4323), column 'embedding'", "has 11 numbers where the others have 12"])
def csv_with_one_bad_row_in_5000(folder: Path) -> str:
    vectors = [JSON_TEXT[row % ROWS] for row in range(5000)]
    vectors[4321] = json.dumps([1.5] * 11)
    columns = {"id": range(5000), "text": [TITLES[row % ROWS] for row in range(5000)], "embedding": vectors}
    return save(folder, "docs.csv", table(columns))


@case(refused=["docs.csv: row 30 (line 92), column 'embedding'", "is not a vector", "[n/a]"])
def csv_with_a_bad_vector_below_texts_of_many_lines(folder: Path) -> str:
    rows = range(40)
    vectors = [JSON_TEXT[row % ROWS] for row in rows]
    vectors[30] = "[n/a]"
    columns = {"id": rows, "text": [f"{TITLES[row % ROWS]}\n\nbye" for row in rows], "embedding": vectors}
    return save(folder, "docs.csv", table(columns))


@case(ids=[IDS[row] for row in range(ROWS) if row not in (4, 9)], rows=[n for n in range(ROWS) if n not in (4, 9)],
      text=["text"], notes=["2 documents have no embedding"])  # fmt: skip
def csv_with_missing_vectors_as_programs_write_them(folder: Path) -> str:
    vectors = list(JSON_TEXT)
    vectors[4], vectors[9] = "", "NULL"
    return save(folder, "docs.csv", table({"id": IDS, "text": TITLES, "embedding": vectors}))


@case(refused=["two columns called 'text'", "Rename"])
def csv_with_two_columns_of_one_name(folder: Path) -> str:
    return save(folder, "docs.csv", table({"id": IDS, "text": TITLES, "embedding": JSON_TEXT}).replace("id", "text", 1))


@case(
    ids=IDS,
    text=["text"],
    notes=[
        "Column 'doc_id' has a different value in every row",
        "Columns 'embedding[0]' to 'embedding[11]' were read as one vector 'embedding'",
    ],
)
def csv_with_dimensions_in_brackets_and_scientific_numbers(folder: Path) -> str:
    columns: dict[str, Sequence[object]] = {"doc_id": IDS, "text": TITLES}
    columns |= {f"embedding[{at}]": [f"{n:.6e}" for n in VECTORS[:, at]] for at in range(DIMENSION)}
    return save(folder, "docs.csv", table(columns))


@case(text=["text"], ids=NUMBERS, notes=["Column 'ticket_id' has a different value in every row"])
def csv_with_ids_as_floats(folder: Path) -> str:
    return save(
        folder, "docs.csv", table({"ticket_id": [f"{n}.0" for n in NUMBERS], "text": TITLES, "embedding": JSON_TEXT})
    )


@case(refused=["row 7 (line 9)", "column 'id'", "repeats the id of row 2", "--id none"])
def csv_with_an_id_that_comes_twice(folder: Path) -> str:
    ids = [IDS[2] if row == 7 else id for row, id in enumerate(IDS)]
    return save(folder, "docs.csv", table({"id": ids, "text": TITLES, "embedding": JSON_TEXT}))


@case(text=["text"])
def csv_of_chunks_numbered_by_their_rows(folder: Path) -> Sequence[str]:
    ids = [f"page-{row // 2}" for row in range(ROWS)]
    return [save(folder, "docs.csv", table({"id": ids, "text": TITLES, "embedding": JSON_TEXT})), "--id", "none"]


@case(ids=IDS, text=["text"])
def csv_in_several_files_one_of_them_packed(folder: Path) -> Sequence[str]:
    for part in range(3):
        rows = slice(8 * part, 8 * part + 8)
        amounts = ["7", "8.5", "?"][part : part + 1] * 8
        columns = {"id": IDS[rows], "text": TITLES[rows], "n": amounts, "embedding": JSON_TEXT[rows]}
        save(folder, f"part-{part}.csv", table(columns, ",;\t"[part]))
    (folder / "part-1.csv.gz").write_bytes(gzip.compress((folder / "part-1.csv").read_bytes()))
    (folder / "part-1.csv").unlink()
    return ["part-0.csv", "part-1.csv.gz", "part-2.csv"]


@case(refused=["data/b.csv: row 3, column 'embedding'", "has 2 numbers where the others have 12"])
def csv_in_a_folder_with_a_bad_row(folder: Path) -> str:
    (folder / "data").mkdir()
    for at, name in enumerate("ab"):
        vectors = JSON_TEXT[12 * at : 12 * at + 12]
        vectors[3] = "[0.5, 1.5]" if at else vectors[3]
        save(folder, f"data/{name}.csv", table({"id": IDS[12 * at : 12 * at + 12], "embedding": vectors}))
    return "data"


@case(refused=["b.csv", "has no column 'text', and a.csv has one"])
def csv_files_with_other_columns(folder: Path) -> Sequence[str]:
    save(folder, "a.csv", table({"id": IDS, "text": TITLES, "embedding": JSON_TEXT}))
    return ["a.csv", save(folder, "b.csv", table({"id": IDS, "embedding": JSON_TEXT}))]


@case(ids=IDS, text=["text"], notes=["Column 'ticket' has a different value in every row"])
def csv_that_went_through_pandas_twice(folder: Path) -> str:
    columns = {"": range(ROWS), "Unnamed: 0": range(ROWS), "ticket": IDS, "text": TITLES, "embedding": JSON_TEXT}
    return save(folder, "docs.csv", table(columns))


@case(text=["text"])
def csv_whose_topics_are_no_ids(folder: Path) -> str:
    return save(folder, "docs.csv", table({"topic": TOPICS, "text": TITLES, "embedding": JSON_TEXT}))


@case(refused=["docs.csv", "title_vector, body_vector", "--vector title_vector"])
def csv_with_vectors_of_two_models(folder: Path) -> str:
    short = [json.dumps(vector[:8]) for vector in VECTORS.tolist()]
    columns = {"id": IDS, "text": TITLES, "title_vector": short, "body_vector": JSON_TEXT}
    return save(folder, "docs.csv", table(columns))


@case(ids=IDS, text=["text"])
def csv_with_vectors_of_two_models_one_of_them_named(folder: Path) -> Sequence[str]:
    return [str(csv_with_vectors_of_two_models(folder)), "--vector", "body_vector"]
