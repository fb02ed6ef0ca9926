"""What names clusters in the library and on the command line: their words, or a language model and what it may cost."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shoal.analysis.naming import choose_phrase_encoder, open_word_namer
from shoal.errors import InvalidField
from shoal.labeling import Budget, Namer, describe_missing_dictionary
from shoal.library.cache_folder import cache_folder
from shoal.quantities import plural

if TYPE_CHECKING:
    from shoal.analysis.named_clusters import Analysis
    from shoal.labeling.providers import Connection, Estimate, ModelNamer, Usage

__all__ = ["DEFAULT_COST", "Naming", "answers_folder", "describe_usage", "open_naming", "parse_budget"]

DEFAULT_COST: Final = 1.0
"""In US dollars."""
_DEFAULT_TOKENS: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Naming:
    """A namer, and what its names may cost."""

    namer: Namer | None = None
    """None names clusters from their words."""
    budget: Budget = Budget()  # noqa: RUF009  # frozen

    def describe(self) -> dict[str, Any]:
        """Return the model and what it took, for the summary; empty without a model."""
        from shoal.labeling.providers import ModelNamer

        if not isinstance(self.namer, ModelNamer):
            return {}
        return describe_usage(self.namer.connection, self.namer.usage)

    def warnings(self, analysis: "Analysis", texts: Sequence[str] | None) -> list[str]:
        """Return sentences on names that are worse than they could be: where the model failed, with the most frequent
        reason, and where no dictionary finds the words."""
        missing = describe_missing_dictionary(texts) if self.namer is None else []
        errors = Counter(cluster.provenance.error for cluster in analysis.clusters if cluster.provenance.error)
        if not errors:
            return missing
        reason, count = errors.most_common(1)[0]
        several = "" if len(errors) == 1 else f" ({count} of them)"
        were = plural(errors.total(), "cluster was", "clusters were")
        return [f"{were} named from their words, not by the model: {reason}{several}", *missing]

    def estimate(self, clusters: float, layers: int, documents: int) -> "Estimate | None":
        """Estimate the calls; None without a model."""
        from shoal.labeling.providers import ModelNamer, estimate

        if not isinstance(self.namer, ModelNamer):
            return None
        counts = [round(clusters)] * layers
        return estimate(self.namer.connection, self.namer.instructions, counts, documents=documents)


def open_naming(
    namer: str | Namer | None,
    budget: float | Budget | None,
    names: tuple[str, str] = ("namer", "budget"),
    stop_words: frozenset[str] = frozenset(),
    environ: Mapping[str, str] = os.environ,
) -> Naming:
    """Open what names clusters.

    Parameters
    ----------
    namer : str or Namer or None
        The URI of a language model such as `openai:gpt-4o-mini`, a namer, or None for words.
    budget : float or Budget or None
        US dollars, or a budget. None is one dollar and two million tokens.
    names : (str, str)
        How errors call the two.
    stop_words : frozenset of str
        Case-folded words that no name from words contains.
    environ : mapping
        Where keys are.

    Raises
    ------
    InvalidField
        If there is no such model, no key, no price for a budget in dollars, or the extra is not installed.
    """
    if namer is None:
        if budget is not None:
            remedy = f"Name one with {names[0]}, or leave it out."
            raise InvalidField(names[1], "is for names by a language model", value=budget, remedy=remedy)
        return Naming()
    if not isinstance(namer, str):
        return Naming(namer, parse_budget(budget, names[1]))
    words = open_word_namer(stop_words)
    opened = _open_model(namer, names[0], words, environ)
    if budget is not None and not isinstance(budget, Budget) and opened.connection.price is None:
        remedy = (
            "Set its prices in the file of SHOAL_MODELS, or leave the budget out: two million tokens are the limit."
        )
        raise InvalidField(names[1], f"is in dollars, and no price of {opened.connection.name} is known", remedy=remedy)
    return Naming(opened, parse_budget(budget, names[1]))


def describe_usage(connection: "Connection", usage: "Usage") -> dict[str, Any]:
    """Return a model and what it took, for the summary."""
    numbers = {name: value for name, value in asdict(usage).items() if "picodollars" not in name}
    return {"model": connection.name, **numbers, "cost": None if connection.price is None else usage.cost}


def answers_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where answers of models are kept: `$XDG_CACHE_HOME/shoal/answers`, else `~/.cache/shoal/answers`."""
    return cache_folder(environ) / "answers"


def _open_model(uri: str, name: str, fallback: Namer, environ: Mapping[str, str]) -> "ModelNamer":
    from shoal.labeling.providers import FileAnswers, ModelNamer, Providers
    from shoal.labeling.providers.calls.pydantic_model import check_installed

    connection = Providers.read(environ).connect(uri, name)
    check_installed(name)
    answers = FileAnswers(answers_folder(environ))
    return ModelNamer(connection, answers=answers, choose_encoder=choose_phrase_encoder, fallback=fallback)


def parse_budget(budget: float | Budget | None, name: str) -> Budget:
    """Return a budget; None is one dollar and two million tokens. Raises InvalidField, which calls it `name`."""
    if isinstance(budget, Budget):
        return budget
    if budget is None:
        return Budget(cost=DEFAULT_COST, tokens=_DEFAULT_TOKENS)
    if not 0 <= budget < 1e6:
        raise InvalidField(name, "must be an amount in US dollars", value=budget)
    return Budget(cost=float(budget))
