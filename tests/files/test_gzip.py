"""Text in gzip archives is read as the text itself is."""

import gc
import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InvalidField, TooLarge
from shoal.files import Source, open_source
from shoal.files.bounds import Bounds

JSONL = b'{"id": "a", "t": "one", "embedding": [1, 0]}\n{"id": "b", "t": "two", "embedding": [0, 2]}\n'
CSV = b'id,t,embedding\na,one,"[1, 0]"\nb,two,"[0, 2]"\n'
TEXTS = {"jsonl": JSONL, "ndjson": JSONL, "csv": CSV, "tsv": CSV.replace(b"[1, 0]", b"[1 0]").replace(b",", b"\t")}


def write_gzip(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(gzip.compress(content))
    return folder / name


def rows(source: Source) -> list[tuple[str, list[float], bytes]]:
    return [
        (id, values.tolist(), payload)
        for batch in source.batches()
        for id, values, payload in zip(batch.ids, batch.vectors["embedding"].values, batch.payloads, strict=True)
    ]


def open_files() -> set[str]:
    """What this process holds open."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("this system does not tell what a process holds open")
    return {str(link.readlink()) for link in folder.iterdir() if link.is_symlink()}


@pytest.mark.parametrize("ending", TEXTS)
def test_packed_text_is_read_as_the_text_itself(ending: str, tmp_path: Path) -> None:
    plain = tmp_path / f"docs.{ending}"
    plain.write_bytes(TEXTS[ending])

    source = open_source(write_gzip(tmp_path, f"docs.{ending}.gz", TEXTS[ending]))

    assert rows(source) == rows(open_source(plain))
    assert rows(source) == rows(source)  # again, as any source
    assert np.array_equal(source.read().vectors["embedding"], [[1, 0], [0, 2]])


def test_an_archive_with_another_name_is_read_where_its_format_is_given(tmp_path: Path) -> None:
    path = write_gzip(tmp_path, "export", JSONL)

    assert [row[0] for row in rows(open_source(path, format="jsonl"))] == ["a", "b"]


def test_all_members_of_an_archive_are_read(tmp_path: Path) -> None:
    lines = JSONL.splitlines(keepends=True)
    (tmp_path / "x.jsonl.gz").write_bytes(b"".join(gzip.compress(line) for line in lines))

    assert [row[0] for row in rows(open_source(tmp_path / "x.jsonl.gz"))] == ["a", "b"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-12], "ends too early"),
        (lambda content: content[:-6] + b"\0\0\0\0\0\0", "is damaged"),
        (lambda content: content[:12] + b"\xff" * 20 + content[32:], "is damaged"),
        (lambda content: content + b"rest", "is damaged"),
    ],
    ids=["cut off", "wrong sum", "overwritten", "something after"],
)
def test_a_truncated_or_damaged_archive_is_refused_in_one_line(damage: "object", message: str, tmp_path: Path) -> None:
    content = gzip.compress(JSONL * 50)
    (tmp_path / "x.jsonl.gz").write_bytes(damage(content))  # type: ignore[operator]  # a function of bytes

    with pytest.raises(InvalidField, match=message) as caught:
        open_source(tmp_path / "x.jsonl.gz")
    assert caught.value.message.startswith("x.jsonl.gz: ")
    assert "\n" not in caught.value.message


def test_a_decompression_bomb_is_rejected_while_it_is_unpacked(tmp_path: Path) -> None:
    bomb = write_gzip(tmp_path, "x.csv.gz", b"id,t\n" + b"0" * (32 * 2**20))
    before = open_files()

    with pytest.raises(TooLarge, match=r"unfolds to more than 8\.0 MiB.*SHOAL_IMPORT_UNFOLDED_MIB") as caught:
        open_source(bomb, bounds=Bounds(free_bytes=8 * 2**20, most_bytes=8 * 2**20))
    assert caught.value.details["limit_bytes"] == 8 * 2**20
    assert open_files() == before


def test_unpacked_files_are_private_and_removed_with_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    gc.collect()  # what earlier tests left open
    before = open_files()

    source = open_source(write_gzip(tmp_path, "x.jsonl.gz", JSONL))
    held = open_files() - before
    assert len(held) == 1
    assert next(iter(held)).startswith(str(folder))
    assert list(folder.iterdir()) == []

    del source
    gc.collect()
    assert open_files() <= before


def test_an_archive_of_a_bad_file_leaves_nothing_behind(tmp_path: Path) -> None:
    before = open_files()

    with pytest.raises(InvalidField, match="row 1"):
        rows(open_source(write_gzip(tmp_path, "x.jsonl.gz", JSONL.replace(b'"b"', b"1.5"))))
    with pytest.raises(InvalidField, match="its content is a gzip archive"):
        open_source(write_gzip(tmp_path, "twice.jsonl.gz", gzip.compress(JSONL)))
    gc.collect()
    assert open_files() == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.parquet.gz", gzip.compress(b"PAR1"), "is a Parquet file in a gzip archive. Unpack it"),
        ("x.csv.gz", CSV, "is not a gzip archive, as its name says"),
        ("x.txt.gz", gzip.compress(CSV), "ending that Shoal does not know"),
        ("x.csv.gz", b"", "is empty"),
    ],
    ids=["parquet", "plain text", "unknown ending", "empty"],
)
def test_archives_of_other_content_are_distinguished(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InvalidField, match=message):
        open_source(tmp_path / name)
