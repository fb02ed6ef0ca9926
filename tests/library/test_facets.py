"""Texts clustered by what a model answers about each, against a provider on loopback."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import shoal
from labeling.providers.fake_provider import FakeProvider, Reply, answer_well
from labeling.providers.fake_wires import Asked
from shoal.errors import InvalidField
from shoal.labeling import Budget
from shoal.labeling.providers import ModelNamer, Providers

QUESTION = "What went wrong?"
FAULTS = ("battery battery dead", "screen screen cracked")
TWO: dict[str, Any] = {"algorithm": "kmeans", "n_clusters": 2}
ROWS = 24
TEXTS = [f"product {row}: {'cracked' if row % 2 else 'dead'} please help" for row in range(ROWS)]


def document_in(request: Asked) -> str:
    quoted = re.search(r"BEGIN \w+\n(.*)\nEND \w+", request.text, re.S)
    assert quoted is not None
    return str(json.loads(quoted[1]))


def is_facet(request: Asked) -> bool:
    return QUESTION in request.rules


def answer(request: Asked) -> Reply:
    """Answer by the fault; name groups well."""
    if not is_facet(request):
        return answer_well(request)
    return Reply(json.dumps({"text": FAULTS["cracked" in document_in(request)]}))


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    pytest.importorskip("pydantic_ai")
    with FakeProvider(answer) as fake:
        models = tmp_path / "models.toml"
        models.write_text(
            f'[servers.local]\nurl = "{fake.url}/v1"\nprices.small = {{ input = 2, output = 8 }}\n'
            "[limits]\nconcurrency = 2\nattempts = 1\n"
        )
        monkeypatch.setenv("SHOAL_MODELS", str(models))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield fake


def cluster(texts: object = TEXTS, **more: Any) -> shoal.Clustering:
    return shoal.cluster(texts, facet=QUESTION, **{**TWO, "namer": "local:small", **more})


def count_questions(provider: FakeProvider) -> int:
    return sum(map(is_facet, provider.asked))


def test_documents_are_clustered_named_and_saved_by_their_answers(provider: FakeProvider, tmp_path: Path) -> None:
    frame = pd.DataFrame({"ticket": range(ROWS), "body": TEXTS, "vector": list(np.eye(ROWS))})
    clustering = cluster(frame, text="body", id="ticket")
    assert np.array_equal(clustering.labels[0::2], np.full(ROWS // 2, clustering.labels[0]))
    assert np.array_equal(clustering.labels[1::2], np.full(ROWS // 2, clustering.labels[1]))
    assert len(clustering.clusters) == 2 and clustering.facet == QUESTION
    assert clustering.members()["answer"].to_pylist() == [FAULTS[row % 2] for row in range(ROWS)]
    labels = " ".join(each.label.casefold() for each in clustering.clusters)
    assert "battery" in labels and "screen" in labels and "product" not in labels
    facet: Any = clustering.about["facet"]
    assert (facet["model"], facet["calls"], count_questions(provider)) == ("local:small", ROWS, ROWS)
    naming: Any = clustering.about["naming"]
    assert facet["input_tokens"] + naming["input_tokens"] == provider.usage[0]

    loaded = shoal.load(clustering.save(tmp_path / "saved"))
    assert loaded.facet == QUESTION and loaded.members().equals(clustering.members())
    assert loaded.summary()["clusters"] == clustering.summary()["clusters"]

    calls = len(provider.asked)
    again = cluster(frame, text="body", id="ticket")
    assert len(provider.asked) == calls and np.array_equal(again.labels, clustering.labels)


def test_new_documents_are_placed_by_their_answers_alone(provider: FakeProvider) -> None:
    clustering = cluster()
    derived = shoal.derive(["gadget 99: dead", "gadget 98: cracked"], QUESTION, "local:small")
    assert clustering.assign(texts=derived).labels.tolist() == clustering.labels[:2].tolist()
    other = shoal.derive(["gadget 99: dead"], "Who is it?", "local:small", budget=0)
    for texts in (TEXTS, other):
        with pytest.raises(InvalidField, match=r"are no answers to 'What went wrong\?'.*shoal.derive"):
            clustering.assign(texts=texts)
    with pytest.raises(InvalidField, match="are no answers"):
        clustering.assign(pa.table({"text": TEXTS}))


def test_documents_without_an_answer_have_their_own_text_and_are_counted(provider: FakeProvider) -> None:
    def fail_sometimes(request: Asked) -> Reply:
        row = int(document_in(request).split()[1].rstrip(":")) if is_facet(request) else None
        if row in (7, 9):
            return Reply(status=400, body=b'{"error": {"message": "no"}}')
        return Reply(json.dumps({"text": ""})) if row == 8 else answer(request)

    provider.behave = fail_sometimes
    clustering = cluster(text=False)
    answers = clustering.members()["answer"].to_pylist()
    assert [row for row, each in enumerate(answers) if each is None] == [7, 8, 9]
    shown = " ".join(clustering.warnings)
    assert "1 document does not answer the question and has its own text." in shown
    assert "2 documents have their own text, because the question was not answered: The provider rejected" in shown
    provider.behave = answer
    assert cluster(text=False).about["facet"]["calls"] == 2


def test_answers_and_names_share_one_budget(provider: FakeProvider) -> None:
    clustering = cluster(budget=0.008)
    used = 0 if "naming" not in clustering.about else clustering.about["naming"]["cost"]
    assert 0 < count_questions(provider) < ROWS and clustering.about["facet"]["cost"] + used <= 0.008
    left_out = clustering.members()["answer"].null_count
    assert left_out == ROWS - count_questions(provider) and f"{left_out} documents have their own text" in "".join(
        clustering.warnings
    )


def test_stopping_loses_no_answer_that_is_paid_for(provider: FakeProvider) -> None:
    provider.behave = lambda request: Reply(answer(request).text, delay=0.0 if request.number < 6 else 0.3)

    def stop(stage: str, fraction: float) -> None:
        if stage == "facets" and len(provider.asked) > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cluster(progress=stop)
    assert 6 < len(provider.asked) < ROWS
    provider.behave = answer
    assert cluster().about["facet"]["unreported"] == 0
    texts = [document_in(request) for request in provider.asked if is_facet(request)]
    assert sorted(texts) == sorted(TEXTS)


def test_a_namer_of_the_callers_answers_with_its_own_model_and_context(provider: FakeProvider) -> None:
    namer = ModelNamer(Providers.read().connect("local:small"))
    clustering = cluster(namer=namer, budget=Budget(cost=1.0, calls=ROWS + 1))
    assert clustering.about["facet"]["calls"] == ROWS
    assert clustering.about["naming"]["calls"] <= 1


@pytest.mark.parametrize(
    ("data", "more", "field", "remedy"),
    [
        (TEXTS, {"namer": None}, "facet", "Name one with namer"),
        (TEXTS, {"facet": 3}, "facet", "What went wrong?"),
        (TEXTS, {"facet": " "}, "facet", "Ask about one thing"),
        (TEXTS, {"facet": "What\nwent wrong?"}, "facet", "on one line"),
        (np.eye(4), {}, "facet", "give the texts alone"),
        ({"text": TEXTS, "v": list(np.eye(ROWS))}, {"vector": "v"}, "facet", "Leave out one"),
        (TEXTS, {"namer": "openai:small@http://127.0.0.1:9/v1", "budget": 1.0}, "budget", "SHOAL_MODELS"),
        (TEXTS, {"namer": "x"}, "namer", "Like openai:gpt-4o-mini"),
    ],
)
def test_a_facet_that_cannot_be_used_is_refused_before_a_call(
    provider: FakeProvider, data: object, more: dict[str, Any], field: str, remedy: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        shoal.cluster(data, **{"facet": QUESTION, "namer": "local:small", **more})
    assert refused.value.field == field and remedy in str(refused.value) and provider.asked == []
