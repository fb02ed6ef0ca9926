"""What calls may cost, and what they did cost."""

import asyncio
import json
from dataclasses import replace
from importlib.resources import files

import pytest

from labeling.providers.fake_provider import FakeProvider, Reply, answer_well
from labeling.providers.fake_wires import Asked
from labeling.providers.groups import PRICE, TOPICS, brief_of, connect
from shoal.labeling import Budget
from shoal.labeling.providers import Instructions, ModelNamer, Price, Providers, Usage, estimate
from shoal.labeling.providers.calls.limits import Pace
from shoal.labeling.providers.calls.prices import known_price, price_date, price_note
from shoal.labeling.providers.calls.usage import Tokens

pytest.importorskip("pydantic_ai")


@pytest.mark.parametrize("model", ["gpt-4o-mini", "claude-haiku-4-5", "gemini-2.5-flash"])
def test_cost_is_that_of_the_tokens_that_the_provider_counted(model: str) -> None:
    with FakeProvider() as fake:
        namer = ModelNamer(connect(fake, model))
        names = namer.name(brief_of(), Budget(cost=1.0))
        tokens = fake.usage
    assert (namer.usage.input_tokens, namer.usage.output_tokens) == tokens
    assert namer.usage.cost == pytest.approx((1.5 * tokens[0] + 6 * tokens[1]) / 1e6, rel=1e-12)
    assert sum(name.cost for name in names[0]) == pytest.approx(namer.usage.cost, rel=1e-9)


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 2.0])
def test_a_budget_is_never_passed(share: float, concurrency: int) -> None:
    with FakeProvider() as fake:
        full = ModelNamer(connect(fake))
        full.name(brief_of(), Budget(cost=None))
        fake.asked.clear()
        limit = full.usage.cost * share + (0.007 if share else 0)
        namer = ModelNamer(connect(fake, concurrency=concurrency))
        names = namer.name(brief_of(), Budget(cost=limit))
        assert namer.usage.cost <= limit
        assert len(fake.asked) == namer.usage.calls
    unnamed = [name for name in names[0] if name.source != "model"]
    assert bool(unnamed) == (share < 1)
    assert all("budget" in str(name.error) for name in unnamed)


def test_a_budget_covers_all_briefs_of_a_namer_and_earlier_attempts_of_its_run() -> None:
    reported = list[Usage]()
    with FakeProvider() as fake:
        namer = ModelNamer(connect(fake), on_usage=reported.append)
        namer.name(brief_of(TOPICS[:3]), Budget(calls=4, cost=None))
        namer.name(brief_of(TOPICS[3:]), Budget(calls=4, cost=None))
        assert len(fake.asked) == 4 and reported[-1] == namer.usage
        resumed = ModelNamer(connect(fake), spent=reported[-1])
        names = resumed.name(brief_of(TOPICS[4:]), Budget(calls=5, cost=None))
        assert len(fake.asked) == 5
    assert [name.source for name in names[0]].count("model") == 1


def test_a_budget_of_tokens_holds_without_a_price() -> None:
    with FakeProvider() as fake:
        namer = ModelNamer(connect(fake, price=None))
        namer.name(brief_of(), Budget(cost=1.0, tokens=6000))
        assert 0 < namer.usage.calls < len(TOPICS)
    assert namer.usage.input_tokens + namer.usage.output_tokens <= 6000 and namer.usage.cost == 0


def test_a_budget_in_dollars_alone_needs_a_price() -> None:
    with FakeProvider() as fake:
        names = ModelNamer(connect(fake, price=None)).name(brief_of(), Budget(cost=1.0))
        assert not fake.asked
    assert all("No price is known" in str(name.error) for name in names[0])


def test_a_call_without_a_report_counts_in_full_against_the_budget() -> None:
    with FakeProvider(lambda asked: Reply(no_answer=True)) as fake:
        namer = ModelNamer(connect(fake, attempts=1))
        namer.name(brief_of(TOPICS[:2]), Budget(cost=1.0))
    used = namer.usage
    assert used.calls == 2 and used.cost == 0
    assert used.highest_cost == pytest.approx(used.unreported_picodollars / 1e12)


def test_answers_that_could_not_be_used_are_paid_for() -> None:
    with FakeProvider(lambda asked: Reply("no JSON")) as fake:
        namer = ModelNamer(connect(fake))
        namer.name(brief_of(), Budget(cost=1.0))
        assert (namer.usage.input_tokens, namer.usage.output_tokens) == fake.usage
    assert namer.usage.calls == 2 * len(TOPICS)


def test_an_estimate_is_near_what_is_used() -> None:
    with FakeProvider() as fake:
        namer = ModelNamer(connect(fake))
        namer.name(brief_of(), Budget(cost=1.0))
        expected = estimate(connect(fake), Instructions(), [len(TOPICS)], documents=60)
    assert len(TOPICS) <= expected.calls <= 2 * len(TOPICS)
    assert expected.cost is not None and namer.usage.cost / 2 < expected.cost < namer.usage.cost * 4


def test_no_more_calls_than_allowed_are_under_way() -> None:
    with FakeProvider(lambda asked: answer_slowly(asked)) as fake:
        ModelNamer(connect(fake, concurrency=2)).name(brief_of(), Budget(cost=1.0))
        assert fake.most_at_once == 2


def test_no_more_calls_than_allowed_are_begun_in_a_minute() -> None:
    now, begun = 1000.0, list[float]()

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def begin(pace: Pace, calls: int) -> None:
        for _ in range(calls):
            assert await pace.wait(2000.0)
            begun.append(now)

    pace = Pace(30, lambda: now, sleep)
    asyncio.run(begin(pace, 4))
    assert begun == [1000, 1002, 1004, 1006]
    now = 1100.0
    asyncio.run(begin(pace, 2))
    assert begun[4:] == [1100, 1102], "calls that were not made in a pause are not made up for"
    assert not asyncio.run(pace.wait(1103.0)) and now == 1102, "a turn that comes too late is not waited for"
    asyncio.run(begin(Pace(0, lambda: now, sleep), 3))
    assert begun[6:] == [1102] * 3


def test_calls_whose_turn_comes_too_late_are_not_waited_for() -> None:
    with FakeProvider() as fake:
        namer = ModelNamer(connect(fake, per_minute=1, total=30))
        names = namer.name(brief_of(TOPICS[:3]), Budget(cost=1.0))
        assert len(fake.asked) == 1
    assert [str(name.error) for name in names[0] if name.error] == ["The time for names by a model was up."] * 2


def answer_slowly(asked: Asked) -> Reply:
    from dataclasses import replace

    return replace(answer_well(asked), delay=0.05)


def test_a_wrong_key_is_tried_once_and_a_dead_provider_a_few_times() -> None:
    with FakeProvider(lambda asked: Reply(status=401, body=b"{}")) as fake:
        ModelNamer(connect(fake, concurrency=1)).name(brief_of(), Budget(cost=1.0))
        assert len(fake.asked) == 1
    with FakeProvider(lambda asked: Reply(status=503, body=b"{}")) as fake:
        names = ModelNamer(connect(fake, concurrency=1, failures=2)).name(brief_of(), Budget(cost=1.0))
        assert len(fake.asked) == 4
    assert all(name.error for name in names[0])


def test_the_price_table_says_that_nobody_checked_it() -> None:
    assert price_date() >= "2026-11-01"
    assert "not checked with the provider" in price_note() and price_date() in price_note()
    assert known_price("openai:gpt-4.1-mini-2025-04-14") == Price(0.4, 1.6)
    assert known_price("anthropic:claude-haiku-4-5-20251001") == Price(1.0, 5.0)
    assert known_price("openai:unknown") is None
    assert PRICE.of(Tokens(3, 1)) == 3 * 1_500_000 + 6_000_000


def test_the_price_table_agrees_with_that_of_genai_prices() -> None:
    """That of another project is no proof, but ours was not copied from it."""
    genai_prices = pytest.importorskip("genai_prices")
    used = genai_prices.Usage(input_tokens=1000, output_tokens=1000)
    table = json.loads(files("shoal.labeling.providers.calls").joinpath("prices.json").read_text())["prices"]
    for name, prices in table.items():
        provider, _, model = name.partition(":")
        theirs = genai_prices.calc_price(used, model_ref=model, provider_id=provider)
        assert prices == pytest.approx([float(theirs.input_price) * 1e3, float(theirs.output_price) * 1e3]), name


def test_an_unchecked_price_counts_twice_towards_a_budget_and_once_in_the_cost() -> None:
    with FakeProvider() as fake:
        environ = {"OPENAI_API_KEY": "x", "SHOAL_OPENAI_URL": f"{fake.url}/v1"}
        connection = Providers.read(environ).connect("openai:gpt-4o-mini")
        assert connection.margin == 2
        free = ModelNamer(connection)
        free.name(brief_of(), Budget(cost=None))
        tokens = fake.usage
        assert free.usage.cost == pytest.approx((0.15 * tokens[0] + 0.6 * tokens[1]) / 1e6, rel=1e-12)
        assert free.usage.highest_cost == pytest.approx(2 * free.usage.cost, rel=1e-12)

        limited = ModelNamer(connection)
        limited.name(brief_of(), Budget(cost=1.5 * free.usage.cost))
        assert limited.usage.highest_cost <= 1.5 * free.usage.cost
        assert limited.usage.calls < free.usage.calls

        own = ModelNamer(replace(connection, margin=1))
        own.name(brief_of(), Budget(cost=None))
        assert own.usage.highest_cost == own.usage.cost
    assert "counts 2 times" in str(estimate(connection, Instructions(), [6]).price_note)
    assert estimate(replace(connection, margin=1), Instructions(), [6]).price_note is None
