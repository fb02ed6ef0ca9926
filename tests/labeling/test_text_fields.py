"""The fields selected for the text of a document."""

from collections.abc import Callable
from uuid import UUID

import pytest

from labeling.tables import MAKERS, table
from shared_data import load
from shoal.labeling import choose_text_fields


def article(i: int) -> dict[str, object]:
    return {
        "id": f"doc-{i}",
        "uuid": str(UUID(int=i * 7919)),
        "url": f"https://example.org/articles/{i}",
        "checksum": f"{i * 2654435761:064x}",
        "created_at": f"2024-05-{i % 28 + 1:02d}T10:00:00Z",
        "price": f"{i}.99 EUR",
        "rating": 4.5,
        "language": "en",
        "category": ("news", "sport")[i % 2],
        "embedding": [0.1, 0.2, 0.3],
        "title": f"Story number {i} of today",
        "body": f"This is the long text of story {i}, in which a fox meets the {i}th dog of the morning.",
        "metadata": {"note": f"A reader wrote that the story {i} was well worth her time", "author_id": f"a{i}"},
        "tags": ["animals", f"tag{i}"],
    }


@pytest.mark.parametrize(
    ("field", "write"),
    [
        ("_internal", lambda i: {"note": f"this is an internal note about the processing of document {i}"}),
        ("_shoal", lambda i: {"summary": f"Documents about refunds, and how the bank handles them {i}"}),
        ("_id", lambda i: f"the number {i} of all the documents"),
        ("__index_level_0__", lambda i: f"row {i}"),
        ("path", lambda i: f"/home/anna/my documents/letter to the bank {i}.txt"),
        ("file", lambda i: f"C:\\Users\\Anna\\My Documents\\letter to the bank {i}"),
        ("attachment", lambda i: f"report of the meeting {i}.pdf"),
        ("image", lambda i: f"s3://bucket/a picture of a house/{i}"),
        ("hash", lambda i: f"{i:064x}"),
        ("uuid", lambda i: f"550e8400-e29b-41d4-a716-44665544{i:04d}"),
        ("created", lambda i: f"March {i % 28 + 1}, 2024"),
        ("cluster_label", lambda i: ("Refund for my order", "Parcel arrived late")[i % 2]),
        ("cluster_summary", lambda i: f"Customers who ask about the refund of their order {i}"),
        ("cluster.keywords", lambda i: f"refund for my order and the parcel that is late {i}"),
    ],
)
def test_ids_paths_and_results_of_a_clustering_are_never_words(field: str, write: Callable[[int], object]) -> None:
    with_text = [{"body": f"I would like a refund for the order {i}, please", field: write(i)} for i in range(60)]

    assert choose_text_fields(with_text) == ["body"]
    assert choose_text_fields([{field: write(i)} for i in range(60)]) == []


def test_titles_and_prose_are_selected_even_in_nested_fields() -> None:
    fields = choose_text_fields([article(i) for i in range(40)])

    assert fields == ["title", "body", "metadata.note"]


def test_without_prose_short_varied_fields_are_selected() -> None:
    sample: list[dict[str, object]] = [
        {"name": n, "kind": "x", "sku": f"AB-{i:06d}"} for i, n in enumerate(["Ada", "Bob", "Cy"])
    ]

    assert choose_text_fields(sample) == ["name"]


def test_categories_are_selected_only_if_nothing_else_is() -> None:
    assert choose_text_fields([{"color": ("red", "blue")[i % 2], "n": i} for i in range(20)]) == ["color"]


def test_numbers_identifiers_and_vectors_are_never_text() -> None:
    sample: list[dict[str, object]] = [
        {
            "x": i,
            "y": str(i * 1.5),
            "vector": [1.0, 2.0],
            "ok": True,
            "seen": "2024-01-01",
            "ref": f"a{i}b7c9d",
            "none": None,
        }
        for i in range(5)
    ]

    assert choose_text_fields(sample) == []
    assert choose_text_fields([]) == []


def test_a_rare_field_is_ranked_after_one_that_all_documents_have() -> None:
    sample: list[dict[str, object]] = [{"text": f"the quick brown fox jumps over dog {i}"} for i in range(20)]
    sample[3]["remark"] = "one long remark " * 6

    assert choose_text_fields(sample) == ["text", "remark"]


def test_text_in_scripts_without_spaces_is_prose() -> None:
    sample: list[dict[str, object]] = [
        {"内容": f"这是关于第{i}个城市的一篇很长的文章，里面写了很多东西。", "类": ("甲", "乙")[i % 2]}
        for i in range(9)
    ]

    assert choose_text_fields(sample) == ["内容"]


def test_fields_of_a_single_document_are_selected() -> None:
    assert choose_text_fields([{"text": "only one", "id": "x1"}]) == ["text"]


@pytest.mark.parametrize("rows", [3, 8, 40, 200])
@pytest.mark.parametrize("name", MAKERS)
def test_titles_and_bodies_beat_names_codes_and_categories(name: str, rows: int) -> None:
    sample, needed, allowed = table(name, rows)

    result = set(choose_text_fields(sample))

    assert needed <= result <= needed | allowed


@pytest.mark.parametrize("name", ["tickets", "tickets_zh", "products", "movies", "unnamed_columns"])
def test_the_selection_does_not_depend_on_the_order_of_rows_and_columns(name: str) -> None:
    sample, _, _ = table(name, 30)

    turned = [dict(reversed(list(row.items()))) for row in reversed(sample)]

    assert choose_text_fields(turned) == choose_text_fields(sample)


def test_titles_come_before_bodies() -> None:
    assert choose_text_fields(table("tickets", 30)[0]) == ["subject", "body"]


def test_a_mostly_empty_column_comes_after_the_others() -> None:
    sample = [{**row, "resolution": "We sent it again, and it is there now."} if i == 7 else row
              for i, row in enumerate(table("tickets", 100)[0])]  # fmt: skip

    assert choose_text_fields(sample) == ["subject", "body"]


@pytest.mark.shared_data
@pytest.mark.parametrize("rows", [5, 50, 200])
def test_films_are_named_from_plots_and_titles_but_not_from_the_cast(rows: int) -> None:
    films = load("movies").drop(["embedding"]).slice(0, rows).to_pylist()

    assert choose_text_fields(films) == ["title", "text"]


@pytest.mark.parametrize("constant", ["object", "chat.completion", "list", "Acme"])
def test_a_column_of_a_single_word_names_nothing(constant: str) -> None:
    assert choose_text_fields([{"object": constant} for _ in range(20)]) == []
    texts = ["I lost my card", "What is the rate today", "Please close my account"]
    assert choose_text_fields([{"object": constant, "body": text} for text in texts]) == ["body"]


def test_a_sentence_in_all_documents_is_still_text() -> None:
    assert choose_text_fields([{"said": "same words here"}] * 20) == ["said"]
