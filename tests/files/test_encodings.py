"""Text that is not UTF-8: read where a mark or an option says how, refused with its line where nothing does."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

import shoal
from shoal.errors import InvalidField
from shoal.files import open_source
from shoal.files.layout import CLIENT, COMMAND, HTTP, PYTHON, OptionNames

CSV = 'id,Größe,embedding\n1,Größe und 雨,"[1, 2]"\n2,Öl,"[2, 1]"\n'
JSON = '{"id": "1", "Größe": "Größe und 雨", "embedding": [1, 2]}\n{"id": "2", "Größe": "Öl", "embedding": [2, 1]}\n'
WIDE = ("utf-16", "utf-16-le", "utf-16-be", "utf-32")


def texts_of(path: Path, encoding: str | None = None) -> list[str]:
    source = open_source(path, encoding=encoding)
    return [orjson.loads(payload)["Größe"] for batch in source.batches() for payload in batch.payloads]


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize(
    ("name", "text"), [("x.csv", CSV), ("x.csv.gz", CSV), ("x.tsv", CSV.replace(",", "\t")), ("x.jsonl", JSON)]
)
def test_text_in_wide_characters_is_read_as_it_is(name: str, text: str, encoding: str, tmp_path: Path) -> None:
    content = text.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    assert texts_of(tmp_path / name) == ["Größe und 雨", "Öl"]


def test_what_excel_calls_text_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(CSV.replace(",", "\t").replace("[1\t", "[1,").replace("[2\t", "[2,"), "utf-16")

    assert texts_of(tmp_path / "x.txt") == ["Größe und 雨", "Öl"]


def test_other_text_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("some words\nand more\twords\n")
    with pytest.raises(InvalidField, match="has an ending that Shoal does not know"):
        open_source(tmp_path / "x.txt")


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_an_encoding_that_is_named_is_read(name: str, tmp_path: Path) -> None:
    content = CSV.replace("雨", "€").encode("cp1252")
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    assert texts_of(tmp_path / name, "cp1252") == ["Größe und €", "Öl"]
    assert len(shoal.cluster(tmp_path / name, encoding="cp1252", algorithm="kmeans", n_clusters=2)) == 2


def test_files_in_several_encodings_are_one_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    (tmp_path / "b.csv").write_bytes(CSV.replace("\n1", "\n3").replace("\n2", "\n4").encode("utf-16"))

    assert texts_of(tmp_path) == ["Größe und 雨", "Öl"] * 2


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (CSV.replace("Größe,", "G,").replace("雨", ""), "x.csv: row 0 (line 2), column 'G': is not UTF-8 text."),
        (CSV.replace("雨", ""), "x.csv: line 1: is not UTF-8 text, got 'Größe'."),
        ("sep=,\n" + CSV.replace("雨", ""), "x.csv: line 2: is not UTF-8 text, got 'Größe'."),
    ],
)
def test_text_that_says_nothing_of_its_encoding_is_refused_with_its_line(text: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(text, "cp1252")
    with pytest.raises(InvalidField) as refused:
        open_source(tmp_path / "x.csv")

    assert refused.value.message.startswith(place)
    assert "--encoding cp1252" in refused.value.message


@pytest.mark.parametrize(
    ("name", "content", "encoding", "says"),
    [
        ("x.csv", b"id,t\n1,\x81\n", "cp1252", "x.csv: line 2: is not cp1252 text (byte 0x81)"),
        ("x.csv", CSV.encode("utf-16")[:-1], None, "x.csv: line 3: is not UTF-16 text"),
        ("x.csv", CSV.encode(), "rot13", "encoding: is unknown, got 'rot13'"),
        ("x.csv", CSV.encode(), "excel", "encoding: is unknown, got 'excel'"),
        ("x.npy", b"\x93NUMPY", "cp1252", "encoding: belongs to text"),
        ("x.csv", CSV.encode(), 5, "encoding: must be the name of an encoding, got 5"),
        ("x.csv", CSV.encode(), "idna", "encoding: is none of files, got 'idna'"),
        ("x.csv", CSV.encode(), "unicode_escape", "encoding: is none of files, got 'unicode_escape'"),
        ("x.csv", CSV.encode("utf-16-le"), "utf-16", "x.csv: is not utf-16 text: it has no mark. Name utf-16-le or"),
        ("x.csv", CSV.encode(), "cp037", "x.csv: has no complete row. Check that it is text, in the encoding"),
    ],
)
def test_an_encoding_that_does_not_fit_is_refused(
    name: str, content: bytes, encoding: Any, says: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidField) as refused:
        open_source(tmp_path / name, encoding=encoding)

    assert refused.value.message.startswith(says)


@pytest.mark.parametrize(
    ("encoding", "named"), [("utf-16", None), ("utf-16-le", None), ("cp1252", "cp1252"), ("utf-8", "utf-8")]
)
def test_the_table_beside_an_array_is_text_like_any_other(encoding: str, named: str | None, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.eye(2, 4, dtype=np.float32))
    (tmp_path / "side.csv").write_bytes("id,Größe\n1,Größe\n2,Öl\n".encode(encoding))
    source = open_source(tmp_path / "v.npy", sidecar=tmp_path / "side.csv", encoding=named)

    payloads = [orjson.loads(payload)["Größe"] for batch in source.batches() for payload in batch.payloads]
    assert payloads == ["Größe", "Öl"]


def test_the_remedy_for_a_table_beside_an_array_works(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.eye(2, 4, dtype=np.float32))
    (tmp_path / "v.csv").write_bytes("id,Größe\n1,Größe\n2,Öl\n".encode("cp1252"))
    with pytest.raises(InvalidField, match=r"^v\.csv: line 1: is not UTF-8 text.*--encoding cp1252"):
        open_source(tmp_path / "v.npy")

    assert texts_of(tmp_path / "v.npy", "cp1252") == ["Größe", "Öl"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (COMMAND, "Set its encoding: --encoding cp1252 for"),
        (PYTHON, 'Set its encoding: encoding="cp1252" for'),
        (HTTP, "Save it as UTF-8, which Excel calls CSV UTF-8."),
        (CLIENT, "Save it as UTF-8, which Excel calls CSV UTF-8."),
    ],
)
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", CSV.replace("雨", "").encode("cp1252")),
        ("x.csv", CSV.replace("雨", "").replace("Größe,", "G,").encode("cp1252")),
        ("x.jsonl", JSON.replace("雨", "").encode("cp1252")),
    ],
)
def test_the_remedy_for_other_text_is_one_that_the_caller_has(
    name: str, content: bytes, options: OptionNames, says: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "several").mkdir()
    (tmp_path / "several" / name).write_bytes(content)
    for path in (tmp_path / name, tmp_path / "several"):
        with pytest.raises(InvalidField) as refused:
            for _ in open_source(path, options=options).batches():
                pass
        assert says in refused.value.message


def test_copies_are_gone_with_the_source(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(CSV.encode("utf-16"))
    (tmp_path / "copies").mkdir()
    source = open_source(tmp_path / "x.csv", temporary=tmp_path / "copies")
    assert len(list((tmp_path / "copies").iterdir())) == 1
    del source

    assert not list((tmp_path / "copies").iterdir())
