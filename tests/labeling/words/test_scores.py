"""Which clusters are neighbours, and what distinguishes them."""

import numpy as np
import pytest

from shoal.labeling.words.phrases import Phrases, count_phrases
from shoal.labeling.words.scores import fitness, nearest_clusters, score_phrases
from shoal.labeling.words.tokens import TokenTable, tokenize


def corpus(*clusters: list[str]) -> tuple[TokenTable, Phrases]:
    texts = [text for texts in clusters for text in texts]
    labels = np.repeat(np.arange(len(clusters)), [len(texts) for texts in clusters]).astype(np.int32)
    table = tokenize(texts)
    return table, count_phrases(table, labels, len(clusters))


def test_by_centroids_the_nearest_cluster_is_the_one_in_the_same_direction() -> None:
    _, phrases = corpus(["a1x"], ["b1x"], ["c1x"])
    centroids = np.array([[1, 0], [0.9, 0.1], [-1, 0]], np.float32)

    nearest = nearest_clusters(phrases, centroids)

    assert nearest[0].tolist() == [1, 2]
    assert nearest[1].tolist() == [0, 2]


def test_without_centroids_the_nearest_cluster_is_the_one_that_shares_words() -> None:
    _, phrases = corpus(["red apple tree"] * 2, ["blue ocean wave"] * 2, ["red apple pie"] * 2)

    assert nearest_clusters(phrases, None)[0, 0] == 2


def test_a_single_cluster_has_no_neighbours_and_still_has_scores() -> None:
    _, phrases = corpus(["red apple"] * 2)

    nearest = nearest_clusters(phrases, None)

    assert nearest.shape == (1, 0)
    assert score_phrases(phrases, nearest).max() > 0


def test_a_phrase_of_one_cluster_scores_above_one_of_all() -> None:
    table, phrases = corpus(*[[f"{own} ticket"] * 3 for own in ("train", "opera", "lottery")])
    scores = score_phrases(phrases, nearest_clusters(phrases, None))

    matrix = phrases.counts.copy()
    matrix.data = scores.astype(np.float32)
    stems = {w: int(table.vocabulary.stems[i]) for i, w in enumerate(table.vocabulary.words)}
    by_word = {w: matrix[:, phrases.word_phrase[s]].toarray().ravel() for w, s in stems.items()}

    assert by_word["train"][0] > 10 * by_word["ticket"][0]
    assert by_word["train"][1] == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_counts_in_neighbours_agree_with_plain_sums(seed: int) -> None:
    """score_phrases against the formula written out for each entry."""
    rng = np.random.default_rng(seed)
    words = ["fox", "owl", "elk", "bee", "ant"]
    table, phrases = corpus(*[[" ".join(rng.permutation(words)[:2]) for _ in range(8)] for _ in range(7)])
    nearest = nearest_clusters(phrases, None)
    dense = phrases.counts.toarray().astype(float)
    scores = score_phrases(phrases, nearest)

    expected = []
    for c in range(7):
        for p in phrases.counts.indices[phrases.counts.indptr[c] : phrases.counts.indptr[c + 1]]:
            a, n = dense[c, p], 8.0
            own = (a - 0.25 + 0.5) / (n + 1)
            elsewhere = (dense[:, p].sum() - a + 0.5) / (48 + 1)
            near = (dense[nearest[c], p].sum() + 0.5) / (32 + 1)
            lift = 0.65 * np.log(own / elsewhere) + 0.35 * np.log(own / near)
            expected.append((a / n) ** 0.8 * max(lift, 0.01) if a >= 2 else 0.0)

    assert len(table) > 0
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_a_truncated_phrase_scores_lower_than_a_complete_one() -> None:
    table, phrases = corpus(["machines accept this coin", "machines accept the coin", "accept coin"] * 3)
    form = fitness(phrases)
    spans = phrases.spans
    texts = [table.phrase(int(spans.starts[i]), int(spans.lengths[i])) for i in phrases.first]

    assert form[texts.index("machines accept")] < 0.7 * form[texts.index("accept coin")]
