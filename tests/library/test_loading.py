"""A clustering that was saved does what it could before."""

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

import shoal
from library.test_from_file import IDS, TEXTS, VECTORS
from shoal.engine import ALGORITHMS
from shoal.errors import InvalidField
from shoal.library.saved import SAVED, read_saved, write_saved

NEW = np.random.default_rng(3).normal(size=(40, VECTORS.shape[1])).astype(np.float32)


def same(first: shoal.Clustering, second: shoal.Clustering) -> None:
    """Check that all results of second clusterings are equal."""
    assert list(first.ids) == list(second.ids)
    for name in ("labels", "strengths", "distances", "coordinates", "outlier_scores"):
        assert np.array_equal(
            getattr(first, name), getattr(second, name), equal_nan=getattr(first, name) is not None
        ), name
    assert list(first.clusters) == list(second.clusters)
    assert first.exemplars == second.exemplars
    assert first.summary() == second.summary()
    assert first.plan == second.plan
    tables = first.tables()
    assert tables.keys() == second.tables().keys()
    assert all(table.equals(second.tables()[name]) for name, table in tables.items())
    for rows in (VECTORS.astype(np.float32), NEW):
        assert np.array_equal(first.assign(rows).labels, second.assign(rows).labels)
        assert np.array_equal(first.assign(rows).strengths, second.assign(rows).strengths)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
@pytest.mark.parametrize("ids", [None, IDS], ids=["row numbers", "ids"])
def test_a_loaded_clustering_has_all_abilities(algorithm: str, ids: list[str] | None, tmp_path: Path) -> None:
    clustering = shoal.cluster(VECTORS.astype(np.float32), text=TEXTS, id=ids, algorithm=algorithm)
    folder = clustering.save(tmp_path / "found", note="mine")

    loaded = shoal.load(folder)

    same(clustering, loaded)
    same(clustering, shoal.load(loaded.save(tmp_path / "again")))
    assert orjson.loads((tmp_path / "again" / "summary.json").read_bytes())["note"] == "mine"


@pytest.mark.parametrize("algorithm", ["dbscan", "optics", "hdbscan", "leiden"])
def test_methods_with_a_metric_of_their_own_are_saved_with_it(algorithm: str, tmp_path: Path) -> None:
    clustering = shoal.cluster(VECTORS.astype(np.float32), algorithm=algorithm, normalize=False, metric="cosine")

    same(clustering, shoal.load(clustering.save(tmp_path / "found")))


def test_rows_far_from_the_origin_are_saved_with_it(tmp_path: Path) -> None:
    far = VECTORS + 1e7
    clustering = shoal.cluster(far, algorithm="kmeans", n_clusters=3, normalize=False)
    loaded = shoal.load(clustering.save(tmp_path / "found"))

    assert clustering.analysis.outcome.origin is not None
    assert np.array_equal(loaded.assign(far).labels, clustering.labels)


def test_a_map_is_kept_like_that_of_a_loaded_clustering(tmp_path: Path) -> None:
    clustering = shoal.cluster(VECTORS, id=IDS, algorithm="kmeans", n_clusters=3)
    loaded = shoal.load(clustering.save(tmp_path / "found"))

    first, two = (
        shoal.cluster(VECTORS, id=IDS, algorithm="kmeans", n_clusters=3, like=like) for like in (clustering, loaded)
    )

    assert np.array_equal(first.coordinates, two.coordinates)  # type: ignore[arg-type]  # both have a map


def test_without_a_model_the_tables_are_there_and_loading_says_what_is_missing(tmp_path: Path) -> None:
    folder = shoal.cluster(VECTORS, algorithm="kmeans", n_clusters=3).save(tmp_path / "found", model=False)

    assert SAVED not in {path.name for path in folder.iterdir()}
    with pytest.raises(InvalidField, match="--no-model"):
        shoal.load(folder)


def test_a_folder_without_results_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "summary.json").write_text('{"format": "something else"}')
    for folder, words in (
        ("nowhere", "there is no such folder"),
        (".", "holds no results"),
        ("other", "something else"),
    ):
        with pytest.raises(InvalidField, match=words):
            shoal.load(tmp_path / folder)


def damages(whole: bytes) -> Iterator[bytes]:
    """The file cut off, with a bit flipped here and there, packed, and of other content."""
    yield b""
    yield b"PK"
    yield from (whole[: len(whole) * part // 7] for part in range(1, 7))
    for place in range(60, len(whole) - 1, max(len(whole) // 60, 1)):
        yield whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]


def test_damage_is_named_and_nothing_else_comes_of_it(tmp_path: Path) -> None:
    folder = shoal.cluster(VECTORS, text=TEXTS, algorithm="kmeans", n_clusters=3).save(tmp_path / "found")
    whole, expected = (folder / SAVED).read_bytes(), shoal.load(folder)
    named = refused = 0
    for damaged in damages(whole):
        (folder / SAVED).write_bytes(damaged)
        try:
            same(shoal.load(folder), expected)  # a bit that nothing reads, such as a date
        except InvalidField as error:
            refused += 1
            named += error.field == f"found/{SAVED}"
    assert named == refused > 40


def rewritten(path: Path, about: dict[str, Any], **more: Any) -> None:
    with np.load(path) as held:
        arrays = {name: held[name] for name in held.files}
    arrays["about"] = np.frombuffer(orjson.dumps(about), np.uint8)
    np.savez(path, **(arrays | more))


@pytest.mark.parametrize(
    "parts",
    [
        {"record": ["Popen", {"map": {}}]},
        {"function": "system"},
        {"method": [{"record": ["Metric", {"cosine": True}]}, "__init__"]},
        {"method": ["text", "format"]},
        {"pickle": "x"},
        {"array": "absent"},
        [],
        {"map": {}},
    ],
)  # fmt: skip
def test_only_what_a_clustering_consists_of_is_made(parts: Any, tmp_path: Path) -> None:
    folder = shoal.cluster(VECTORS, algorithm="kmeans", n_clusters=3).save(tmp_path / "found")
    rewritten(folder / SAVED, {"format": "shoal-clustering-1", "parts": parts})

    with pytest.raises(InvalidField):
        shoal.load(folder)


def test_another_version_and_a_packed_file_are_refused(tmp_path: Path) -> None:
    folder = shoal.cluster(VECTORS, algorithm="kmeans", n_clusters=3).save(tmp_path / "found")
    rewritten(folder / SAVED, {"format": "shoal-clustering-9", "parts": {}})
    with pytest.raises(InvalidField, match="another version"):
        shoal.load(folder)

    with zipfile.ZipFile(folder / SAVED, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.npy", b"\0" * 10_000_000)
    with pytest.raises(InvalidField, match="packed"):
        shoal.load(folder)


def test_a_data_frame_can_be_joined_after_loading(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": IDS, "text": TEXTS, "embedding": list(VECTORS)})
    moments = pandas.date_range("2024-01-01", periods=len(frame), name="when")
    pairs = pandas.MultiIndex.from_arrays([range(len(frame)), IDS], names=["n", None])
    for index in (frame.index[::-1], pandas.Index(IDS, name="key")[::-1], moments, pairs):
        frame.index = index
        clustering = shoal.cluster(frame, vector="embedding", text="text", id="id", algorithm="kmeans", n_clusters=3)
        loaded = shoal.load(clustering.save(tmp_path / "found"))

        joined = frame.join(loaded.to_pandas())
        assert joined["document_id"].tolist() == joined["id"].tolist()
        assert loaded.to_pandas().index.equals(index)
        assert loaded.to_pandas().index.names == index.names


@pytest.mark.parametrize(
    "changed",
    [
        {"labels": np.zeros(len(VECTORS) - 1, np.int32)},
        {"labels": np.full(len(VECTORS), 99, np.int32)},
        {"labels": np.full(len(VECTORS), -2, np.int32)},
        {"labels": np.zeros((len(VECTORS), 1), np.int32)},
        {"labels": np.zeros(len(VECTORS))},
        {"labels": None},
        {"strengths": np.zeros(3, np.float32)},
        {"strengths": "x"},
        {"distances": np.array(["x"] * len(VECTORS))},
        {"coordinates": np.zeros((3, 2), np.float32)},
        {"metrics": []},
        {"params": None},
    ],
    ids=str,
)
def test_parts_that_do_not_fit_together_are_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    path = shoal.cluster(VECTORS, text=TEXTS, algorithm="kmeans", n_clusters=3).save(tmp_path / "found") / SAVED
    parts = read_saved(path)
    outcome = replace(parts["analysis"].outcome, **changed)
    with path.open("wb") as file:
        write_saved(file, parts | {"analysis": replace(parts["analysis"], outcome=outcome)})
    with pytest.raises(InvalidField, match=f"found/{SAVED}: is damaged"):
        shoal.load(path.parent)


def test_a_clustering_saved_in_november_2026_still_loads() -> None:
    """Written by the version that named clusters while it found them: four groups of ten, by `auto`."""
    loaded = shoal.load(Path(__file__).parents[1] / "data" / "clustering-2026-11")

    assert [(cluster.cluster_id, cluster.label, cluster.size) for cluster in loaded.clusters] == [
        ("cl_0", "Lost my luggage at the airport please", 10),
        ("cl_1", "Improve my credit score please", 10),
        ("cl_2", "Play some jazz music please", 10),
        ("cl_3", "Book a flight to Rome please", 10),
    ]
    assert loaded.labels.tolist() == [0, 1, 2, 3] * 10
    assert [layer.chosen for layer in loaded.layers].count(True) == 1
    assert loaded.assign(np.eye(4, 8, dtype=np.float32)).labels.tolist() == [0, 1, 2, 3]
