"""One question to an answer: kept answers first, then calls within budget, pace, tries and time."""

import asyncio
import json
import random
import time
from contextlib import suppress
from typing import Final

from shoal.errors import ShoalError
from shoal.labeling.base import Budget, Media
from shoal.labeling.providers.calls.account import Account
from shoal.labeling.providers.calls.answers import Answers, answer_key, read_answer, write_answer
from shoal.labeling.providers.calls.limits import Limits, Pace, wait_before_retry
from shoal.labeling.providers.calls.model import Failure, LanguageModel, Question, Reply
from shoal.labeling.providers.calls.usage import Tokens

__all__ = ["Desk", "worst_case"]

_OVERHEAD: Final = 1000
_OF_MEDIA: Final = 8000
_FOR_A_RUN: Final = 86_400
_LATE: Final = "The time for names by a model was up."


class Desk:
    """Answers the questions of one `name`.

    Parameters
    ----------
    model : LanguageModel
    name : str
        That of the model, for keys of answers.
    limits : Limits
    account : Account
    budget : Budget
    answers : Answers, optional
        Kept answers.
    seconds : int
        How long answers are kept; 0 keeps them for this run only.
    run : str
        The run, for answers that are kept for it only; empty keeps none of these.
    """

    def __init__(
        self,
        model: LanguageModel,
        name: str,
        limits: Limits,
        account: Account,
        budget: Budget,
        answers: Answers | None,
        seconds: int,
        run: str = "",
    ) -> None:
        self._model, self._name, self._limits, self._account, self._budget = model, name, limits, account, budget
        self._answers = answers if seconds or run else None
        self._seconds, self._scope = seconds or _FOR_A_RUN, "" if seconds else run
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._pace = Pace(limits.per_minute, time.monotonic)
        self._deadline = time.monotonic() + limits.total
        self._jitter = random.Random()  # it only spreads retries
        self._failures, self._stopped = 0, ""
        self._keeping = asyncio.Lock()

    async def answer(self, question: Question) -> tuple[Reply, int]:
        """Return an answer and what was paid for it now, in picodollars. Raises Failure."""
        key = answer_key(self._name, question, self._scope)
        kept = await self._get(key)
        if kept is not None:
            self._account.book_cached()
            return kept, 0
        async with self._slots:
            reply, price = await self._ask(question)
            await self._put(key, reply, price)  # before the slot is free: only calls under way can be lost
        return reply, price

    async def _ask(self, question: Question) -> tuple[Reply, int]:
        """Try until there is an answer, or a reason to stop."""
        for attempt in range(1, self._limits.attempts + 1):
            try:
                reply, price = await self._try(question)
            except Failure as failure:
                wait = wait_before_retry(self._limits, attempt, failure.wait, self._jitter)
                late = wait is None or time.monotonic() + wait >= self._deadline
                if not failure.passing or late or attempt == self._limits.attempts:
                    self._note(failure)
                    raise
                await asyncio.sleep(wait or 0.0)
            else:
                self._failures = 0
                return reply, price
        raise AssertionError("the last try returns or raises")

    async def _try(self, question: Question) -> tuple[Reply, int]:
        """Call once, if the budget and the time admit it."""
        if not await self._pace.wait(self._deadline):
            self._stopped = self._stopped or _LATE
            raise Failure(self._stopped, final=True)
        reservation = await self._account.reserve(worst_case(question), self._budget)
        if reservation is None:
            self._stopped = self._stopped or "The budget for names by a model is used up."
        left = self._deadline - time.monotonic()
        if left <= 0:
            self._stopped = self._stopped or _LATE
        if self._stopped:
            if reservation is not None:
                self._account.release(reservation)
            raise Failure(self._stopped, final=True)
        assert reservation is not None
        tokens: Tokens | None = None
        try:
            reply = await self._model.ask(question, min(self._limits.timeout, left))
            tokens = reply.tokens
        except Failure as failure:
            tokens = failure.tokens
            raise
        finally:
            price = self._account.settle(reservation, tokens)
            await self._account.report()
        return reply, price

    def _note(self, failure: Failure) -> None:
        """Stop where every further call would fail likewise."""
        self._failures += 1
        if failure.final:
            self._stopped = self._stopped or failure.sentence
        elif self._failures >= self._limits.failures:
            self._stopped = self._stopped or f"{failure.sentence} After {self._failures} such calls no more were made."

    async def _get(self, key: str) -> Reply | None:
        """A store that fails does not fail a run: it only holds nothing."""
        if self._answers is None:
            return None
        try:
            async with self._keeping:
                kept = await asyncio.to_thread(self._answers.get, key)
        except (ShoalError, OSError):
            return None
        return None if kept is None else read_answer(kept)

    async def _put(self, key: str, reply: Reply, price: int) -> None:
        if self._answers is not None:
            with suppress(ShoalError, OSError):
                async with self._keeping:
                    await asyncio.to_thread(self._answers.put, key, write_answer(reply, price), self._seconds)


def worst_case(question: Question) -> Tokens:
    """Return a bound of the tokens of a call: a token has at least a byte."""
    texts = sum(len(part.encode()) for part in question.parts if isinstance(part, str))
    media = sum(_OF_MEDIA for part in question.parts if isinstance(part, Media))
    schema = len(json.dumps(question.schema))
    return Tokens(len(question.rules.encode()) + texts + media + schema + _OVERHEAD, question.output_tokens)
