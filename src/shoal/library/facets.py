"""`shoal.derive`: what documents are clustered by, in place of their own words."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.errors import InvalidField

if TYPE_CHECKING:
    from shoal.labeling.providers.facets import Derived

__all__ = ["derive"]


def derive(
    texts: Sequence[str],
    question: str,
    llm: str,
    *,
    budget: float = 1.0,
    context: str = "",
    answers: str | Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> "Derived":
    """Ask a language model one question about each text, to cluster the answers in place of the texts.

    Complaints cluster by product, because they are full of product names; their answers to "What went wrong?" cluster
    by fault. Equal texts are asked about once. No failure of the model raises: a text without an answer stands for
    itself, and is counted in `errors`.

    Parameters
    ----------
    texts : sequence of str
        One text for each document.
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
        `texts` (for `shoal.cluster(texts=…)`), `errors`, `model` and `usage`.

    Raises
    ------
    InvalidField
        For a question, model or budget that cannot be used, or without a key for the model.
    """
    from shoal.labeling.base import Budget
    from shoal.labeling.providers import FileAnswers, Providers
    from shoal.labeling.providers.facets import FacetWriter

    if not 0 <= budget <= 1e6:
        raise InvalidField("budget", "must be dollars from 0 to 1,000,000", value=budget)
    connection = Providers.read().connect(llm, "llm")
    kept = None if answers is None else FileAnswers(Path(answers).expanduser())
    # Without a price, as of one's own server, what is limited is the number of calls.
    limit = Budget(cost=None, calls=10 * len(texts)) if connection.price is None else Budget(cost=budget)
    return FacetWriter(connection, question, kept, context=context).write(texts, limit, progress)
