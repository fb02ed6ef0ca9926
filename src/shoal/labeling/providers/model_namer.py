"""Names of clusters by a language model; a cluster without a usable answer is named from its words."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from shoal.errors import InvalidField
from shoal.labeling.base import Brief, Budget, InputReader, Name, Namer, PhraseEncoder, Progress
from shoal.labeling.providers.calls.account import Account
from shoal.labeling.providers.calls.answers import Answers
from shoal.labeling.providers.calls.connection import Connection
from shoal.labeling.providers.calls.desk import Desk
from shoal.labeling.providers.calls.model import LanguageModel
from shoal.labeling.providers.calls.own_loop import run_in_own_loop
from shoal.labeling.providers.calls.usage import Usage
from shoal.labeling.providers.instructions import Instructions
from shoal.labeling.providers.layer_naming import LayerNaming
from shoal.labeling.words.namer import WordNamer

__all__ = ["ModelNamer", "open_model"]

_log: Final = logging.getLogger("shoal.naming")
_WORDS: Final = 0.1
"""The share of naming from words in the progress."""
_NOTHING: Final = Usage()


def open_model(connection: Connection) -> LanguageModel:
    """Open a model. Raises InvalidField if the extra is not installed."""
    from shoal.labeling.providers.calls.pydantic_model import PydanticModel

    return PydanticModel(connection)


class ModelNamer:
    """Names clusters by a language model: one namer for a run, whose budget covers all its briefs.

    No error of a model leaves it: `Name.error` says why a name is from words. The layer that people see first
    is named first, then those above it from the bottom up, then those below it.

    Parameters
    ----------
    connection : Connection
        The model.
    instructions : Instructions
        What it is asked for.
    answers : Answers, optional
        Where answers are kept, so that the same question is not paid for twice.
    encoder : PhraseEncoder, optional
        Notices labels that mean the same.
    choose_encoder : callable, optional
        Chooses one for the texts of a brief if there is no `encoder`.
    run : str
        The id of the run, under which answers are kept if `instructions.cache_seconds` is 0.
    spent : Usage
        What earlier attempts of the same run used.
    on_usage : callable, optional
        Receives the total of the run after each call, from another thread.
    fallback : Namer, optional
        Names the clusters that the model does not; from their words by default.
    open_model : callable
        Opens the model in the event loop that uses it.
    """

    def __init__(
        self,
        connection: Connection,
        instructions: Instructions | None = None,
        answers: Answers | None = None,
        *,
        encoder: PhraseEncoder | None = None,
        choose_encoder: Callable[[Sequence[str]], PhraseEncoder | None] | None = None,
        run: str = "",
        spent: Usage = _NOTHING,
        on_usage: Callable[[Usage], None] | None = None,
        fallback: Namer | None = None,
        open_model: Callable[[Connection], LanguageModel] = open_model,
    ) -> None:
        self._connection, self._instructions = connection, instructions or Instructions()
        self._answers, self._run = answers, run
        self._encoder, self._choose_encoder = encoder, choose_encoder
        self._account = Account(connection.price, spent, on_usage, connection.margin)
        self._fallback, self._open_model = fallback or WordNamer(), open_model
        self._named = list[tuple[Sequence[str] | None, InputReader | None, dict[bytes, Name]]]()

    @property
    def usage(self) -> Usage:
        """What was used so far, `spent` included."""
        return self._account.usage

    @property
    def connection(self) -> Connection:
        """The model."""
        return self._connection

    @property
    def answers(self) -> Answers | None:
        """Where answers are kept."""
        return self._answers

    @property
    def instructions(self) -> Instructions:
        """What it is asked for."""
        return self._instructions

    def name(self, brief: Brief, budget: Budget, progress: Progress | None = None) -> list[list[Name]]:
        """See `Namer`. `budget` is for all briefs of this namer together. Raises only what `progress` raises."""
        report = progress or _silent
        words = self._fallback.name(brief, Budget(), lambda fraction: report(_WORDS * fraction))
        if brief.texts is None and brief.inputs is None:
            return words
        naming = LayerNaming(
            brief, words, self._instructions, self._connection, self._encoder_for(brief), self._find_named(brief)
        )
        problem = self._refusal(budget)
        if problem:
            return naming.refuse(problem)
        self._account.begin()
        return run_in_own_loop(
            lambda: self._name(naming, budget), lambda: report(_WORDS + (1.0 - _WORDS) * naming.fraction)
        )

    def _encoder_for(self, brief: Brief) -> PhraseEncoder | None:
        if self._encoder is not None or self._choose_encoder is None or brief.texts is None:
            return self._encoder
        return self._choose_encoder(brief.texts)

    def _find_named(self, brief: Brief) -> dict[bytes, Name]:
        """Return the names by rows of earlier briefs of the same documents."""
        for texts, inputs, named in self._named:
            if texts is brief.texts and inputs is brief.inputs:
                return named
        named = dict[bytes, Name]()
        self._named.append((brief.texts, brief.inputs, named))
        return named

    async def _name(self, naming: LayerNaming, budget: Budget) -> list[list[Name]]:
        try:
            model = self._open_model(self._connection)
        except InvalidField as error:
            return naming.refuse(error.message)
        except Exception as error:  # noqa: BLE001  # as `PydanticModel.ask`: a library's error does not fail a run
            _log.exception("naming.open")
            return naming.refuse(f"The model could not be opened ({type(error).__name__}).")
        desk = Desk(
            model,
            self._connection.name,
            self._connection.limits,
            self._account,
            budget,
            self._answers,
            self._instructions.cache_seconds,
            self._run,
        )
        try:
            return await naming.run(desk)
        finally:
            await model.close()

    def _refusal(self, budget: Budget) -> str:
        """Say why nothing is asked; empty if it may be."""
        limited = budget.cost is not None and budget.tokens is None and budget.calls is None
        if self._connection.price is None and limited:
            return f"No price is known for {self._connection.name}, so the budget has to be in tokens or calls."
        return ""


def _silent(fraction: float) -> None:
    """No-op progress callback."""
