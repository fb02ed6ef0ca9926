"""Our own interface of language models: a question with a schema, a reply as text, a failure as a sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shoal.labeling.base import Media
from shoal.labeling.providers.calls.usage import Tokens

__all__ = ["Failure", "LanguageModel", "Question", "Reply"]


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked.

    Attributes
    ----------
    rules : str
        Instructions, trusted.
    parts : sequence of str or Media
        The material, not trusted.
    schema : mapping
        The JSON schema of the answer, an object.
    output_tokens : int
        The longest answer.
    settings : mapping
        Further parameters, checked by `Instructions`.
    """

    rules: str
    parts: Sequence[str | Media]
    schema: Mapping[str, object]
    output_tokens: int
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that was paid for. `fault` says in a few words why it has no usable text, such as a refusal."""

    text: str
    tokens: Tokens | None
    fault: str | None = None


class Failure(Exception):  # it is not a bug of ours
    """A call without an answer.

    Parameters
    ----------
    sentence : str
        For people, without secrets and without text of the provider.
    passing : bool
        Whether another try may succeed.
    final : bool
        Whether every further call would fail likewise, as with a wrong key.
    wait : float, optional
        Seconds that the provider asks to wait.
    tokens : Tokens, optional
        What the call used. None if that is unknown, because no complete answer came.
    """

    def __init__(
        self,
        sentence: str,
        *,
        passing: bool = False,
        final: bool = False,
        wait: float | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        super().__init__(sentence)
        self.sentence, self.passing, self.final, self.wait, self.tokens = sentence, passing, final, wait, tokens


class LanguageModel(Protocol):
    """A model behind some wire."""

    async def ask(self, question: Question, timeout: float) -> Reply:
        """Ask once, for at most `timeout` seconds. Raises Failure, and nothing else."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
