"""Budgets of runs and months, and kept answers, on both stores."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shoal.errors import Unavailable
from shoal.labeling.providers import Usage
from shoal.records.runs.execution import Execution
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository
from shoal.runs.models import answers as answers_of_models
from shoal.runs.models.account import RunAccount
from shoal.runs.models.answers import AnswerStore
from shoal.runs.models.spending import Spendings
from shoal.storage.memory.metadata import MemoryMetadata
from shoal.storage.protocols.transactions import RecordStore
from shoal.storage.sqlite.metadata import SqliteMetadata

HERE, ELSEWHERE, OTHERS = Scope("org_a", "ns_1"), Scope("org_a", "ns_2"), Scope("org_b", "ns_1")
DOLLAR = 10**12


class Clock:
    moment = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RecordStore]:
    opened = SqliteMetadata(tmp_path / "metadata.sqlite") if request.param == "sqlite" else MemoryMetadata()
    yield opened
    opened.close()


def run_called(store: RecordStore, id: str, scope: Scope = HERE) -> Execution:
    run = Execution(
        run_id=id, cluster_id="clust_1", namespace_id=scope.namespace_id, task_id="t", status="processing",
        created_at=Clock.moment,
    )  # fmt: skip
    return Repository(store, "execution", Execution, id_field="run_id").add(scope, run)


def account_of(store: RecordStore, spendings: Spendings, run: Execution, limit: float | None) -> RunAccount:
    answers = AnswerStore(store, Clock())
    return RunAccount(store, answers, spendings, HERE, run, "local:small", limit=limit, priced=True)


def reread(store: RecordStore, run: Execution) -> Execution:
    return Repository(store, "execution", Execution, id_field="run_id").get(HERE, run.run_id)


def test_runs_that_name_at_the_same_time_cannot_pass_the_month_together(store: RecordStore) -> None:
    spendings = Spendings(store, Clock(), month_limit=10.0)
    first, second = run_called(store, "run_1"), run_called(store, "run_2", ELSEWHERE)
    assert spendings.reserve(HERE, first, 7.0) == 7.0
    assert spendings.reserve(ELSEWHERE, second, 7.0) == 3.0
    assert spendings.left(HERE) == 0.0
    assert spendings.reserve(OTHERS, run_called(store, "run_3", OTHERS), 7.0) == 7.0  # another organisation


def test_a_model_without_a_price_is_not_limited_by_the_month(store: RecordStore) -> None:
    spendings = Spendings(store, Clock(), month_limit=10.0)
    run = run_called(store, "run_1")
    assert spendings.reserve(HERE, run, None, priced=False) is None
    assert spendings.left(HERE) == 10.0


def test_a_run_that_has_ended_reserves_nothing_but_what_it_spent(store: RecordStore) -> None:
    spendings = Spendings(store, Clock(), month_limit=10.0)
    run = run_called(store, "run_1")
    limit = spendings.reserve(HERE, run, 8.0)
    account = account_of(store, spendings, run, limit)
    account.settle(Usage(calls=1, input_tokens=5, picodollars=2 * DOLLAR))
    assert spendings.left(HERE) == 2.0
    executions = Repository(store, "execution", Execution, id_field="run_id")
    executions.change(HERE, "run_1", lambda newest: newest.with_changes(status="completed"))
    assert spendings.left(HERE) == 8.0


def test_a_run_that_is_taken_up_again_keeps_its_budget_and_counts_what_it_spent(store: RecordStore) -> None:
    spendings = Spendings(store, Clock(), month_limit=10.0)
    run = run_called(store, "run_1")
    account_of(store, spendings, run, spendings.reserve(HERE, run, 6.0)).settle(
        Usage(calls=2, output_tokens=7, picodollars=4 * DOLLAR, unreported=1, unreported_picodollars=DOLLAR)
    )
    again = reread(store, run)
    assert spendings.reserve(HERE, again, 6.0) == 6.0
    account = account_of(store, spendings, again, 6.0)
    assert account.spent == Usage(
        calls=2, output_tokens=7, picodollars=4 * DOLLAR, unreported=1, unreported_picodollars=DOLLAR
    )
    assert spendings.of_month(HERE).picodollars == 5 * DOLLAR  # what never reported counts in full


def test_a_new_month_begins_with_nothing_spent(store: RecordStore) -> None:
    clock = Clock()
    spendings = Spendings(store, clock, month_limit=1.0)
    run = run_called(store, "run_1")
    account_of(store, spendings, run, spendings.reserve(HERE, run, None)).settle(Usage(calls=1, picodollars=DOLLAR))
    assert spendings.left(HERE) == 0.0
    clock.moment += timedelta(days=10)
    assert spendings.left(HERE) == 1.0


def test_an_answer_is_kept_with_what_it_cost_or_not_at_all(store: RecordStore, monkeypatch: pytest.MonkeyPatch) -> None:
    spendings = Spendings(store, Clock())
    run = run_called(store, "run_1")
    account = account_of(store, spendings, run, None)
    account.note(Usage(calls=1, input_tokens=3, picodollars=5))
    assert reread(store, run).llm_usage is None
    account.put("key", "answer", 60)
    usage = reread(store, run).llm_usage
    assert usage is not None and (usage.calls, usage.input_tokens, usage.picodollars) == (1, 3, 5)
    assert account.get("key") == "answer"

    def fail(*_: object) -> None:
        raise Unavailable("The store does not answer.")

    account.note(Usage(calls=2, input_tokens=6, picodollars=10))
    with monkeypatch.context() as patch:
        patch.setattr(account._spendings, "_change", fail)
        with pytest.raises(Unavailable):
            account.put("other", "answer", 60)
    assert account.get("other") is None
    account.put("third", "answer", 60)
    assert reread(store, run).llm_usage == usage.with_changes(calls=2, input_tokens=6, picodollars=10)


def test_answers_are_of_one_namespace_expire_and_are_bounded(
    store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    answers = AnswerStore(store, clock)
    for number in range(5):
        store.transact(answers.keeping(HERE, f"k{number}", "x", timedelta(hours=1 + number)))
    store.transact(answers.keeping(HERE, "long", "x" * 400_000, timedelta(hours=1)))
    assert answers.get(HERE, "k0") == "x"
    assert answers.get(ELSEWHERE, "k0") is answers.get(OTHERS, "k0") is answers.get(HERE, "long") is None
    clock.moment += timedelta(hours=2)
    assert answers.get(HERE, "k0") is None and answers.get(HERE, "k2") == "x"
    assert answers.drop_expired(HERE) == 1  # one that expires now has not yet passed
    monkeypatch.setattr(answers_of_models, "MAX_ANSWERS", 2)
    assert answers.drop_expired(HERE) == 2
    assert [answers.get(HERE, f"k{number}") for number in range(5)] == [None, None, None, "x", "x"]
