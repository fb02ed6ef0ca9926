"""`llm_labeling`: what is accepted, what is refused with the field named, and what of a stored one is readable."""

from typing import Any

import pytest
from pydantic import ValidationError

from shoal.records.clusters.labeling import Labeling, read_labeling
from shoal.records.clusters.response_shape import shape_properties


def problem(**fields: object) -> str:
    with pytest.raises(ValidationError) as refused:
        Labeling.model_validate(fields)
    fault = refused.value.errors()[0]
    place = ".".join(map(str, (*fault["loc"], *([fault["ctx"]["key"]] if "key" in fault.get("ctx", {}) else []))))
    return f"{place}: {fault['msg']}"


def nest(depth: int) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": nest(depth - 1)}} if depth > 1 else {"type": "string"}


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({}, "has no fields"),
        ({"type": "array", "items": {"type": "string"}}, "schema of an object"),
        ({"type": "object"}, "needs properties"),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "needs a type at 'a'"),
        ({"type": "object", "properties": {"a": {"type": "string", "maxLenght": 3}}}, "Did you mean 'maxLength'"),
        ({"type": "object", "properties": {"a": {"$ref": "#/b"}}}, "unknown keyword '\\$ref' at 'a'"),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]}, "requires 'b'"),
        ({"type": "object", "properties": {"a": {"type": "array"}}}, "must be a schema at 'a\\[\\]'"),
        ({"type": "object", "properties": {"a": {"type": "string", "minLength": -1}}}, "whole number .* minLength"),
        ({"a": {"enum": []}}, "enum at 'a'"),
        ({"a": "strnig"}, "needs a type at 'a'"),
        ({"type": "object", "properties": {f"f{n}": {"type": "string"} for n in range(51)}}, "50 properties"),
        (nest(7), "5 levels"),
        ({"a": {"type": "string", "description": "x" * 20_000}}, "8,000 bytes"),
        ({"the mood": "string"}, "letters, digits, - and _ alone, and has 'the mood'"),
        ("x" * 2_001, "2,000 characters"),
    ],
)
def test_a_shape_that_is_no_schema_is_refused_with_the_place(shape: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Labeling.model_validate({"response_shape": shape})


def test_a_shape_is_words_fields_with_types_or_a_schema() -> None:
    schema = {"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}}, "required": ["mood"]}
    for shape in ("a category and three terms", {"category": "string", "terms": "array"}, schema):
        assert Labeling(response_shape=shape).as_sent() == {"response_shape": shape}
    assert shape_properties({"category": "string", "terms": "array"}) == {
        "category": {"type": "string"},
        "terms": {"type": "array", "items": {"type": "string"}},
    }
    assert shape_properties(schema) == {"mood": {"enum": ["good", "bad"]}}
    assert shape_properties("words") == {}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"temperatur": 0.5}, "parameters.temperatur: is not known. Did you mean 'temperature'?"),
        ({"temperature": 3}, "parameters.temperature: Input should be less than or equal to 2"),
        ({"temperature": "0.5"}, "parameters.temperature: Input should be a valid number"),
        ({"max_tokens": 1}, "parameters.max_tokens: Input should be greater than or equal to 64"),
        ({"base_url": "http://elsewhere"}, "parameters.base_url: is for the operator of the server"),
        ({"tools": [{}]}, "parameters.tools: cannot be set"),
        ({"budget": -1}, "parameters.budget: Input should be greater than or equal to 0"),
    ],
)
def test_an_unusable_parameter_is_refused_with_its_name(parameters: dict[str, Any], message: str) -> None:
    assert message in problem(parameters=parameters)


@pytest.mark.parametrize("name", ["api_key", "apiKey", "OPENAI_API_KEY", "token", "authorization", "headers", "key"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_key_is_refused_and_its_value_never_repeated(name: str, inside: bool) -> None:
    fields = {name: "swordfish-123"}
    with pytest.raises(ValidationError) as refused:
        Labeling.model_validate({"parameters": fields} if inside else fields)
    fault = refused.value.errors()[0]
    assert fault["ctx"]["key"] == name and "operator" in fault["msg"]
    assert "swordfish" not in str(fault["ctx"]) + fault["msg"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "at least 1 item"),
        ([" "], "match"),
        (["Late delivery", "late  delivery"], "twice"),
        ([f"label {n}" for n in range(256)], "at most 255"),
        (["x" * 81], "at most 80"),
        (["two\nlines"], "match"),
        ([3], "valid string"),
        ({"Late": 3}, "valid string"),
    ],
)
def test_unusable_candidate_labels_are_refused(labels: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Labeling.model_validate({"candidate_labels": labels})


def test_a_stored_configuration_keeps_all_that_is_valid() -> None:
    stored = {
        "enabled": True,
        "parameters": {"temperature": 9, "api_key": "x", "shoal_provider": "ollama", "unknown": 1, "top_p": 0.5},
        "response_shape": {"type": "nothing"},
        "candidate_labels": ["a", "a"],
        "include_summary": False,
    }
    labeling = read_labeling(stored)
    assert labeling is not None
    assert labeling.as_sent() == {
        "enabled": True,
        "parameters": {"shoal_provider": "ollama", "top_p": 0.5},
        "include_summary": False,
    }


def test_the_requested_model_is_known_whether_the_sdk_knows_it_or_not() -> None:
    listed = Labeling(provider="openai", model_name="gpt-4.1-2025-04-14")
    other = Labeling(provider="ollama", model_name="llama9")
    assert listed.readable_by_sdk() == listed
    assert other.readable_by_sdk().as_sent()["parameters"] == {"shoal_provider": "ollama", "shoal_model": "llama9"}
    assert (listed.model, other.readable_by_sdk().model) == (("openai", "gpt-4.1-2025-04-14"), ("ollama", "llama9"))
