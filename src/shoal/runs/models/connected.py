"""The models that the operator has connected, and the choice of a request among them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Final

from shoal.errors import InvalidField
from shoal.labeling.providers import Connection, Instructions, Providers, read_candidates
from shoal.records.clusters.labeling import Labeling, ModelParameters
from shoal.settings import Settings

__all__ = ["Choice", "ConnectedModels", "instructions_of"]

_FIELD: Final = "SHOAL_LLM"
_ANY: Final = "*"
_SHARE_OF_RUN: Final = 0.25
"""Of the longest time of a run, for the names of one clustering."""
NOT_CONNECTED: Final = "no language model is connected to this server"


@dataclass(frozen=True, slots=True)
class Choice:
    """The model for a request; without one, the reason, the end of a sentence."""

    connection: Connection | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ConnectedModels:
    """The models that runs may use.

    Parameters
    ----------
    allowed : sequence of str
        `provider:model`, or `provider:*` for all models of a provider. The first that is not such a pattern is used
        where a request names no model.
    providers : Providers or None
        Keys, addresses and prices; None where no model is connected.
    run_limit : float
        The most that a run may cost, in US dollars; 0 for no limit.
    """

    allowed: Sequence[str] = ()
    providers: Providers | None = None
    run_limit: float = 0.0

    @staticmethod
    def read(settings: Settings, environ: Mapping[str, str] = os.environ) -> "ConnectedModels":
        """Read keys and addresses of the models that the settings allow. Raises InvalidField for what cannot be used,
        so that a server with a mistake in it does not start."""
        allowed = [text.strip() for text in settings.llm.split(",") if text.strip()]
        if not allowed:
            return ConnectedModels()
        if find_spec("pydantic_ai") is None:
            raise InvalidField(_FIELD, "needs the extra llm", value=settings.llm, remedy='pip install "shoal[llm]"')
        providers = Providers.read({**environ, **({"SHOAL_MODELS": settings.models} if settings.models else {})})
        if settings.run_seconds:  # naming ends before the run would be given up
            total = min(providers.limits.total, settings.run_seconds * _SHARE_OF_RUN)
            providers = replace(providers, limits=replace(providers.limits, total=total))
        for uri in allowed:
            if "@" in uri:
                remedy = "Write the server into the file that SHOAL_MODELS names."
                raise InvalidField(_FIELD, "names an address", value=uri.partition("@")[0], remedy=remedy)
            providers.connect(uri.replace(_ANY, "any"), _FIELD)
        return ConnectedModels(allowed, providers, settings.llm_run_budget)

    def choose(self, labeling: Labeling) -> Choice:
        """Choose the model that a configuration asks for, among those that are connected."""
        if self.providers is None:
            return Choice(reason=NOT_CONNECTED)
        provider, model = labeling.model
        if model is None:
            return self._default(provider)
        try:
            connection = self.providers.resolve(provider, model)
        except InvalidField:
            return self._refuse(provider, model)
        return Choice(connection) if self._allows(connection.name) else self._refuse(provider, model)

    def run_budget(self, labeling: Labeling, connection: Connection) -> float | None:
        """Return the most that a run may cost by the settings and the request, in US dollars; None without a limit.

        What the operator serves without a price has no limit but one that the request asks for.
        """
        own = (labeling.parameters or ModelParameters()).budget
        limits = [own, self.run_limit or None if connection.price is not None else None]
        return min((limit for limit in limits if limit is not None), default=None)

    def _default(self, provider: str | None) -> Choice:
        """Choose the first model, of a provider where one is named."""
        assert self.providers is not None
        for uri in self.allowed:
            if not uri.endswith(_ANY) and provider in (None, uri.partition(":")[0]):
                return Choice(self.providers.connect(uri, _FIELD))
        return self._refuse(provider, None)

    def _allows(self, name: str) -> bool:
        return any(name == uri or (uri.endswith(_ANY) and name.startswith(uri[:-1])) for uri in self.allowed)

    def _refuse(self, provider: str | None, model: str | None) -> Choice:
        requested = ":".join(part for part in (provider, model) if part)
        what = f"the model {requested!r} is not connected" if requested else "llm_labeling names no model"
        return Choice(reason=f"{what} (connected: {', '.join(self.allowed)})")


def instructions_of(labeling: Labeling) -> Instructions:
    """Return what a model is asked for, by a configuration of the wire."""
    plain = Instructions()
    parameters = labeling.parameters or ModelParameters()
    return Instructions(
        include_summary=labeling.include_summary is not False,
        include_keywords=labeling.include_keywords is not False,
        max_samples=labeling.max_samples_per_cluster,
        sample_text_length=labeling.sample_text_max_length or plain.sample_text_length,
        strategy=labeling.sample_selection_strategy or plain.strategy,
        deduplicate=labeling.use_embedding_dedup is not False,
        similarity=labeling.embedding_similarity_threshold or plain.similarity,
        cache_seconds=plain.cache_seconds if labeling.cache_ttl_seconds is None else labeling.cache_ttl_seconds,
        context=labeling.labeling_context or "",
        prompt=labeling.custom_prompt or "",
        response_shape=labeling.response_shape,
        parameters=parameters.sampling(),
        candidates=read_candidates(labeling.candidate_labels),
    )
