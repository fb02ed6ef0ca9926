"""`shoal.cluster` of texts without vectors: encoded on the way, named as ever, and new texts find their cluster."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import shoal
from shoal.columns import Points
from shoal.errors import InvalidField

CARDS = ["I lost my card", "my card was stolen", "report a lost card", "the card is missing", "a thief took my card"]
WEATHER = ["will it rain tomorrow", "is it sunny today", "how cold is it outside", "any snow this week", "rain today"]
RECIPES = ["how to bake bread", "a recipe for soup", "cook pasta for dinner", "bake an apple cake", "boil the potatoes"]
TEXTS = [*CARDS, *WEATHER, *RECIPES]
TOPICS = np.repeat([0, 1, 2], 5)
OPTIONS: dict[str, Any] = {"algorithm": "kmeans", "n_clusters": 3}


class Letters:
    """An encoder of the caller's: how often each letter occurs."""

    def __init__(self) -> None:
        self.calls = 0

    def encode(self, texts: list[str]) -> list[list[float]]:
        self.calls += 1
        return [[float(text.count(chr(97 + letter))) for letter in range(26)] for text in texts]


def are_the_topics(labels: Any) -> bool:
    return len({(topic, label) for topic, label in zip(TOPICS.tolist(), labels.tolist(), strict=True)}) == 3


@pytest.mark.parametrize(
    "column",
    [list, tuple, np.array, pd.Series, pa.array, pl.Series, lambda texts: pd.Series(texts, index=range(50, 65))],
    ids=["list", "tuple", "numpy", "pandas", "arrow", "polars", "index"],
)
def test_texts_alone_are_encoded_clustered_and_named(column: Callable[[list[str]], Any]) -> None:
    expected = shoal.cluster(texts=TEXTS, **OPTIONS)

    for clustering in (shoal.cluster(texts=column(TEXTS), **OPTIONS), shoal.cluster(column(TEXTS), **OPTIONS)):
        assert clustering.labels.tolist() == expected.labels.tolist()
        assert [cluster.label for cluster in clustering.clusters] == [cluster.label for cluster in expected.clusters]
    assert are_the_topics(expected.labels)
    assert any("card" in cluster.label.lower() for cluster in expected.clusters)
    assert expected.encoder is not None and expected.encoder.startswith("static@")
    assert expected.vectors is not None and expected.vectors.shape == (15, 256)
    assert not expected.warnings


def test_a_column_of_a_table_is_encoded_and_numbers_beside_it_are_no_vector() -> None:
    table = pd.DataFrame({"review": TEXTS, "stars": np.arange(15) % 5 + 1.0, "helpful": np.arange(15)})

    for clustering in (shoal.cluster(table, text="review", **OPTIONS), shoal.cluster(table, **OPTIONS)):
        assert are_the_topics(clustering.labels)
        assert list(clustering.text_columns) == ["review"]
        assert "encoded by static@" in repr(clustering) and "named from review" in repr(clustering)


def test_several_columns_are_read_together() -> None:
    halves = [text.split(maxsplit=1) for text in TEXTS]
    table = {"first": [half[0] for half in halves], "rest": [half[1] for half in halves]}

    assert are_the_topics(shoal.cluster(table, text=["first", "rest"], **OPTIONS).labels)


def test_a_list_of_names_of_files_is_files_and_not_texts(tmp_path: Path) -> None:
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for number, path in enumerate(paths):
        rows = [f'{{"id": "{number}{row}", "v": [{row}, 1]}}' for row in range(4)]
        path.write_text("\n".join(rows))
    clustering = shoal.cluster([str(path) for path in paths], text=False)
    assert len(clustering.ids) == 8 and clustering.encoder is None


def test_vectors_win_over_texts_unless_an_encoder_is_named() -> None:
    crossed = np.tile(np.eye(3, dtype=np.float32), (5, 1))
    table = pd.DataFrame({"text": TEXTS, "embedding": list(crossed)})

    by_vectors, by_texts = shoal.cluster(table, **OPTIONS), shoal.cluster(table, encoder="static", **OPTIONS)

    assert by_vectors.encoder is None and not are_the_topics(by_vectors.labels)
    assert by_texts.encoder is not None and are_the_topics(by_texts.labels)


def test_clusters_of_texts_stay_numbered_where_names_are_not_wanted() -> None:
    clustering = shoal.cluster({"body": TEXTS}, text=False, **OPTIONS)

    assert [cluster.label for cluster in clustering.clusters] == ["Cluster 0", "Cluster 1", "Cluster 2"]
    assert are_the_topics(clustering.labels)


def test_an_object_that_encodes_is_an_encoder() -> None:
    letters = Letters()
    clustering = shoal.cluster(texts=TEXTS, encoder=letters, **OPTIONS)

    assert clustering.encoder == "Letters"
    assert clustering.vectors is not None and clustering.vectors.tolist() == letters.encode(TEXTS)
    assert clustering.assign(texts=TEXTS).labels.tolist() == clustering.labels.tolist()


def test_new_texts_are_encoded_as_the_others_were_also_after_loading(tmp_path: Path) -> None:
    clustering = shoal.cluster(pd.DataFrame({"review": TEXTS}), text="review", **OPTIONS)
    clustering.save(tmp_path / "saved")
    loaded = shoal.load(tmp_path / "saved")
    new = ["somebody stole my card", "?!", "will it snow tomorrow"]
    pd.DataFrame({"review": new}).to_csv(tmp_path / "new.csv", index=False)
    expected = [clustering.labels[0], -1, clustering.labels[5]]

    for each in (clustering, loaded):
        assert each.assign(texts=new).labels.tolist() == expected
        assert each.assign(new).labels.tolist() == expected
        assert each.assign(pd.DataFrame({"review": new}), id=["a", "b", "c"]).ids.tolist() == ["a", "b", "c"]
        assert each.assign(str(tmp_path / "new.csv")).labels.tolist() == expected
        assert each.encoder == clustering.encoder
    assert loaded.vectors is None
    assert loaded.summary()["encoder"] == clustering.encoder


def test_texts_cannot_be_assigned_to_clusters_of_vectors(tmp_path: Path) -> None:
    of_vectors = shoal.cluster(np.eye(3, dtype=np.float32).repeat(5, axis=0), **OPTIONS)
    of_object = shoal.cluster(texts=TEXTS, encoder=Letters(), **OPTIONS)
    of_object.save(tmp_path / "saved")

    with pytest.raises(InvalidField, match="texts: cannot be encoded, since this clustering was made from vectors"):
        of_vectors.assign(texts=TEXTS)
    with pytest.raises(InvalidField, match="texts: were encoded by an object in memory, Letters"):
        shoal.load(tmp_path / "saved").assign(texts=TEXTS)
    with pytest.raises(InvalidField, match="texts: is given beside vectors"):
        of_object.assign(np.eye(3), texts=TEXTS)


def test_one_text_and_equal_texts_are_treated_as_one_vector_and_equal_ones_are() -> None:
    with pytest.raises(InvalidField, match="holds one document"):
        shoal.cluster(texts=["only one of them"])
    equal = shoal.cluster(texts=["the same words"] * 20)
    assert len(set(equal.labels.tolist())) == 1


def test_progress_is_reported_while_texts_are_encoded_and_may_stop_it() -> None:
    def stop(stage: str, fraction: float) -> None:
        stages.append(stage)
        if stage == "encode" and fraction > 0:
            raise KeyboardInterrupt

    stages = list[str]()
    with pytest.raises(KeyboardInterrupt):
        shoal.cluster(texts=TEXTS, progress=stop)
    assert stages[-1] == "encode"


class Broken:
    """An encoder that returns what it was made with."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def encode(self, texts: list[str]) -> Any:
        return self.answer(texts)


def nothing(texts: list[str]) -> Points:
    return np.full((len(texts), 3), np.nan, np.float32)


@pytest.mark.parametrize(
    ("encoder", "error"),
    [
        (Broken(lambda texts: np.zeros((3, 4))), "must return 1 rows of numbers, one a text, not an array of shape"),
        (Broken(lambda texts: "no"), "must return 1 rows of numbers, one a text, not"),
        (Broken(nothing), "returned numbers that are not finite"),
        (object(), "is neither a URI nor an encoder, got 'object'"),
        ("no-such-encoder", "encoder: "),
    ],
)
def test_an_encoder_that_answers_wrongly_is_refused(encoder: Any, error: str) -> None:
    with pytest.raises(InvalidField, match=error):
        shoal.cluster(texts=TEXTS, encoder=encoder)


GERMAN = [
    f"{text} {number}"
    for number in range(6)
    for text in ("ich habe meine Karte verloren", "wird es morgen regnen", "wie backt man ein Brot")
]


def test_texts_in_another_language_are_encoded_by_the_corpus_itself(tmp_path: Path) -> None:
    clustering = shoal.cluster(texts=GERMAN, **OPTIONS)

    assert clustering.encoder is not None and clustering.encoder.startswith("corpus@")
    assert any("do not look English" in warning for warning in clustering.warnings)
    assert clustering.labels.reshape(6, 3).tolist() == [clustering.labels[:3].tolist()] * 6
    assert len(set(clustering.labels[:3].tolist())) == 3
    clustering.save(tmp_path / "saved")
    loaded = shoal.load(tmp_path / "saved")
    for each in (clustering, loaded):
        assert each.assign(texts=["meine Karte ist verloren"]).labels[0] == clustering.labels[0]
