"""Names for several layers at once: broad above, narrow below, distinct within each layer."""

from collections.abc import Sequence

import numpy as np
import pytest

from shared_data import load, vectors
from shoal.columns import Labels
from shoal.engine import compute
from shoal.engine.plan import Plan
from shoal.labeling import Name, Partition, main_parents, name_clusters, name_layers

FINE = {
    "reset my passcode please": 0,
    "I forgot my passcode": 0,
    "how to reset the passcode": 0,
    "change my passcode today": 0,
    "my card was stolen": 1,
    "stolen card, what now": 1,
    "somebody took it: stolen card": 1,
    "report a stolen card": 1,
    "my card was declined at the shop": 2,
    "card declined again": 2,
    "why was the card declined": 2,
    "declined card in the restaurant": 2,
}


def layers_of(labels: Sequence[Labels]) -> list[Partition]:
    return [Partition(label, int(label.max()) + 1) for label in labels]


def small() -> tuple[list[str], list[Partition]]:
    fine = np.array(list(FINE.values()), np.int32)
    return list(FINE), layers_of([np.minimum(fine, 1).astype(np.int32), fine])


def test_the_selected_layer_is_named_as_if_it_were_the_only_one() -> None:
    texts, layers = small()

    result = name_layers(texts, layers, chosen=1)

    assert result[1] == name_clusters(texts, layers[1].labels, 3)
    assert [name.label for name in result[1]] == ["Reset passcode", "Stolen card", "Card declined"]


def test_a_cluster_is_named_after_what_its_parts_share() -> None:
    texts, layers = small()

    assert name_layers(texts, layers, chosen=1)[0][1].label == "Card"


def test_the_only_part_of_a_cluster_has_its_name() -> None:
    texts, layers = small()

    down, up = name_layers(texts, layers, chosen=0), name_layers(texts, layers, chosen=1)

    assert down[0][0].label == down[1][0].label
    assert up[0][0].label == up[1][0].label


def test_a_cluster_whose_parts_share_nothing_combines_the_names_of_the_largest() -> None:
    templates = ("my {}", "{} please", "where is the {}", "{} again")
    texts = [form.format(word) for word in ("passport", "luggage", "refund") for form in templates]
    parts = np.repeat(np.arange(3), 4).astype(np.int32)

    whole, _ = name_layers(texts, layers_of([np.zeros(12, np.int32), parts]), chosen=1)

    assert [word.strip().lower() for word in whole[0].label.split(",")] == ["passport", "luggage"]


def test_the_name_of_a_part_is_narrower_than_that_of_the_whole() -> None:
    texts, layers = small()

    broad, narrow = name_layers(texts, layers, chosen=0)

    parts = {name.label.casefold() for name in narrow[1:]}
    assert broad[1].label.casefold() not in parts
    assert len(parts) == 2


def test_without_words_each_layer_is_numbered_independently() -> None:
    layers = layers_of([np.zeros(4, np.int32), np.array([0, 0, 1, 1], np.int32)])

    result = name_layers(["1", "2", "3", "4"], layers, chosen=1)

    assert [[name.label for name in layer] for layer in result] == [["Cluster 0"], ["Cluster 0", "Cluster 1"]]
    assert all(name.is_number for layer in result for name in layer)


def test_noise_in_one_layer_still_contributes_to_another() -> None:
    coarse = np.array([0, 0, 0, 0], np.int32)
    fine = np.array([0, 0, -1, -1], np.int32)
    texts = ["blue whale", "a blue whale", "the old song", "an old song again"]

    named = name_layers(texts, layers_of([coarse, fine]), chosen=1)

    assert "song" in " ".join(named[0][0].keywords)
    assert "song" not in " ".join(named[1][0].keywords)


class Counted(list[str]):
    """A sequence of texts that counts how often they are read."""

    reads = 0

    def __getitem__(self, place):  # type: ignore[no-untyped-def]
        self.reads += 1
        return super().__getitem__(place)


def test_naming_five_layers_reads_each_text_as_often_as_naming_one() -> None:
    texts = [f"{word} number {n} of many" for n in range(40) for word in ("rain", "bread", "flight")]
    fine = np.tile(np.arange(3), 40).astype(np.int32)
    first, five = Counted(texts), Counted(texts)

    name_clusters(first, fine, 3)
    coarse = [np.zeros(120, np.int32), np.minimum(fine, 1).astype(np.int32)]
    name_layers(five, layers_of([*coarse, fine, fine, fine]), chosen=2)

    assert five.reads == first.reads


def test_the_parent_holds_the_most_documents_and_ties_go_to_the_first() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2, -1], np.int32)
    above = np.array([1, 1, 0, 0, 1, -1, 0], np.int32)

    assert main_parents(labels, above, 3).tolist() == [1, 0, -1]


@pytest.mark.shared_data
def test_on_real_questions_names_are_unique_within_a_layer_and_among_the_parts_of_a_cluster() -> None:
    table = load("banking77").slice(0, 4000)
    texts, points = table["text"].to_pylist(), vectors(table)
    result = compute(points, Plan(algorithm="auto", params={}, normalize=True))
    assert result.layers is not None
    layers = layers_of([layer.labels for layer in result.layers.layers])

    named = name_layers(texts, layers, chosen=result.layers.chosen)

    for names in named:
        labels = [name.label.casefold() for name in names]
        assert len(set(labels)) == len(labels)
    for number in range(1, len(layers)):
        check_parts(layers[number - 1 : number + 1], named[number - 1 : number + 1])


def check_parts(layers: Sequence[Partition], named: Sequence[Sequence[Name]]) -> None:
    parents = main_parents(layers[1].labels, layers[0].labels, layers[1].clusters)
    for parent, name in enumerate(named[0]):
        parts = [named[1][part].label for part in np.flatnonzero(parents == parent).tolist()]
        assert parts != [] or layers[0].clusters > layers[1].clusters
        assert name.label not in parts or len(parts) == 1


def test_a_broad_chosen_layer_is_not_named_after_one_of_its_many_parts() -> None:
    templates = ("my {} card please", "the {} card again", "where is a {} card", "{} card, once more")
    kinds = ("stolen", "virtual", "declined", "expired", "metal", "swallowed", "frozen", "cracked")
    texts = [form.format(kind) for kind in kinds for form in templates]
    texts += [f"{kind} parcel" for kind in kinds for _ in range(2)] + ["stolen card"] * 6
    parts = np.concatenate([np.repeat(np.arange(8), 4), np.repeat(np.arange(8, 16), 2), np.zeros(6, int)]).astype(
        np.int32
    )
    whole = ((parts >= 8).astype(np.int32)).astype(np.int32)

    broad = name_layers(texts, layers_of([whole, parts]), chosen=0)[0]

    assert [name.label for name in broad] == ["Card", "Parcel"]


@pytest.mark.slow
def test_a_large_cluster_of_many_topics_is_named_after_the_majority() -> None:
    """The reported case: 1,166 documents named "Card expires"."""
    texts = [text or "" for text in load("banking77")["text"].to_pylist()]
    outcome = compute(vectors(load("banking77")), Plan(algorithm="auto", params={"n_clusters": 20}))
    assert outcome.layers is not None
    layers = layers_of([layer.labels for layer in outcome.layers.layers])

    names = name_layers(texts, layers, chosen=outcome.layers.chosen)[outcome.layers.chosen]

    activating = [text.startswith("How do I activate my card") for text in texts]
    cards = int(np.argmax(np.bincount(outcome.labels[np.array(activating) & (outcome.labels >= 0)])))
    assert outcome.sizes[cards] > 500
    assert names[cards].label.split(", ")[0] == "Card"
