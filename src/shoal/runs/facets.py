"""Facets of a run: what a language model answers about each document, encoded as further features of its input.

Answers are kept by content as those about names are, so that a run that is taken up again, or repeated, asks only what
was never answered.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import orjson

from shoal.columns import Points
from shoal.encoders import Encoder
from shoal.engine.plan import Progress
from shoal.errors import RunFailed
from shoal.labeling.base import Budget
from shoal.labeling.providers import Connection
from shoal.labeling.providers.facets import NO_ANSWER, Derived, FacetWriter
from shoal.records.clusters.cluster import Cluster
from shoal.records.clusters.facets import Facet
from shoal.records.collection import Collection
from shoal.records.runs.execution import Execution, ModelUsage
from shoal.records.scope import Scope
from shoal.runs.config.facet_config import facet_encoder, facets_of, replaces_vectors
from shoal.runs.config.naming_cost import labeling_of
from shoal.runs.encoders import PermittedEncoders
from shoal.runs.input import RunInput
from shoal.runs.models.account import RunAccount
from shoal.runs.models.answers import AnswerStore
from shoal.runs.models.connected import ConnectedModels, instructions_of
from shoal.runs.models.spending import Spendings
from shoal.storage.protocols.transactions import RecordStore

__all__ = ["DerivedInput", "FacetFeatures"]

_LEAST: Final = 2


@dataclass(frozen=True, slots=True)
class DerivedInput:
    """The input of a run with its facets, and what the run has used of the model so far."""

    source: RunInput
    usage: ModelUsage | None = None


class FacetFeatures:
    """Adds facets to the input of runs.

    Parameters
    ----------
    models : ConnectedModels
    store : RecordStore
    answers, spendings
        Where answers and costs are kept.
    encoders : PermittedEncoders
    """

    def __init__(
        self,
        models: ConnectedModels,
        store: RecordStore,
        answers: AnswerStore,
        spendings: Spendings,
        encoders: PermittedEncoders,
    ) -> None:
        self._models, self._store, self._answers, self._spendings = models, store, answers, spendings
        self._encoders = encoders

    def add(
        self,
        scope: Scope,
        run: Execution,
        cluster: Cluster,
        sources: Sequence[Collection],
        source: RunInput,
        progress: Progress,
    ) -> DerivedInput:
        """Add the facets that a run asks for; without any the input stays as it is.

        No failure of the model fails the run: a document without an answer has its own text. Raises RunFailed where
        there is no text or no model, and Cancelled from `progress`.
        """
        facets = facets_of(cluster, run.request)
        if not facets:
            return DerivedInput(source, run.llm_usage)
        texts = _texts_of(source)
        derived, usage = self._derive(scope, run, cluster, facets, texts, progress)
        encoder = self._open_encoder(sources, [text for each in derived.values() for text in each.texts])
        blocks = {name: _encode(encoder, each.texts, progress) for name, each in derived.items()}
        return DerivedInput(_join(source, cluster, facets, derived, blocks, encoder.name), usage)

    def _derive(
        self,
        scope: Scope,
        run: Execution,
        cluster: Cluster,
        facets: Sequence[Facet],
        texts: Sequence[str],
        progress: Progress,
    ) -> tuple[dict[str, Derived], ModelUsage]:
        """Ask the model about each document, all facets within the budget of the run."""
        labeling = labeling_of(cluster, run.request)
        choice = self._models.choose(labeling)
        if choice.connection is None:
            raise RunFailed(f"Facets need a language model, and {choice.reason}.")
        connection, instructions = choice.connection, instructions_of(labeling)
        priced = connection.price is not None
        limit = self._spendings.reserve(scope, run, self._models.run_budget(labeling, connection), priced=priced)
        account = RunAccount(
            self._store,
            self._answers,
            self._spendings,
            scope,
            run,
            connection.name,
            limit=limit,
            priced=priced,
            owner=run.cluster_id,
        )
        derived, spent = dict[str, Derived](), account.spent
        for number, facet in enumerate(facets):
            writer = FacetWriter(
                connection,
                facet.question,
                account,
                context=instructions.context,
                seconds=instructions.cache_seconds,
                run=run.run_id,
                spent=spent,
                on_usage=account.note,
            )
            try:
                derived[facet.name] = writer.write(texts, Budget(cost=limit), _share(progress, number, len(facets)))
            finally:
                account.settle(writer.usage)
            spent = writer.usage
        self._count_failures(connection, derived)
        return derived, account.booked

    def _count_failures(self, connection: Connection, derived: Mapping[str, Derived]) -> None:
        failed = sum(count for each in derived.values() for reason, count in each.errors.items() if reason != NO_ANSWER)
        self._spendings.count_failures(connection.name, failed)

    def _open_encoder(self, sources: Sequence[Collection], texts: Sequence[str]) -> Encoder:
        """Return the encoder of the collections, else the first permitted one; one that is fitted learns from the
        answers."""
        uri = facet_encoder(self._encoders, sources)
        if not self._encoders.is_fitted_at_runs(uri):
            return self._encoders.open(uri)
        return self._encoders.fit(uri, [text for text in texts if text.strip()])


def _texts_of(source: RunInput) -> list[str]:
    """Return one text for each document. Raises RunFailed where there is none."""
    parts = list(source.parts.values()) or [source]
    by_document = {
        key: text
        for part in reversed(parts)
        if part.texts is not None
        for key, text in zip(zip(part.ids, part.collection_ids, strict=True), part.texts, strict=True)
    }
    texts = [by_document.get(key, "") for key in zip(source.ids, source.collection_ids, strict=True)]
    if not any(text.strip() for text in texts):
        raise RunFailed("Facets need text, and no document has any. Name the fields with text in text_fields.")
    return texts


def _share(progress: Progress, number: int, count: int) -> Callable[[float], None]:
    return lambda fraction: progress("facets", (number + fraction) / count)


def _encode(encoder: Encoder, texts: Sequence[str], progress: Progress) -> Points:
    """Encode answers (n, d), zero for those without a word that the encoder knows."""
    present = [row for row, text in enumerate(texts) if text.strip()]
    encoded = encoder.encode([texts[row] for row in present], lambda fraction: progress("encode", fraction))
    points = np.zeros((len(texts), encoded.shape[1]), np.float32)
    points[present] = encoded
    return points


def _join(
    source: RunInput,
    cluster: Cluster,
    facets: Sequence[Facet],
    derived: Mapping[str, Derived],
    blocks: Mapping[str, Points],
    encoder: str,
) -> RunInput:
    """Put the facets beside the features of the input, or in their place."""
    alone = replaces_vectors(facets)
    answers = {name: each.texts for name, each in derived.items()}
    notes = [f"Facet {name}: {note}" for name, each in derived.items() for note in _notes(each)]
    errors = [error for name, each in derived.items() for error in _errors(name, each)]
    noted = replace(source, warnings=[*source.warnings, *notes], facet_errors=errors, derived=tuple(blocks))
    if source.parts:
        plain = replace(source, blocks={}, texts=None, parts={})
        own = {
            name: _of_answers(plain, cluster, {name: points}, answers[name], encoder) for name, points in blocks.items()
        }
        return replace(noted, parts={**({} if alone else source.parts), **own})
    if alone:
        joined = [" ".join(dict.fromkeys(texts)) for texts in zip(*answers.values(), strict=True)]
        return replace(_of_answers(noted, cluster, blocks, joined, encoder), warnings=noted.warnings)
    fingerprint = _fingerprint(source.fingerprint, encoder, *answers.values())
    return replace(noted, blocks={**source.blocks, **blocks}, fingerprint=fingerprint)


def _of_answers(
    source: RunInput, cluster: Cluster, blocks: Mapping[str, Points], texts: Sequence[str], encoder: str
) -> RunInput:
    """Return the documents with their answers alone, named by these. Raises RunFailed where fewer than two have a
    vector."""
    rows = np.arange(len(source.ids))
    if cluster.normalize_features:
        rows = np.flatnonzero(np.any([points.any(axis=1) for points in blocks.values()], axis=0))
    if len(rows) < _LEAST:
        raise RunFailed(f"The answers of {len(rows)} documents can be encoded; clustering needs at least two.")
    kept = rows.tolist()
    return replace(
        source,
        ids=[source.ids[row] for row in kept],
        collection_ids=[source.collection_ids[row] for row in kept],
        texts=[texts[row] for row in kept],
        blocks={name: points[rows] for name, points in blocks.items()},
        skipped=source.skipped + len(source.ids) - len(kept),
        named_by_answers=True,
        derived=tuple(blocks),
        warnings=[],
        fingerprint=_fingerprint(source.fingerprint, encoder, texts),
    )


def _fingerprint(before: str, encoder: str, *texts: Sequence[str]) -> str:
    digest = hashlib.blake2b(orjson.dumps([before, encoder, *(list(each) for each in texts)]), digest_size=16)
    return digest.hexdigest()


def _notes(derived: Derived) -> list[str]:
    count = derived.errors.get(NO_ANSWER, 0)
    return [f"{count:,} documents do not answer the question and have their own text."] if count else []


def _errors(name: str, derived: Derived) -> list[str]:
    """Return why documents have their own text, in the form of `llm_labeling_errors`."""
    failures = {reason: count for reason, count in derived.errors.items() if reason != NO_ANSWER}
    return [
        orjson.dumps({"error": reason, "facet": name, "documents": count, "clusters": []}).decode()
        for reason, count in failures.items()
    ]
