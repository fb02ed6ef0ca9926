"""Names from a field of few short values (kinds of products, domains)."""

from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest

import shoal
from shared_data import load, vectors
from shoal.columns import Labels
from shoal.demo_data import GARMENTS
from shoal.labeling import Name, Partition, name_clusters, name_layers
from shoal.labeling.words.values import find_values


def named(*clusters: dict[str, int]) -> list[Name]:
    """Names of clusters with the given number of documents of each value."""
    texts = [value for own in clusters for value, held in own.items() for _ in range(held)]
    labels = np.repeat(np.arange(len(clusters)), [sum(own.values()) for own in clusters]).astype(np.int32)
    return name_clusters(texts, labels, len(clusters))


def shares(kinds: list[str], labels: Labels, names: list[str]) -> list[float]:
    """For each cluster, the share of its documents whose kind occurs in its name."""
    own = [[kinds[row] for row in np.flatnonzero(labels == cluster)] for cluster in range(len(names))]
    matches = [
        [kind.replace("_", " ").casefold() in name.casefold() for kind in of]
        for of, name in zip(own, names, strict=True)
    ]
    return [sum(each) / len(each) for each in matches]


def test_a_value_that_names_one_cluster_still_names_another_in_which_it_has_the_majority() -> None:
    names = named({"Sneaker": 50}, {"Sneaker": 37, "Ankle boot": 3}, {"Sneaker": 30, "Sandal": 10})

    assert [name.label for name in names] == ["Sneaker", "Sneaker 2", "Sneaker, Sandal"]
    assert [name.keywords for name in names] == [("Sneaker",), ("Sneaker", "Ankle boot"), ("Sneaker", "Sandal")]


def test_without_a_majority_value_a_name_combines_values_that_form_a_majority() -> None:
    names = named({"Pullover": 40, "Coat": 38, "Shirt": 10}, {"Bag": 20, "Shirt": 1})

    assert [name.label for name in names] == ["Pullover, Coat", "Bag"]


def test_many_clusters_of_one_value_are_numbered_and_have_keywords() -> None:
    names = named(*({"auto_and_commute": 10 - number} for number in range(5)), {"home": 8})

    assert [name.label for name in names] == [
        "Auto and commute",
        *(f"Auto and commute {number}" for number in range(2, 6)),
        "Home",
    ]
    assert all(name.keywords for name in names)


def test_a_value_that_ends_in_a_number_differs_from_a_numbered_name() -> None:
    labels = [name.label for name in named({"Model": 9}, {"Model": 8}, {"Model 2": 7})]

    assert labels[0] == "Model"
    assert len(set(labels)) == 3
    assert labels[2] == "Model 2"


def test_a_cluster_of_many_values_is_named_after_the_words_they_share() -> None:
    cards = {f"{kind} card": 4 for kind in ("lost", "virtual", "metal", "spare", "frozen", "new", "old", "expired")}

    assert named(cards, {"refund": 20})[0].label == "Card"


def test_names_do_not_depend_on_the_order_of_documents() -> None:
    kinds = np.array(pq.read_table(GARMENTS)["kind"].to_pylist())
    labels = (np.arange(len(kinds)) % 7).astype(np.int32)
    order = np.random.default_rng(3).permutation(len(kinds))

    assert name_clusters(kinds.tolist(), labels, 7) == name_clusters(kinds[order].tolist(), labels[order], 7)


@pytest.mark.parametrize("column", ["picture", "shape"])
def test_clusters_of_garments_are_named_after_their_majority(column: str) -> None:
    table = pq.read_table(GARMENTS)
    clustering = shoal.cluster(table, vector=column, text="kind", algorithm="kmeans", n_clusters=10)

    hits = shares(
        table["kind"].to_pylist(), np.asarray(clustering.labels), [each.label for each in clustering.clusters]
    )

    assert min(hits) > 0.5
    assert np.median(hits) > 0.7
    assert all(each.keywords for each in clustering.clusters)


def test_clusters_of_questions_are_named_after_their_majority_domain() -> None:
    table = load("clinc150").slice(0, 4000)
    domains = table["domain"].to_pylist()
    clustering = shoal.cluster(vectors(table), text=domains, algorithm="kmeans", n_clusters=30)

    hits = shares(domains, np.asarray(clustering.labels), [each.label for each in clustering.clusters])

    assert min(hits) > 0.5
    assert all(each.keywords for each in clustering.clusters)


def test_layers_are_named_after_values_and_an_only_part_like_the_whole() -> None:
    texts = ["Sneaker"] * 20 + ["Sandal"] * 11 + ["Bag"] * 12
    fine = np.array([0] * 8 + [1] * 12 + [2] * 11 + [3] * 12, np.int32)
    broad = np.array([0] * 31 + [1] * 12, np.int32)

    above, chosen = name_layers(texts, [Partition(broad, 2), Partition(fine, 4)], chosen=1)

    assert [name.label for name in above] == ["Sneaker, Sandal", "Bag"]
    assert [name.label for name in chosen] == ["Sneaker 2", "Sneaker", "Sandal", "Bag"]


@pytest.mark.parametrize("name", ["banking77", "clinc150"])
def test_sentences_are_not_values(name: str) -> None:
    texts = [text or "" for text in load(name)["text"].to_pylist()]

    assert find_values(texts) is None
    assert find_values(texts[:40]) is None


def test_values_in_two_fields_or_in_different_case_count_for_their_document() -> None:
    texts = ["Sneaker\n\nred", "sneaker\n\nRed", "Sneaker\n\nRed", "Sneaker\n\nBlue"] * 3

    values = find_values(texts)

    assert values is not None
    held = Counter(values.written[number] for number in values.numbers.tolist())
    assert held == {"Sneaker": 12, "Red": 9, "Blue": 3}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("shoes\x1b", "Shoes"),
        ("\x1b[31mred\x1b[0m shoes", "Red shoes"),
        ("sh\u202eoes", "Shoes"),
        ("red\u2028shoes", "Red shoes"),
        ("red\x00\u00a0shoes", "Red shoes"),
    ],
)
def test_a_value_becomes_a_name_without_terminal_control_characters(written: str, shown: str) -> None:
    name = name_clusters([written] * 4, np.zeros(4, np.int32), 1)[0]

    assert name.label == shown
    assert [word.capitalize() for word in name.keywords] == [shown]
