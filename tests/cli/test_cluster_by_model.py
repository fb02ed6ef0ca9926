"""`shoal cluster FILE --llm MODEL`: the real command beside a provider on loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from cli.conftest import PER_TOPIC, TOPICS, Finished
from labeling.providers.fake_provider import FakeProvider, Reply, answer_well

pytest.importorskip("pydantic_ai")
pytestmark = [pytest.mark.process, pytest.mark.slow]

KEY = "sk-CANARY-0123456789abcdef"
KMEANS = ("--algorithm", "kmeans", "--clusters", 3)
Ask = Callable[..., Finished]


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider


@pytest.fixture
def ask(tmp_path: Path, fake: FakeProvider, processes: None) -> Ask:
    """Run `shoal cluster` on reviews in a process of its own; fails if the key is in what it prints or writes."""
    rows = [
        {"id": f"{topic}-{number}", "review": f"{texts[number % 4]}, {number}"}
        for topic, texts in TOPICS.items()
        for number in range(PER_TOPIC)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "reviews.csv", index=False)

    def run(*options: object, **environ: str) -> Finished:
        command = [sys.executable, "-m", "shoal.cli.main", "cluster", "reviews.csv", "--text", "review"]
        own = {name: value for name, value in os.environ.items() if not name.endswith(("_KEY", "_KEY_FILE"))}
        own |= {"OPENAI_API_KEY": KEY, "SHOAL_OPENAI_URL": f"{fake.url}/v1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
        done = subprocess.run(
            [*command, *map(str, (*KMEANS, *options))],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
            env={**own, "COLUMNS": "200", **environ},
        )
        assert KEY not in done.stdout + done.stderr
        assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


def summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "summary.json").read_bytes())
    return content


def test_the_model_names_the_clusters_and_the_table_says_so(ask: Ask, fake: FakeProvider, tmp_path: Path) -> None:
    done = ask("--llm", "openai:gpt-4o-mini", "--out", "named")
    assert done.code == 0 and done.err == "", done.err
    cost = (0.15 * fake.usage[0] + 0.6 * fake.usage[1]) / 1e6
    assert f"by openai:gpt-4o-mini (3 calls, ${cost:.4f})" in " ".join(done.out.split())
    clusters = pq.read_table(tmp_path / "named" / "centroids.parquet").to_pylist()
    assert {row["label_source"] for row in clusters} == {"model"}
    assert {row["label_model"] for row in clusters} == {"openai:gpt-4o-mini"}
    assert all(row["cluster_label"] in done.out and row["summary"] for row in clusters)
    assert summary(tmp_path / "named")["naming"]["cost"] == pytest.approx(cost)
    assert fake.keys == [f"Bearer {KEY}"] * 3

    again = ask("--llm", "openai:gpt-4o-mini", "--out", "again")
    assert again.code == 0 and len(fake.asked) == 3
    assert "(0 calls and 3 kept answers, $0.0000)" in " ".join(again.out.split())
    assert oct((tmp_path / "cache" / "shoal" / "answers").stat().st_mode)[-3:] == "700"


def test_clusters_beyond_the_budget_are_named_from_words_with_a_warning(ask: Ask, fake: FakeProvider) -> None:
    done = ask("--llm", "openai:gpt-4o-mini", "--llm-budget", "0.0000001", "--out", "poor")
    assert done.code == 0 and not fake.asked
    shown = " ".join((done.out + done.err).split())
    assert "3 clusters were named from their words, not by the model: The budget" in shown
    assert "rain" in shown.lower() and "flight" in shown.lower()


def test_a_provider_that_fails_fails_no_clustering(ask: Ask, fake: FakeProvider, tmp_path: Path) -> None:
    error = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}", "code": KEY}}).encode()
    fake.behave = lambda request: Reply(status=401, body=error)
    done = ask("--llm", "openai:gpt-4o-mini", "--out", "failed")
    assert done.code == 0
    assert "refused the key (HTTP 401)" in " ".join((done.out + done.err).split())
    clusters = pq.read_table(tmp_path / "failed" / "centroids.parquet").to_pylist()
    assert all(row["label_source"] == "words" and "HTTP 401" in row["label_error"] for row in clusters)


def test_one_bad_answer_leaves_the_other_names(ask: Ask, fake: FakeProvider, tmp_path: Path) -> None:
    fake.behave = lambda request: Reply("nonsense") if "bread" in request.text[:400] else answer_well(request)
    done = ask("--llm", "openai:gpt-4o-mini", "--json", "--out", "mixed")
    assert done.code == 0 and json.loads(done.out)["naming"]["calls"] >= 4
    rows = pq.read_table(tmp_path / "mixed" / "centroids.parquet").to_pylist()
    assert "words" in {row["label_source"] for row in rows} and len({row["cluster_label"] for row in rows}) == 3


def test_a_plan_shows_calls_cost_and_the_age_of_its_price_without_a_call(ask: Ask, fake: FakeProvider) -> None:
    done = ask("--llm", "openai:gpt-4o-mini", "--plan")
    shown = " ".join(done.out.split())
    assert done.code == 0 and "language model calls" in shown and "not checked with the provider" in shown
    naming = json.loads(ask("--llm", "openai:gpt-4o-mini", "--plan", "--json").out)["naming"]
    assert naming["cost"] > 0 and "counts 2 times" in naming["price_note"]
    assert not fake.asked


@pytest.mark.parametrize(
    ("options", "environ", "problem"),
    [
        (("--llm", "openai:gpt-4o-mini"), {"OPENAI_API_KEY": ""}, "Set OPENAI_API_KEY, or SHOAL_OPENAI_KEY_FILE"),
        (("--llm", "opnai:gpt-4o-mini"), {}, "Did you mean openai:gpt-4o-mini?"),
        (("--llm", "gpt-4o-mini"), {}, "Like openai:gpt-4o-mini."),
        (("--llm", KEY[3:]), {}, "must be PROVIDER:MODEL"),
        (("--llm", "openai:unheard-of", "--llm-budget", "1"), {}, "no price of openai:unheard-of is known"),
        (("--llm-budget", "1"), {}, "is for names by a language model"),
        (("--llm", "openai:gpt-4o-mini", "--llm-budget", "-1"), {}, "must be an amount in US dollars"),
    ],
)
def test_a_mistake_ends_the_command_before_anything_is_read(
    ask: Ask, fake: FakeProvider, tmp_path: Path, options: tuple[str, ...], environ: dict[str, str], problem: str
) -> None:
    done = ask(*options, "--out", "none", **environ)
    assert done.code == 2 and problem in " ".join(done.err.split())
    assert "Traceback" not in done.err and not (tmp_path / "none").exists() and not fake.asked
