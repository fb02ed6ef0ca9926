"""The models that an operator connects: mistakes are said at the start, and a request chooses among them alone."""

from pathlib import Path
from typing import Any

import pytest

from shoal.errors import InvalidField
from shoal.records.clusters.labeling import Labeling, ModelParameters
from shoal.runs.models import connected
from shoal.runs.models.connected import ConnectedModels
from shoal.settings import Settings

KEYS = {"OPENAI_API_KEY": "key-one", "ANTHROPIC_API_KEY": "key-two"}


def models(llm: str, environ: dict[str, str] | None = None, **more: Any) -> ConnectedModels:
    return ConnectedModels.read(Settings(data=Path("unused"), llm=llm, **more), KEYS if environ is None else environ)


@pytest.mark.parametrize(
    ("llm", "message"),
    [
        ("openai", "PROVIDER:MODEL"),
        ("google:gemini-2.5-flash", "needs a key for google"),
        ("elsewhere:model", "unknown provider"),
        ("openai:small@http://127.0.0.1:9/v1", "names an address"),
    ],
)
def test_a_mistake_in_the_setting_is_named_at_the_start(llm: str, message: str) -> None:
    with pytest.raises(InvalidField, match=message) as refused:
        models(llm)
    assert refused.value.field == "SHOAL_LLM" and "key-one" not in refused.value.message


def test_a_missing_extra_is_named_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connected, "find_spec", lambda _: None)
    with pytest.raises(InvalidField, match=r'pip install "shoal\[llm\]"'):
        models("openai:*")
    assert models("").providers is None  # nothing is needed where no model is connected


def test_keys_alone_connect_no_model() -> None:
    choice = models("").choose(Labeling(enabled=True, provider="openai", model_name="gpt-4.1-2025-04-14"))
    assert choice.connection is None and choice.reason == "no language model is connected to this server"


@pytest.mark.parametrize(
    ("labeling", "name"),
    [
        ({}, "openai:gpt-4o-mini"),
        ({"provider": "anthropic"}, None),
        ({"model_name": "claude-haiku-4-5-20251001"}, "anthropic:claude-haiku-4-5-20251001"),
        ({"provider": "openai", "model_name": "gpt-4o-mini"}, "openai:gpt-4o-mini"),
        ({"provider": "openai", "model_name": "gpt-4o-mini@http://127.0.0.1:9"}, None),
        ({"provider": "openai:any@http://127.0.0.1:9/v1", "model_name": "gpt-4o-mini"}, None),
        ({"provider": "anthropic:any@http://127.0.0.1:9/v1", "model_name": "claude-haiku-4-5-20251001"}, None),
        ({"provider": "openai", "model_name": "gpt-4.1-2025-04-14"}, None),
        ({"provider": "ollama", "model_name": "llama3"}, None),
    ],
)
def test_a_request_chooses_among_what_is_connected(labeling: dict[str, Any], name: str | None) -> None:
    choice = models("openai:gpt-4o-mini, anthropic:*").choose(Labeling(**labeling).readable_by_sdk())
    assert (None if choice.connection is None else choice.connection.name) == name
    assert bool(choice.reason) == (name is None)


@pytest.mark.parametrize("place", ["provider", "shoal_provider"])
def test_a_request_cannot_name_an_address(place: str) -> None:
    address = "openai:any@http://127.0.0.1:9/v1"
    labeling = {"model_name": "small"} | (
        {"provider": address} if place == "provider" else {"parameters": {"shoal_provider": address}}
    )
    choice = models("openai:*, anthropic:*").choose(Labeling.model_validate(labeling).readable_by_sdk())
    assert choice.connection is None and "not connected" in choice.reason


def test_the_smaller_of_the_budgets_of_server_and_request_holds() -> None:
    connections = models("openai:gpt-4o-mini", llm_run_budget=2.0)
    connection = connections.choose(Labeling()).connection
    assert connection is not None
    for budget, limit in ((None, 2.0), (1.5, 1.5), (9.0, 2.0)):
        labeling = Labeling(parameters=ModelParameters(budget=budget))
        assert connections.run_budget(labeling, connection) == limit
