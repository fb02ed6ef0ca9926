"""Sentences that many clusters share."""

import numpy as np

from shoal.labeling.words.boilerplate import drop_boilerplate

SHARED = "Read our terms of service. "


def test_a_sentence_of_many_clusters_is_removed_and_one_of_a_single_cluster_is_kept() -> None:
    texts = [f"{SHARED}Fox number {i}. The den of the fox. " for i in range(4)]
    texts += [f"Whale number {i}. {SHARED}" for i in range(4)]
    labels = np.repeat(np.arange(2, dtype=np.int32), 4)

    dropped = drop_boilerplate(texts, labels)

    assert [text.strip() for text in dropped[:4]] == [f"Fox number {i}. The den of the fox." for i in range(4)]
    assert [text.strip() for text in dropped[4:]] == [f"Whale number {i}." for i in range(4)]


def test_a_sentence_repeated_in_a_text_is_read_once() -> None:
    assert drop_boilerplate(["Buy now! Buy now! Red fox."], np.zeros(1, np.int32)) == ["Buy now! Red fox."]


def test_short_texts_and_texts_of_only_boilerplate_are_unchanged() -> None:
    texts, labels = [SHARED] * 6, np.array([0, 0, 1, 1, 2, 2], np.int32)

    assert drop_boilerplate(texts, labels) == texts
