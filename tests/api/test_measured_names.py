"""Each label says where it comes from and how well it fits; a run whose model failed says so."""

from typing import Any

import httpx
import orjson
import pytest

from cluster_steps import carry_out, create, execute, grouped_documents, put_documents
from shoal.assemble import Services
from shoal.labeling import Brief, Budget, Name, WordNamer
from shoal.labeling.base import Progress


class ModelLike:
    """Names like a namer that asks a model: the cluster of a number that it is to fail for is named from words."""

    def __init__(self, *fails: int) -> None:
        self._fails = fails

    def name(self, brief: Brief, budget: Budget, progress: Progress | None = None) -> list[list[Name]]:
        by_words = WordNamer().name(brief, budget, progress)
        return [
            [self._name(number, name, layer) for number, name in enumerate(names)]
            for layer, names in zip(range(len(by_words)), by_words, strict=True)
        ]

    def _name(self, number: int, words: Name, layer: int) -> Name:
        if number in self._fails:
            return Name(words.label, words.keywords, error="The model did not answer.")
        return Name(
            f"Topic {layer}.{number}", ("one", "two"), "A sentence.", 0.75, 0.5, (number, number + 3), "model",
            "openai:small", details={"mood": "calm"},
        )  # fmt: skip


@pytest.fixture
def filled(client: httpx.Client) -> httpx.Client:
    put_documents(client, grouped_documents(60))
    return client


def centroids(client: httpx.Client) -> dict[str, dict[str, Any]]:
    run = client.get("/clusters/groups/executions").json()
    return {centroid["cluster_id"]: centroid for centroid in run["centroids"]}


def test_a_label_by_a_model_says_which_and_how_well_it_fits(filled: httpx.Client, services: Services) -> None:
    create(filled)
    services.runner.naming.words = ModelLike()
    execute(filled, services)

    shown = centroids(filled)["cl_0"]
    document = filled.get("/collections/docs/documents/" + shown["label_evidence"][0]["document_id"])
    group = filled.get("/clusters/groups/groups").json()["groups"][0]

    assert (shown["label"], shown["summary"], shown["keywords"]) == ("Topic 0.0", "A sentence.", ["one", "two"])
    assert (shown["label_source"], shown["label_model"]) == ("model", "openai:small")
    assert (shown["label_score"], shown["label_coverage"]) == (0.75, 0.5)
    assert shown["label_details"] == {"mood": "calm"}
    assert document.status_code == 200
    for name in ("label", "summary", "label_source", "label_model", "label_score", "label_coverage", "label_evidence"):
        assert group[name] == shown[name]
    assert filled.get("/clusters/groups").json()["status"] == "COMPLETED"


def test_every_layer_says_where_its_labels_come_from(filled: httpx.Client, services: Services) -> None:
    create(filled, method="auto")
    services.runner.naming.words = ModelLike()
    execute(filled, services)
    layers = filled.get("/clusters/groups/groups").json()["layers"]
    assert {group["label_source"] for layer in layers for group in layer["groups"]} == {"model"}


def test_a_failure_of_the_model_is_an_error_of_the_run_that_completes(filled: httpx.Client, services: Services) -> None:
    create(filled)
    services.runner.naming.words = ModelLike(1, 2)
    run = execute(filled, services)

    errors = [orjson.loads(error) for error in run["llm_labeling_errors"]]
    cluster = filled.get("/clusters/groups").json()
    task = filled.get(f"/tasks/{run['task_id']}").json()

    assert errors == [{"error": "The model did not answer.", "clusters": ["cl_1", "cl_2"]}]
    assert (run["status"], cluster["status"], task["status"]) == (
        "completed", "COMPLETED_WITH_ERRORS", "COMPLETED_WITH_ERRORS",
    )  # fmt: skip
    assert (
        cluster["llm_labeling_errors"] == run["llm_labeling_errors"] == task["additional_data"]["llm_labeling_errors"]
    )
    assert [centroids(filled)[id]["label_source"] for id in ("cl_0", "cl_1", "cl_2")] == ["model", "words", "words"]

    services.runner.naming.words = ModelLike()
    execute(filled, services)
    assert filled.get("/clusters/groups").json()["llm_labeling_errors"] in (None, [])
    assert filled.get("/clusters/groups").json()["status"] == "COMPLETED"


def test_a_label_by_a_person_stays_and_says_so_whatever_the_model_answers(
    filled: httpx.Client, services: Services
) -> None:
    create(filled)
    services.runner.naming.words = ModelLike()
    run = execute(filled, services)
    filled.patch(f"/clusters/groups/executions/{run['run_id']}/labels", json={"labels": {"cl_1": "By hand"}})
    execute(filled, services)

    by_hand, other = centroids(filled)["cl_1"], centroids(filled)["cl_0"]
    group = filled.get("/clusters/groups/groups").json()["groups"][1]

    assert (by_hand["label"], by_hand["label_source"], other["label_source"]) == ("By hand", "person", "model")
    assert (by_hand["label_model"], by_hand["label_score"], by_hand["label_evidence"]) == (None, None, [])
    assert (group["label"], group["label_source"]) == ("By hand", "person")


def test_groups_by_values_are_named_by_their_values(filled: httpx.Client, services: Services) -> None:
    body = {"collection_ids": ["docs"], "cluster_name": "groups", "cluster_type": "attribute"}
    filled.post("/clusters", json={**body, "attribute_config": {"attributes": ["kind"]}}).raise_for_status()
    filled.post("/clusters/groups/execute").raise_for_status()
    carry_out(services)
    assert {centroid["label_source"] for centroid in centroids(filled).values()} == {"value"}
