"""`shoal cluster FILE --facet QUESTION` beside a provider on loopback: planned, stopped, taken up again."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

import shoal
from cli.conftest import Command
from cli.test_interrupted import STOP_AT_A_STAGE
from labeling.providers.fake_provider import FakeProvider, Reply, answer_well
from labeling.providers.fake_wires import Asked

pytest.importorskip("pydantic_ai")

QUESTION = "What went wrong?"
FAULTS = ("battery battery dead", "screen screen cracked")
ROWS = 24
OPTIONS = ("--text", "body", "--algorithm", "kmeans", "--clusters", "2", "--facet", QUESTION, "--llm", "local:small")


def answer(request: Asked) -> Reply:
    if QUESTION not in request.rules:
        return answer_well(request)
    return Reply(json.dumps({"text": FAULTS["cracked" in request.text]}), delay=0.0 if request.number < 6 else 0.05)


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    bodies = [f"product {row}: {'cracked' if row % 2 else 'dead'} please help" for row in range(ROWS)]
    pc.write_csv(pa.table({"id": [f"t{row}" for row in range(ROWS)], "body": bodies}), tmp_path / "tickets.csv")
    with FakeProvider(answer) as fake:
        models = tmp_path / "models.toml"
        models.write_text(
            f'[servers.local]\nurl = "{fake.url}/v1"\nprices.small = {{ input = 2, output = 8 }}\n'
            "[limits]\nconcurrency = 2\n"
        )
        monkeypatch.setenv("SHOAL_MODELS", str(models))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("COLUMNS", "160")
        yield fake


@pytest.mark.process
def test_what_ctrl_c_stopped_is_taken_up_again_and_nothing_is_paid_twice(
    here: Command, provider: FakeProvider, tmp_path: Path
) -> None:
    plan = here("cluster", "tickets.csv", *OPTIONS, "--plan", "--json")
    facet = json.loads(plan.out)["facet"]
    assert plan.code == 0 and provider.asked == []
    assert (facet["model"], facet["kept"], facet["estimate"]["calls"]) == ("local:small", 0, ROWS)
    assert facet["estimate"]["cost"] > 0

    command = [sys.executable, "-c", STOP_AT_A_STAGE, "facets", "0.2", "cluster", "tickets.csv", *OPTIONS]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    stopped = len(provider.asked)
    assert done.returncode == 130 and done.stderr.strip() in ("", "Aborted!", "Aborted."), done.stderr
    assert 0 < stopped < ROWS and not (tmp_path / "shoal-out").exists()

    shown = " ".join(here("cluster", "tickets.csv", *OPTIONS, "--plan").out.split())
    assert f"of these about documents {ROWS - stopped} {stopped} kept answers" in shown

    ended = here("cluster", "tickets.csv", *OPTIONS, "--keep", "body")
    assert ended.code == 0, ended.err
    assert f"by answers to “{QUESTION}” by local:small ({ROWS - stopped} calls and {stopped} kept answers" in ended.out
    texts = [request.text for request in provider.asked if QUESTION in request.rules]
    assert len(texts) == len(set(texts)) == ROWS
    members = pq.read_table(tmp_path / "shoal-out" / "tickets" / "members.parquet").to_pylist()
    assert all(row["answer"] == FAULTS["cracked" in row["body"]] for row in members)
    assert len({(row["cluster_id"], row["answer"]) for row in members}) == 2

    listed = here("show", "shoal-out/tickets", "--cluster", "0")
    assert listed.code == 0 and re.search(r"document +.*answer", listed.out) and members[0]["answer"][:7] in listed.out
    again = here("cluster", "tickets.csv", *OPTIONS, "--no-labels", "--quiet")
    assert again.code == 0 and sum(QUESTION in request.rules for request in provider.asked) == ROWS


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--facet", QUESTION), "--facet: needs a language model"),
        (("--facet", "x" * 501, "--llm", "local:small"), "--facet: must have 1 to 500 characters"),
        (("--facet", QUESTION, "--llm", "local:small", "--vector", "v"), "--facet: is given beside --vector"),
        (("--facet", QUESTION, "--llm", "local:small", "--llm-budget", "-1"), "--llm-budget: must be an amount"),
    ],
)
def test_a_mistake_is_named_by_its_option(
    here: Command, provider: FakeProvider, options: tuple[str, ...], problem: str
) -> None:
    done = here("cluster", "tickets.csv", "--text", "body", *options)
    assert done.code == 2 and problem in done.complaint and provider.asked == []


def test_the_commands_and_the_program_of_the_guide_work(
    here: Command, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-nobody")
    monkeypatch.setenv("SHOAL_OPENAI_URL", f"{provider.url}/v1")
    guide = (Path(__file__).parents[2] / "docs" / "language-models.md").read_text()
    section = guide.partition("## Clustering by what documents say")[2].partition("### Facets on a server")[0]
    blocks = re.findall(r"```(\w*)\n(.*?)```", section, re.S)
    commands = [line for kind, block in blocks if not kind for line in block.splitlines()]
    assert len(commands) == 3
    for line in commands:
        done = here(*shlex.split(line)[1:])
        assert done.code == 0, done.err
    calls = len(provider.asked)
    names: dict[str, Any] = {"shoal": shoal, "frame": pd.read_csv("tickets.csv")}
    for kind, block in blocks:
        if kind == "python":
            exec(block, names)  # the text of our own guide
    clustering, faults = names["clustering"], names["faults"]
    assert clustering.members()["answer"].to_pylist() == faults.answers and faults.errors == {}
    assert len(provider.asked) == calls + ROWS  # those of `derive`, which keeps its answers elsewhere
