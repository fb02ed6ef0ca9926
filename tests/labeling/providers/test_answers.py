"""Nothing is paid for twice: kept answers, unchanged reruns, runs that were killed."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from labeling.providers.fake_provider import FakeProvider, Reply, answer_well
from labeling.providers.fake_wires import Asked
from labeling.providers.groups import TOPICS, brief_of, connect, labels_of, two_layers
from shoal.errors import Cancelled, Unavailable
from shoal.labeling import Budget
from shoal.labeling.providers import FileAnswers, Instructions, ModelNamer, Usage

pytest.importorskip("pydantic_ai")

FREE = Budget(cost=None)


def test_an_unchanged_rerun_asks_nothing(tmp_path: Path) -> None:
    with FakeProvider() as fake:
        first = ModelNamer(connect(fake), answers=FileAnswers(tmp_path))
        names = first.name(two_layers(), FREE)
        calls = len(fake.asked)
        assert first.usage.calls == calls >= 8

        again = ModelNamer(connect(fake), answers=FileAnswers(tmp_path))
        assert again.name(two_layers(), FREE) == names
        assert len(fake.asked) == calls
    assert again.usage == Usage(cached=calls)


def test_answers_that_could_not_be_used_are_kept_too(tmp_path: Path) -> None:
    with FakeProvider(lambda asked: Reply("no JSON")) as fake:
        for _ in range(2):
            names = ModelNamer(connect(fake), answers=FileAnswers(tmp_path)).name(brief_of(), FREE)
        assert len(fake.asked) == 2 * len(TOPICS)
    assert all("was not JSON" in str(name.error) for name in names[0])


def test_a_key_that_a_server_repeats_is_not_kept(tmp_path: Path) -> None:
    with FakeProvider(lambda asked: Reply(f'{{"label": "Key {fake.keys[-1]}"}}')) as fake:
        names = ModelNamer(connect(fake), answers=FileAnswers(tmp_path)).name(brief_of(), FREE)
        key = fake.keys[-1].removeprefix("Bearer ")
    files = [file.read_text() for file in tmp_path.rglob("*.json")]
    assert len(key) > 4 and files and "***" in files[0]
    assert not any(key in text for text in (*files, repr(names)))


def test_an_answer_expires_after_its_seconds(tmp_path: Path) -> None:
    now = 1000.0
    answers = FileAnswers(tmp_path, lambda: now)
    answers.put("ab12", "text", 60)
    assert answers.get("ab12") == "text"
    now = 1061.0
    assert answers.get("ab12") is None
    FileAnswers(tmp_path, lambda: now).put("abff", "another", 60)
    assert [path.name for path in tmp_path.rglob("*.json")] == ["abff.json"]


def test_a_damaged_answer_is_asked_for_again(tmp_path: Path) -> None:
    with FakeProvider() as fake:
        ModelNamer(connect(fake), answers=FileAnswers(tmp_path)).name(brief_of(), FREE)
        for file in tmp_path.rglob("*.json"):
            file.write_bytes(b"\x00damaged")
        names = ModelNamer(connect(fake), answers=FileAnswers(tmp_path)).name(brief_of(), FREE)
        assert len(fake.asked) == 2 * len(TOPICS)
    assert all(name.source == "model" for name in names[0])


def test_another_model_prompt_or_parameter_is_another_question(tmp_path: Path) -> None:
    with FakeProvider() as fake:
        for instructions in (
            Instructions(),
            Instructions(context="Calls to a bank"),
            Instructions(parameters={"temperature": 0.5}),
            Instructions(include_summary=False),
            Instructions(prompt="Name it: {documents}"),
        ):
            ModelNamer(connect(fake), instructions, FileAnswers(tmp_path)).name(brief_of(), FREE)
        ModelNamer(connect(fake, "gemini-2.5-flash"), answers=FileAnswers(tmp_path)).name(brief_of(), FREE)
        assert len(fake.asked) == 6 * len(TOPICS)


def test_without_a_cache_answers_are_kept_for_their_run_alone(tmp_path: Path) -> None:
    once = Instructions(cache_seconds=0)
    with FakeProvider() as fake:
        for run, calls in (("run_a", 1), ("run_a", 1), ("run_b", 2), ("", 3), ("", 4)):
            ModelNamer(connect(fake), once, FileAnswers(tmp_path), run=run).name(brief_of(), FREE)
            assert len(fake.asked) == calls * len(TOPICS), run


class _Failing:
    def get(self, key: str) -> str | None:
        raise Unavailable("down")

    def put(self, key: str, answer: str, seconds: int) -> None:
        raise OSError(28, "No space left on device")


def test_a_store_of_answers_that_fails_does_not_fail_naming() -> None:
    with FakeProvider() as fake:
        names = ModelNamer(connect(fake), answers=_Failing()).name(brief_of(), FREE)
    assert all(name.source == "model" for name in names[0])


def test_a_run_that_is_cancelled_stops_its_calls_at_once_and_keeps_its_answers(tmp_path: Path) -> None:
    def slow_after_two(asked: Asked) -> Reply:
        return answer_well(asked) if asked.number < 2 else replace(answer_well(asked), delay=0.5)

    def cancel(fraction: float) -> None:
        if fraction > 0.3:
            raise Cancelled("asked to stop")

    with FakeProvider(slow_after_two) as fake:
        with pytest.raises(Cancelled):
            ModelNamer(connect(fake, concurrency=1), answers=FileAnswers(tmp_path)).name(brief_of(), FREE, cancel)
        assert len(fake.asked) <= 4
        fake.behave = answer_well
        ModelNamer(connect(fake), answers=FileAnswers(tmp_path)).name(brief_of(), FREE)
        assert len(fake.asked) <= len(TOPICS) + 2
    assert not [thread for thread in threading.enumerate() if thread.name == "shoal-naming"]


_CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from labeling.providers.groups import brief_of
from shoal.labeling import Budget
from shoal.labeling.providers import *
from shoal.labeling.providers.calls.connection import Key
connection = Connection(name="openai:m", provider="openai", model="gpt-4o-mini", url=sys.argv[2], key=Key("k"),
                        price=Price(1, 1), limits=Limits(concurrency=int(sys.argv[4])))
names = ModelNamer(connection, answers=FileAnswers(Path(sys.argv[3]))).name(brief_of(), Budget(cost=None))
print([name.label for name in names[0]])
"""


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_naming_that_is_killed_pays_for_no_kept_answer_again(tmp_path: Path, concurrency: int) -> None:
    """Questions whose answers were under way when the process died are asked again; no others."""
    child: list[subprocess.Popen[str]] = []
    answered: list[str] = []

    def kill_at_fourth(asked: Asked) -> Reply:
        if asked.number == 3:
            os.kill(child[0].pid, signal.SIGKILL)
            return Reply(no_answer=True)
        answered.append(str(asked.documents))
        return answer_well(asked)

    def start(url: str) -> subprocess.Popen[str]:
        arguments = [str(Path(__file__).parents[2]), f"{url}/v1", str(tmp_path), str(concurrency)]
        return subprocess.Popen([sys.executable, "-c", _CHILD, *arguments], stdout=subprocess.PIPE, text=True)

    with FakeProvider(kill_at_fourth) as fake:
        child.append(start(fake.url))
        child[0].communicate(timeout=300)
        assert child[0].returncode == -signal.SIGKILL
        kept = len(list(tmp_path.rglob("*.json")))
        assert 3 - (concurrency - 1) <= kept <= 3
        fake.behave = answer_well
        before = len(fake.asked)
        output, _ = start(fake.url).communicate(timeout=300)
        assert len(fake.asked) - before == len(TOPICS) - kept
    assert output.count("'") == 2 * len(TOPICS)


def test_labels_are_the_same_whatever_the_order_of_answers(tmp_path: Path) -> None:
    def late(asked: Asked) -> Reply:
        return replace(answer_well(asked), delay=0.05 * (asked.number % 3))

    with FakeProvider() as fake, FakeProvider(late) as slow:
        one = ModelNamer(connect(fake, concurrency=1)).name(two_layers(), FREE)
        many = ModelNamer(connect(slow, concurrency=8)).name(two_layers(), FREE)
    assert labels_of(one) == labels_of(many)
