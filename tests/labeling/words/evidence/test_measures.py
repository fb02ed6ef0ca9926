"""Names carry what they are worth on texts that were not counted for them, and a summary."""

from dataclasses import replace

import numpy as np
import pytest

from shoal.encoders.static import StaticEncoder
from shoal.labeling import Brief, Budget, Name, Partition, WordNamer
from shoal.labeling.words.candidates import find_candidates
from shoal.labeling.words.evidence.contrast import Evidence
from shoal.labeling.words.evidence.measures import _take_of_cells
from shoal.labeling.words.evidence.overlap import Overlap, find_overlap
from shoal.labeling.words.namer import name_clusters
from shoal.labeling.words.phrases import count_phrases
from shoal.labeling.words.sample import sample_rows
from shoal.labeling.words.scores import score_phrases
from shoal.labeling.words.tokens import tokenize

TOPICS = {
    "lost luggage": ("my luggage was lost", "lost luggage at the airport", "the airline lost my luggage"),
    "credit score": ("what is my credit score", "my credit score is low", "show me the credit score"),
    "improve credit score": ("how do I improve my credit score", "ways to improve a credit score", "improve my score"),
}
PLACES = (
    "in Paris",
    "in Rome",
    "in Oslo",
    "in Madrid",
    "in Vienna",
    "in Lisbon",
    "in Dublin",
    "in Prague",
    "in Athens",
)


def texts_of_topics() -> tuple[list[str], np.ndarray]:
    texts = [f"{form} {place}" for forms in TOPICS.values() for form in forms for place in PLACES]
    return texts, np.repeat(np.arange(3, dtype=np.int32), 27)


def names_of(texts: list[str], labels: np.ndarray, *, encoder: bool, vectors: bool) -> list[Name]:
    points = StaticEncoder().encode(texts) if vectors else None
    namer = WordNamer(encoder=StaticEncoder() if encoder else None)
    return namer.name(Brief(texts, [Partition(labels, 3)], points=points), Budget())[0]


@pytest.mark.parametrize(("encoder", "vectors"), [(False, False), (False, True), (True, False), (True, True)])
def test_a_name_that_only_its_cluster_has_scores_and_covers_all(encoder: bool, vectors: bool) -> None:
    texts, labels = texts_of_topics()

    luggage, score, improve = names_of(texts, labels, encoder=encoder, vectors=vectors)

    assert "luggage" in luggage.label.casefold() and "improve" in improve.label.casefold()
    assert (luggage.score, luggage.coverage) == (1.0, 1.0)
    assert score.score is not None and 0.0 <= score.score <= 1.0
    assert luggage.evidence and all(labels[row] == 0 for row in luggage.evidence)


@pytest.mark.parametrize(("encoder", "vectors"), [(False, False), (False, True), (True, True)])
def test_names_are_the_same_for_any_order_of_rows(encoder: bool, vectors: bool) -> None:
    texts, labels = texts_of_topics()
    order = np.random.default_rng(1).permutation(len(texts))

    names = names_of(texts, labels, encoder=encoder, vectors=vectors)
    shuffled = names_of([texts[row] for row in order], labels[order], encoder=encoder, vectors=vectors)

    assert shuffled == names
    assert [name.score for name in shuffled] == [name.score for name in names]


def test_a_name_that_fits_a_sibling_better_is_not_taken() -> None:
    texts = [f"{form} {place}" for form in ("credit limit", "raise the credit limit") for place in PLACES]
    texts += [f"{form} {place}" for form in ("credit limit now", "the credit limit") for place in PLACES]
    labels = np.repeat(np.arange(2, dtype=np.int32), 18)

    raised, _ = name_clusters(texts, labels, 2)

    assert "raise" in raised.label.casefold()


def test_a_summary_is_a_sentence_of_the_cluster_without_addresses() -> None:
    sentence = "The luggage was lost on the way to Paris."
    texts = [f"Hi! {sentence} See https://example.com/{n} for the lost luggage of order {n}." for n in range(6)]
    texts += [f"Reset the password of account {n} now please" for n in range(6)]

    lost, reset = name_clusters(texts, np.repeat(np.arange(2, dtype=np.int32), 6), 2)

    assert lost.summary == sentence
    assert reset.summary is not None and reset.summary.startswith("Reset the password")


def test_texts_without_a_sentence_have_no_summary() -> None:
    names = name_clusters(["red fox", "red foxes", "blue whale", "blue whales"], np.array([0, 0, 1, 1], np.int32), 2)

    assert [name.summary for name in names] == [None, None]


def two_topics_in_three_clusters(forms: tuple[str, str], size: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """A coarse cluster of two fine ones, whose texts are apart in row order, and another cluster."""
    texts = [f"{form} {n} times near {PLACES[n % 9][3:]}" for form in forms for n in range(size)]
    texts += [f"a blue whale {n} times near {PLACES[n % 9][3:]}" for n in range(size)]
    fine = np.repeat(np.arange(3, dtype=np.int32), size)
    return texts, fine, np.array([0, 0, 1], np.int32)[fine]


def test_measures_of_all_layers_are_the_same_for_any_order_of_rows() -> None:
    texts, fine, coarse = two_topics_in_three_clusters(("red fox hunts the hare", "red fox sleeps in a den"), 300)

    def measure(order: np.ndarray) -> list[list[tuple[object, ...]]]:
        layers = [Partition(coarse[order], 2), Partition(fine[order], 3)]
        named = WordNamer().name(Brief([texts[row] for row in order], layers, chosen=1), Budget())
        return [
            [(name, name.score, name.coverage, tuple(order[list(name.evidence)])) for name in names] for names in named
        ]

    rows = np.arange(len(texts))

    assert measure(rows) == measure(rows[::-1]) == measure(np.random.default_rng(3).permutation(rows))


def test_a_coarse_name_is_measured_on_documents_of_all_its_parts() -> None:
    """The first fifty rows of the cluster are of its first part alone."""
    rows, cells = np.arange(300), np.repeat(np.array([0, 1], np.int32), [200, 100])

    chosen = _take_of_cells(rows, cells)

    assert len(chosen) == 50
    assert np.bincount(cells[chosen]).tolist() in ([33, 17], [34, 16])


def test_documents_that_measure_a_name_do_not_choose_it() -> None:
    """Documents that share no word with any other, wherever they are held out, change measures, not names."""
    texts, labels = texts_of_topics()
    sealed = sample_rows(texts, [labels]).held_out
    spoiled = sample_rows(texts, [labels]).rows[sealed]
    table = tokenize(texts)
    phrases = count_phrases(table, np.where(np.isin(np.arange(81), spoiled), -1, labels).astype(np.int32), 3)
    overlap, nearest = find_overlap(table), np.array([[1, 2], [0, 2], [0, 1]])
    holds = overlap.holds.tolil()
    holds[spoiled] = 0
    without = replace(overlap, holds=holds.tocsr())
    counted = np.where(np.isin(np.arange(81), spoiled), -1, labels).astype(np.int32)

    def rank(overlap: Overlap) -> list[list[tuple[str, float]]]:
        candidates = find_candidates(phrases, score_phrases(phrases, nearest), table, counted)
        Evidence(overlap, [], counted, nearest).rank(candidates, phrases)
        return [[(each.keyword, each.score) for each in own] for own in candidates]

    assert rank(without) == rank(overlap)


def test_a_small_cluster_has_evidence_but_no_score() -> None:
    texts = [f"lost luggage {place}" for place in PLACES] + [f"low credit score {place}" for place in PLACES]

    names = name_clusters(texts, np.repeat(np.arange(2, dtype=np.int32), 9), 2)

    assert [(name.score, name.coverage) for name in names] == [(None, None)] * 2
    assert all(name.evidence for name in names)
