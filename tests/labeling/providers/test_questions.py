"""What a model is shown and asked: samples, prompts, media, candidates, shapes of answers, labels of people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from labeling.providers.fake_provider import FakeProvider, Reply, answer_well
from labeling.providers.fake_wires import Asked
from labeling.providers.groups import TOPICS, brief_of, connect, labels_of, two_layers
from shoal.errors import InvalidField
from shoal.labeling import Brief, Budget, Media, Name, Partition
from shoal.labeling.providers import Instructions, ModelNamer, read_candidates
from shoal.labeling.providers.instructions import check_candidates

pytest.importorskip("pydantic_ai")
FREE = Budget(cost=None)
PIXEL = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


def name(
    fake: FakeProvider, instructions: Instructions, brief: Brief | None = None, model: str = "gpt-4o-mini"
) -> list[list[Name]]:
    return ModelNamer(connect(fake, model), instructions).name(brief or brief_of(), FREE)


def on_a_line(count: int, texts: Sequence[str] | None = None) -> Brief:
    """A cluster of documents at growing angles from its centroid, and another far away."""
    angles = np.concatenate([np.linspace(0, 1.2, count), np.full(3, 3.0)])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    own = texts or [f"parcel delivery number{n}" for n in range(count)]
    labels = np.array([0] * count + [1] * 3, np.int32)
    centroids = np.array([[1, 0], [-1, 0.14]], np.float32)
    return Brief([*own, *["garden tools"] * 3], [Partition(labels, 2, centroids)], points=points)


def first(fake: FakeProvider) -> Asked:
    """The first question about the cluster of parcels."""
    return next(each for each in fake.asked if "parcel" in str(each.documents))


def spell(number: int) -> str:
    """A word of its own for each number."""
    return "".join(chr(97 + int(digit)) for digit in str(number))


def outsiders(asked: Asked) -> list[str]:
    block = asked.text.partition("DOCUMENTS OF NEIGHBOURING GROUPS\n")[2].partition("\nEND ")[0]
    return [json.loads(line.partition(": ")[2]) for line in block.splitlines()]


def test_the_nearest_members_are_shown_or_a_panel_that_covers_the_extent() -> None:
    with FakeProvider() as fake:
        name(fake, Instructions(max_samples=5), on_a_line(40))
        nearest = [int(text.rpartition("number")[2]) for text in first(fake).documents.values()]
    with FakeProvider() as fake:
        name(fake, Instructions(max_samples=5, strategy="representative"), on_a_line(40))
        panel = [int(text.rpartition("number")[2]) for text in first(fake).documents.values()]
    assert nearest == [0, 1, 2, 3, 4]
    assert panel[:2] == [0, 1] and 39 in panel and len(set(panel)) == 5


def test_equal_texts_are_shown_once_whatever_their_case_and_spaces() -> None:
    texts = ["Parcel late", "parcel  late", "PARCEL LATE", *(f"parcel {spell(number)}" for number in range(17))]
    with FakeProvider() as fake:
        name(fake, Instructions(max_samples=10), on_a_line(20, texts))
        shown = list(first(fake).documents.values())
    assert shown == ["Parcel late", *texts[3:12]]


@pytest.mark.parametrize(("size", "count"), [(4, 3), (8, 3), (16, 5), (128, 11), (3000, 20)])
def test_more_documents_of_larger_clusters_are_shown(size: int, count: int) -> None:
    with FakeProvider() as fake:
        name(fake, Instructions(), on_a_line(size, [f"parcel {spell(number)}" for number in range(size)]))
        assert len(first(fake).documents) == count


@pytest.mark.parametrize("most", [50, 120, 500])
def test_long_texts_are_cut_to_their_head_and_tail(most: int) -> None:
    texts = [f"parcel begin{number} {'middle ' * 200} end{number}" for number in range(6)]
    with FakeProvider() as fake:
        name(fake, Instructions(sample_text_length=most), on_a_line(6, texts))
        shown = first(fake).documents.values()
    assert all(len(text) <= most and "begin" in text and "end" in text and "…" in text for text in shown)


def test_outsiders_are_the_most_central_members_of_the_nearest_siblings() -> None:
    topics = ["alpha", "beta", "gamma", "delta", "omega"]
    angles = np.array([0.0, 0.3, 0.6, 0.9, 3.1])
    labels = np.repeat(np.arange(5), 6).astype(np.int32)
    spread = angles[labels] + np.tile(np.linspace(0, 0.1, 6), 5)
    points = np.stack([np.cos(spread), np.sin(spread)], axis=1).astype(np.float32)
    centroids = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    texts = [f"{topics[label]} member{row % 6}" for row, label in enumerate(labels.tolist())]
    with FakeProvider() as fake:
        name(fake, Instructions(max_samples=12), Brief(texts, [Partition(labels, 5, centroids)], points=points))
        asked = next(each for each in fake.asked if "alpha" in str(each.documents))
    expected = [f"{topic} member{place}" for place in (0, 1) for topic in ("beta", "gamma", "delta")]
    assert outsiders(asked) == expected[: len(outsiders(asked))] and len(outsiders(asked)) >= 4


PLACED = "Mine of {size}: {context} / {documents} / {outsiders} / not {forbidden} / {parts} / {candidates} {other} {}"


def test_placeholders_of_a_prompt_are_replaced_once_and_others_stay() -> None:
    brief = on_a_line(6, [f"parcel {{context}} {{outsiders}} number{n}" for n in range(6)])
    brief = replace(brief, settled=[{1: "Tools {documents}"}])
    with FakeProvider() as fake:
        name(fake, Instructions(prompt=PLACED, context="Post {size}"), brief)
        (asked,) = fake.asked
    assert asked.text.startswith("Mine of 6: Post {size} / BEGIN ")
    assert 'not "Tools {documents}"' in asked.text and "{other} {}" in asked.text
    assert all("{context} {outsiders}" in text for text in asked.documents.values())
    assert asked.text.count("DOCUMENTS INSIDE") == 1 and outsiders(asked) == ["garden tools"]
    assert "You name one group" not in asked.rules and "never an instruction" in asked.rules


@pytest.mark.parametrize("prompt", ["Name it in Latin.", "Unlike {outsiders}", "{documents}"])
def test_documents_and_candidates_that_a_prompt_does_not_place_follow_it(prompt: str) -> None:
    candidates = {"Post": "parcels", "Garden": ""}
    with FakeProvider(lambda asked: answer_well(asked, label="Post")) as fake:
        names = name(fake, Instructions(prompt=prompt, candidates=candidates), on_a_line(6))
        assert all(each.documents and '"Post": parcels' in each.text for each in fake.asked)
    assert labels_of(names) == ["Post", "Post"]


def test_a_prompt_may_be_as_long_in_a_request_as_here() -> None:
    from shoal.records.clusters.labeling import Labeling
    from shoal.runs.models.connected import instructions_of

    longest = next(each.max_length for each in Labeling.model_fields["custom_prompt"].metadata)
    assert instructions_of(Labeling(custom_prompt="x" * longest)).prompt == "x" * longest
    with pytest.raises(InvalidField, match="custom_prompt"):
        Instructions(prompt="x" * (longest + 1))


def with_inputs(values: Mapping[str, object]) -> Brief:
    brief = brief_of(TOPICS[:2])
    assert brief.texts is not None
    texts = brief.texts
    return replace(brief, inputs=lambda rows: [{"title": texts[row], **values} for row in rows])


@pytest.mark.parametrize("model", ["gpt-4o-mini", "claude-haiku-4-5", "gemini-2.5-flash"])
def test_images_are_sent_beside_their_document(model: str) -> None:
    with FakeProvider() as fake:
        names = name(fake, Instructions(max_samples=3), with_inputs({"photo": Media("image/png", PIXEL)}), model)
        body = json.dumps(fake.asked[0].body)
        assert "Media of d1:" in body and "(with media)" in body
        assert body.count("iVBORw0KGgo") == 3
    assert all(each.source == "model" for each in names[0])


@pytest.mark.parametrize("media", [Media("image/png", PIXEL + b"\0" * 6 * 2**20)])
def test_images_that_are_too_large_are_left_out(media: Media) -> None:
    with FakeProvider() as fake:
        names = name(fake, Instructions(), with_inputs({"photo": media}))
        assert "Media of" not in json.dumps(fake.asked[0].body)
    assert all(each.source == "model" for each in names[0])


def test_at_most_eight_images_are_sent_with_a_question() -> None:
    with FakeProvider() as fake:
        name(fake, Instructions(max_samples=10), with_inputs({"photo": Media("image/png", PIXEL)}))
        assert json.dumps(fake.asked[0].body).count("iVBORw0KGgo") == 8


@pytest.mark.parametrize("kind", ["video/mp4", "application/zip", "text/html", "image/svg+xml"])
def test_media_that_a_provider_does_not_take_are_left_out_and_named_in_words(kind: str) -> None:
    with FakeProvider() as fake:
        names = name(fake, Instructions(), with_inputs({"film": Media(kind, PIXEL)}))
        assert kind in fake.asked[0].text and "iVBORw0KGgo" not in json.dumps(fake.asked[0].body)
    assert all(each.source == "model" for each in names[0])


def test_several_inputs_of_a_document_are_shown_by_their_keys() -> None:
    with FakeProvider() as fake:
        name(fake, Instructions(), with_inputs({"stars": "five", "empty": " "}))
        shown = next(iter(fake.asked[0].documents.values()))
    assert shown.startswith("title: ") and shown.endswith("; stars: five") and "empty" not in shown


@pytest.mark.parametrize(
    "sent", [["Travel", "Money", "Leisure"], {"Travel": "flights", "Money": "", "Leisure": "music"}]
)
def test_labels_come_from_a_fixed_set_and_may_be_shared(sent: list[str] | dict[str, str]) -> None:
    def choose(asked: Asked) -> Reply:
        return answer_well(asked, label=" money " if "card" in asked.text else "travel")

    with FakeProvider(choose) as fake:
        names = name(fake, Instructions(candidates=read_candidates(sent)))
        assert fake.asked[0].schema["properties"]["label"]["enum"] == ["Travel", "Money", "Leisure"]
        assert ('"Travel": flights' in fake.asked[0].text) == isinstance(sent, dict)
    assert set(labels_of(names)) <= {"Travel", "Money"} and len(names[0]) == 6
    assert all(each.source == "model" for each in names[0])


def test_an_answer_outside_the_set_is_asked_for_once_more_and_never_shown() -> None:
    with FakeProvider(lambda asked: answer_well(asked, label="Lost luggage")) as fake:
        names = name(fake, Instructions(candidates={"Travel": "", "Money": ""}))
        assert len(fake.asked) == 2 * len(TOPICS)
        assert "not one of the candidates" in fake.asked[-1].text
    assert all(each.source == "words" and "not one of the candidates" in str(each.error) for each in names[0])


@pytest.mark.parametrize("candidates", [{" ": ""}, {"x" * 81: ""}, {"a\nb": ""}, {"a": "x" * 501}])
def test_candidates_that_cannot_be_labels_are_refused(candidates: dict[str, str]) -> None:
    with pytest.raises(InvalidField, match="candidate_labels"):
        check_candidates(candidates)


def test_a_set_of_candidates_is_bounded() -> None:
    check_candidates({str(number): "" for number in range(255)})
    with pytest.raises(InvalidField, match="255"):
        check_candidates({str(number): "" for number in range(256)})


def test_a_shape_in_words_adds_named_details() -> None:
    details = [{"name": "urgency", "value": "high"}, {"name": "note", "value": "<b>x</b> " * 400}]
    with FakeProvider(lambda asked: answer_well(asked, details=details)) as fake:
        names = name(fake, Instructions(response_shape="urgency and a note"))
        assert "urgency and a note" in json.dumps(fake.asked[0].schema)
    for each in names[0]:
        assert each.details is not None and each.details["urgency"] == "high"
        assert len(str(each.details["note"])) <= 500 and "<b>" not in str(each.details["note"])


SHAPE = {
    "type": "object",
    "properties": {
        "label": {"type": "string"},
        "urgency": {"type": "string", "enum": ["low", "high"]},
        "teams": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "score": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
    },
    "required": ["urgency"],
}


def test_fields_of_a_schema_are_asked_for_and_come_back_as_details() -> None:
    own = {"urgency": "high", "teams": ["claims"], "score": None, "unasked": "x"}
    with FakeProvider(lambda asked: answer_well(asked, **own)) as fake:
        names = name(fake, Instructions(response_shape=SHAPE))
        assert fake.asked[0].schema["properties"]["urgency"]["enum"] == ["low", "high"]
    assert all(each.details == {"urgency": "high", "teams": ["claims"], "score": None} for each in names[0])


@pytest.mark.parametrize(
    "own",
    [
        {},
        {"urgency": "medium"},
        {"urgency": "low", "teams": "claims"},
        {"urgency": "low", "teams": ["a", "b", "c"]},
        {"urgency": "low", "teams": [3]},
        {"urgency": "low", "score": 2},
        {"urgency": "low", "score": True},
    ],
)
def test_an_answer_that_does_not_fit_the_shape_is_not_used(own: dict[str, object]) -> None:
    with FakeProvider(lambda asked: answer_well(asked, **own)) as fake:
        names = name(fake, Instructions(response_shape=SHAPE))
        assert len(fake.asked) == 2 * len(TOPICS)
    assert all(each.source == "words" and each.details is None for each in names[0])


@pytest.mark.parametrize("strange", [float("inf"), float("nan"), 1e400])
def test_numbers_that_are_none_in_json_do_not_fit_a_shape(strange: float) -> None:
    shape = {"type": "object", "properties": {"count": {"type": "integer"}}}
    with FakeProvider(lambda asked: answer_well(asked, count=strange)) as fake:
        names = name(fake, Instructions(response_shape=shape))
    assert all("count was not as the response shape says" in str(each.error) for each in names[0])


@pytest.mark.parametrize(
    "shape",
    [
        "",
        "x" * 2001,
        3,
        {"type": "array"},
        {"type": "object", "properties": {"a": {"type": "text"}}},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "(a+)+$"}}},
        {"type": "object", "properties": {"a b": {"type": "string"}}},
        {"type": "object", "properties": {f"f{n}": {"type": "string"} for n in range(61)}},
        {"type": "object", "properties": {"a": {"type": "string", "description": "x" * 8000}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": 3}}},
        {"type": "object", "properties": {"a": {"type": "object", "properties": [1]}}},
        {"type": "object", "properties": {"a": {"type": "string", "enum": 3}}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": 3},
        {"type": "object", "properties": {"a": {"type": "string", "maxLength": "3"}}},
        {"type": "object", "properties": {"a": {"type": [[]]}}},
    ],
)
def test_a_shape_that_models_do_not_share_is_refused_by_its_field(shape: object) -> None:
    with pytest.raises(InvalidField, match=r"llm_labeling\.response_shape"):
        Instructions(response_shape=shape)  # type: ignore[arg-type]


def test_no_model_is_asked_for_clusters_that_people_named_and_their_labels_are_taken() -> None:
    brief = two_layers()
    settled = [{0: "Trips"}, {0: "Bags", 5: "Jazz music play"}]
    with FakeProvider() as fake:
        names = name(fake, Instructions(), replace(brief, settled=settled))
        asked = {str(each.documents) for each in fake.asked}
        assert len(asked) == 8 - 3 and all('"Bags"' in each.text for each in fake.asked[:4])
    assert names[1][0].source == "words" and names[1][0].error is None
    assert not {"bags", "trips"} & {label.casefold() for label in labels_of(names)}


def test_a_model_that_repeats_the_label_of_a_person_is_refused() -> None:
    with FakeProvider(lambda asked: answer_well(asked, label="Card payment declined")) as fake:
        names = name(fake, Instructions(), replace(brief_of(), settled=[{0: "card Payment declined!"}]))
    assert all(each.source == "words" for each in names[0])


def test_labels_that_mean_the_same_are_asked_for_again() -> None:
    from shoal.analysis.naming import choose_phrase_encoder

    topics = ["lost luggage at the airport", "the airport lost my baggage luggage"]

    def similar(asked: Asked) -> Reply:
        own = "Lost airport luggage" if "baggage" not in str(asked.documents) else "Airport baggage lost"
        return answer_well(asked, label="Missing my baggage luggage" if "cannot be used" in asked.text else own)

    for chooser, calls in ((choose_phrase_encoder, 3), (None, 2)):
        with FakeProvider(similar) as fake:
            namer = ModelNamer(connect(fake), Instructions(similarity=0.6), choose_encoder=chooser)
            namer.name(brief_of(topics), FREE)
            assert len(fake.asked) == calls
