"""What documents are clustered by in place of their own words: `shoal.derive`, and the argument `facet`."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from shoal.engine.plan import Progress
from shoal.errors import InvalidField
from shoal.labeling import Budget, Namer
from shoal.library.input.conversion import rename_field_in_errors, to_texts
from shoal.library.input.frames import is_pandas, is_polars
from shoal.library.namers import DEFAULT_COST, Naming, answers_folder, describe_usage, parse_budget
from shoal.quantities import plural
from shoal.scalars import is_missing, unwrap

if TYPE_CHECKING:
    from shoal.labeling.providers import Answers, Connection, Estimate
    from shoal.labeling.providers.facets import Derived, FacetWriter

__all__ = ["ANSWER", "Facet", "FacetPlan", "derive", "open_facet"]

ANSWER: Final = "answer"
"""The column of answers in the members."""
_CALLS_A_TEXT: Final = 10
"""Without a price, as of one's own server, what is limited is the number of calls."""


@dataclass(frozen=True, slots=True)
class FacetPlan:
    """What the answers to a question would take."""

    question: str
    model: str
    kept: int
    """Different texts whose answer is at hand, and costs nothing."""
    estimate: "Estimate"
    note: str | None = None
    """Whether the budget may end before the documents do."""


@dataclass(frozen=True, slots=True)
class Facet:
    """A question about each document, the model that answers it, and what the answers may cost."""

    question: str
    connection: "Connection"
    writer: "FacetWriter"
    budget: Budget

    def write(self, texts: Sequence[str], progress: Progress) -> "Derived":
        """Ask about each text. Raises only what `progress` raises; answers that came before are kept."""
        progress("facets", 0.0)
        return self.writer.write(texts, _limit(self.budget, self.connection, len(texts)), partial(progress, "facets"))

    def plan(self, texts: Sequence[str]) -> FacetPlan:
        """Estimate what `write` would take, without a call."""
        from shoal.labeling.providers.facets import estimate_facet

        distinct, left = len({text for text in texts if text.strip()}), self.writer.find_unanswered(texts)
        length = sum(len(text.encode("utf-8", "replace")) for text in left) / max(len(left), 1)
        expected = estimate_facet(self.connection, self.question, len(left), length)
        counted = None if expected.cost is None else expected.cost * self.connection.margin
        note = None
        if counted is not None and self.budget.cost is not None and counted > self.budget.cost:
            note = (
                f"Asking {self.connection.name} about each document would count about ${counted:,.2f}, and the budget "
                f"is ${self.budget.cost:,.2f}. Documents beyond it have their own text."
            )
        return FacetPlan(self.question, self.connection.name, distinct - len(left), expected, note)

    def charge(self, naming: Naming) -> Naming:
        """Return what names clusters, with what the answers left of the common budget."""
        used, shared, own = self.writer.usage, self.budget, naming.budget
        tokens = used.input_tokens + used.output_tokens + used.unreported_tokens
        return replace(
            naming,
            budget=Budget(
                cost=own.cost if None in (own.cost, shared.cost) else max((own.cost or 0.0) - used.highest_cost, 0.0),
                tokens=own.tokens if None in (own.tokens, shared.tokens) else max((own.tokens or 0) - tokens, 0),
                calls=own.calls if None in (own.calls, shared.calls) else max((own.calls or 0) - used.calls, 0),
            ),
        )

    def describe(self) -> dict[str, Any]:
        """Return the question, the model and what it took, for the summary."""
        return {"question": self.question, **describe_usage(self.connection, self.writer.usage)}

    def warn(self, derived: "Derived") -> list[str]:
        """Return sentences on documents that have their own text."""
        from shoal.labeling.providers.facets import NO_ANSWER

        failures = {reason: count for reason, count in derived.errors.items() if reason != NO_ANSWER}
        warnings = []
        if count := derived.errors.get(NO_ANSWER, 0):
            do = plural(count, "document does", "documents do")
            warnings.append(f"{do} not answer the question and {'has its' if count == 1 else 'have their'} own text.")
        if failures:
            reason, count = max(failures.items(), key=lambda item: (item[1], item[0]))
            several = "" if len(failures) == 1 else f" ({count:,} of them)"
            has = plural(sum(failures.values()), "document has its", "documents have their")
            warnings.append(
                f"{has} own text, because the question was not answered: {reason}{several} Clustering again asks about "
                "such documents alone."
            )
        return warnings


def open_facet(
    question: object,
    namer: str | Namer | None,
    budget: float | Budget | None,
    names: tuple[str, str, str] = ("facet", "namer", "budget"),
    environ: Mapping[str, str] = os.environ,
) -> Facet | None:
    """Open a question about each document; None for no question.

    Parameters
    ----------
    question : str or None
    namer : str or Namer or None
        The URI of the model, or a namer by one.
    budget : float or Budget or None
        US dollars, or a budget, for answers and names together. None is one dollar.
    names : (str, str, str)
        How errors call these.
    environ : mapping
        Where keys are.

    Raises
    ------
    InvalidField
        If the question is none, there is no model, no key, no price for a budget in dollars, or the extra is not
        installed.
    """
    if question is None:
        return None
    if not isinstance(question, str):
        raise InvalidField(names[0], "must be a question", value=question, remedy='Such as "What went wrong?".')
    from shoal.labeling.providers import FileAnswers, ModelNamer, Providers
    from shoal.labeling.providers.facets import KEPT_SECONDS

    if isinstance(namer, ModelNamer):
        instructions = namer.instructions
        connection, answers = namer.connection, namer.answers
        context, seconds = instructions.context, instructions.cache_seconds
    elif isinstance(namer, str):
        connection, answers = Providers.read(environ).connect(namer, names[1]), FileAnswers(answers_folder(environ))
        context, seconds = "", KEPT_SECONDS
    else:
        remedy = f"Name one with {names[1]}, such as openai:gpt-4o-mini."
        raise InvalidField(names[0], "needs a language model", value=question[:80], remedy=remedy)
    limit = Budget(cost=DEFAULT_COST) if budget is None else parse_budget(budget, names[2])
    if connection.price is None:
        if budget is not None and limit.tokens is None and limit.calls is None:
            remedy = "Set its prices in the file of SHOAL_MODELS, or give a budget in tokens or calls."
            raise InvalidField(names[2], f"is in dollars, and no price of {connection.name} is known", remedy=remedy)
        limit = replace(limit, cost=None)
    return Facet(
        question.strip(),
        connection,
        _open_writer(connection, question, answers, context, seconds, names[:2]),
        limit,
    )


def _open_writer(
    connection: "Connection",
    question: str,
    answers: "Answers | None",
    context: str,
    seconds: int,
    names: Sequence[str],
) -> "FacetWriter":
    from shoal.labeling.providers.calls.pydantic_model import check_installed
    from shoal.labeling.providers.facets import FacetWriter

    check_installed(names[1])
    with rename_field_in_errors("question", names[0]):
        return FacetWriter(connection, question, answers, context=context, seconds=seconds)


def _limit(budget: Budget, connection: "Connection", texts: int) -> Budget:
    unlimited = budget.tokens is None and budget.calls is None
    return replace(budget, calls=_CALLS_A_TEXT * texts) if connection.price is None and unlimited else budget


def derive(
    texts: Iterable[object],
    question: str,
    llm: str,
    *,
    budget: float = DEFAULT_COST,
    context: str = "",
    answers: str | Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> "Derived":
    """Ask a language model one question about each text, to cluster the answers in place of the texts.

    Complaints cluster by product, because they are full of product names; their answers to "What went wrong?" cluster
    by fault. Equal texts are asked about once. No failure of the model raises: a text without an answer stands for
    itself, and is counted in `errors`. `shoal.cluster(facet=…)` does this and clusters.

    Parameters
    ----------
    texts : (n,) texts
        One for each document: a list, an array, a column of pandas, polars or Arrow.
    question : str
        Such as "What went wrong?" or "What did the person want?"; at most 500 characters.
    llm : str
        The model, such as "openai:gpt-4o-mini"; its key comes from the environment.
    budget : float, default 1.0
        The most that it may cost, in US dollars. Texts beyond it stand for themselves.
    context : str, default ""
        About the data, for the model.
    answers : str or Path, optional
        A folder where answers are kept for 30 days. Called again with it, after a crash or with more texts, only texts
        without an answer are paid for. None keeps none.
    progress : callable, optional
        Receives the fraction that is done; what it raises stops the calls and is raised.

    Returns
    -------
    Derived
        `texts` (for `shoal.cluster(texts=…)`), `answers`, `errors`, `model` and `usage`.

    Raises
    ------
    InvalidField
        For a text that is missing (None, NaN), for a question, model or budget that cannot be used, without a key for
        the model, or without the extra `llm`.
    """
    read = _read_texts(texts)
    arguments: Sequence[tuple[str, object, str]] = (
        ("question", question, 'Such as "What went wrong?".'),
        ("llm", llm, "Like openai:gpt-4o-mini."),
    )
    for name, value, remedy in arguments:
        if not isinstance(value, str):
            raise InvalidField(name, "must be text", value=value, remedy=remedy)
    dollars: object = budget
    if isinstance(dollars, bool) or not isinstance(dollars, (int, float)) or not 0 <= dollars <= 1e6:
        raise InvalidField("budget", "must be dollars from 0 to 1,000,000", value=budget, remedy="Like budget=0.50.")
    from shoal.labeling.providers import FileAnswers, Providers
    from shoal.labeling.providers.facets import KEPT_SECONDS

    connection = Providers.read().connect(llm, "llm")
    kept = None if answers is None else FileAnswers(Path(answers).expanduser())
    writer = _open_writer(connection, question, kept, context, KEPT_SECONDS, ("question", "llm"))
    limit = Budget(cost=None if connection.price is None else float(budget))
    return writer.write(read, _limit(limit, connection, len(read)), progress)


def _read_texts(texts: Any) -> list[str]:
    """Return one text per document. Raises InvalidField, also for one that is missing."""
    if texts is None or is_pandas(texts) or is_polars(texts) or isinstance(texts, pa.Table):
        problem = "is missing" if texts is None else f"is a table ({type(texts).__name__}), not one text per document"
        raise InvalidField("texts", problem, remedy='Give a list, or one column: df["body"].')
    values = texts if isinstance(texts, (pa.Array, pa.ChunkedArray)) or hasattr(texts, "__len__") else _to_list(texts)
    with rename_field_in_errors("text", "texts"):
        read = to_texts(values, None) or []
    plain = values.to_pylist() if isinstance(values, (pa.Array, pa.ChunkedArray)) else values
    missing = [row for row, value in enumerate(plain) if is_missing(value)]
    if missing:
        problem = f"is missing; {plural(len(missing), 'text is', 'texts are')}"
        remedy = 'Leave such rows out, as df.dropna(subset=["body"]) does, or make them "".'
        raise InvalidField(f"texts[{missing[0]}]", problem, value=unwrap(plain[missing[0]]), remedy=remedy)
    return read


def _to_list(values: Any) -> Any:
    return list(values) if hasattr(values, "__iter__") else values
