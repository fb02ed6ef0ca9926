"""Whatever a provider does, every cluster gets a name, every failure a sentence, and no key gets out."""

import logging

import pytest

from labeling.providers.misbehaviour import KINDS, MODELS, check_run

pytest.importorskip("pydantic_ai")
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("model", "stream"), [(MODELS[0], False), (MODELS[1], True), (MODELS[2], True), (MODELS[3], False)]
)
def test_every_cluster_is_named_whatever_the_provider_does(
    kind: str, model: str, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        check_run(kind, model, stream=stream)
    assert "CANARY" not in caplog.text
