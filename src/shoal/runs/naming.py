"""Names for the groups of a run: a separate stage, so that a resumed run does not call the namer again."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from shoal.analysis.naming import LayerNames, choose_phrase_encoder, write_briefs, write_names
from shoal.columns import Points
from shoal.engine.features.spaces import concatenate_features
from shoal.engine.plan import Progress
from shoal.labeling import Brief, Budget, Namer, PhraseEncoder, describe_missing_dictionary
from shoal.labeling.providers import Connection, ModelNamer
from shoal.records.clusters.cluster import Cluster
from shoal.records.clusters.labeling import Labeling
from shoal.records.collection import Collection
from shoal.records.runs.execution import Execution
from shoal.records.scope import Scope
from shoal.runs.config.naming_cost import labeling_of
from shoal.runs.grouping.feature_space import weigh_features
from shoal.runs.grouping.groups import Clustering, Groups
from shoal.runs.identity.identify import Identity
from shoal.runs.input import RunInput
from shoal.runs.model_inputs import input_reader
from shoal.runs.models.account import RunAccount
from shoal.runs.models.answers import AnswerStore
from shoal.runs.models.connected import ConnectedModels, instructions_of
from shoal.runs.models.spending import Spendings
from shoal.storage.protocols.documents import DocumentReader
from shoal.storage.protocols.transactions import RecordStore

__all__ = ["GroupNaming", "NamedRun", "briefs_of", "name"]

_log = logging.getLogger("shoal.naming")


@dataclass(frozen=True, slots=True)
class NamedRun:
    """The run whose groups are named."""

    scope: Scope
    run: Execution
    cluster: Cluster
    sources: Sequence[Collection]
    encoders: Mapping[str, PhraseEncoder]
    """What made the vectors of each encoded feature."""


class GroupNaming:
    """Names groups by the model that a run asks for, else from words.

    Parameters
    ----------
    words : Namer
        Names what no model names.
    models : ConnectedModels
    store : RecordStore
    documents : DocumentReader
        What a model is shown.
    answers, spendings
        What is kept of answers and costs.
    """

    def __init__(
        self,
        words: Namer,
        models: ConnectedModels,
        store: RecordStore,
        documents: DocumentReader,
        answers: AnswerStore,
        spendings: Spendings,
    ) -> None:
        self._store = store
        self.words, self._models, self._documents = words, models, documents
        self._answers, self._spendings = answers, spendings

    def name(
        self, work: NamedRun, groups: Groups, source: RunInput, identity: Identity, progress: Progress
    ) -> list[Sequence[LayerNames]]:
        """Name the clusters of each clustering; none for groups named by their values, or as in an earlier run.

        Raises Cancelled from `progress`.
        """
        clusterings = groups.clusterings(source)
        labeling = labeling_of(work.cluster, work.run.request)
        connection = self._models.choose(labeling).connection if labeling.enabled and clusterings else None
        if connection is None:
            return name(briefs_of(groups, source, work.cluster, work.encoders), self.words, Budget(), progress)
        settled = settle(clusterings, identity)
        briefs = [
            self._write_briefs(work, clustering, own, labeling)
            for clustering, own in zip(clusterings, settled, strict=True)
        ]
        return self._ask(work, briefs, labeling, connection, progress)

    def warn(self, cluster: Cluster, run: Execution, texts: Sequence[str] | None) -> list[str]:
        """Warn that a model was asked for and why there is none, or that no dictionary finds the words of the texts."""
        labeling = labeling_of(cluster, run.request)
        choice = self._models.choose(labeling)
        if labeling.enabled and choice.connection is not None:
            return []
        missing = describe_missing_dictionary(texts)
        if not labeling.enabled:
            return missing
        return [
            *missing,
            f"llm_labeling is enabled, but {choice.reason}: the labels were made from the documents' own words.",
        ]

    def _ask(
        self,
        work: NamedRun,
        briefs: Sequence[Sequence[Brief]],
        labeling: Labeling,
        connection: Connection,
        progress: Progress,
    ) -> list[Sequence[LayerNames]]:
        priced = connection.price is not None
        most = self._models.run_budget(labeling, connection)
        limit = self._spendings.reserve(work.scope, work.run, most, priced=priced)
        account = RunAccount(
            self._store,
            self._answers,
            self._spendings,
            work.scope,
            work.run,
            connection.name,
            limit=limit,
            priced=priced,
        )
        namer = ModelNamer(
            connection,
            instructions_of(labeling),
            account,
            choose_encoder=choose_phrase_encoder,
            run=work.run.run_id,
            spent=account.spent,
            on_usage=account.note,
            fallback=self.words,
        )
        try:
            names = name(briefs, namer, Budget(cost=limit), progress)
        finally:
            account.settle(namer.usage)
        failed = sum(name.error is not None for brief in names for layers in brief for own in layers for name in own)
        self._spendings.count_failures(connection.name, failed)
        usage = account.booked.model_dump(include={"model", "calls", "cached", "input_tokens", "output_tokens", "cost"})
        _log.info("run.named", extra={"run_id": work.run.run_id, "clusters_without_model": failed, **usage})
        return names

    def _write_briefs(
        self, work: NamedRun, clustering: Clustering, settled: Sequence[Mapping[int, str]], labeling: Labeling
    ) -> list[Brief]:
        """Write the briefs of one clustering with what a model is shown."""
        own = clustering.source.named_by_answers or labeling.labeling_inputs is None
        mappings = [] if own or labeling.labeling_inputs is None else labeling.labeling_inputs.input_mappings
        keys = {source.collection_id: source.storage_key for source in work.sources}
        inputs = input_reader(self._documents, work.scope, keys, clustering.source, mappings)
        points, encoder = _points(clustering, work.cluster), _encoder(clustering, work.encoders)
        layers, *levels = write_briefs(clustering.found, clustering.source.texts, points, encoder)
        shown = [replace(layers, settled=settled), *levels]
        return [replace(brief, inputs=inputs) for brief in shown]


def briefs_of(
    groups: Groups,
    source: RunInput,
    cluster: Cluster | None = None,
    encoders: Mapping[str, PhraseEncoder] = MappingProxyType({}),
) -> list[list[Brief]]:
    """Write the briefs for each clustering of a run, for a namer that reads texts and vectors alone.

    There are none for groups named by their values, or named as in an earlier run. Without the `cluster` there are no
    vectors.
    """
    briefs = list[list[Brief]]()
    for each in groups.clusterings(source):
        points = _points(each, cluster) if cluster is not None else None
        briefs.append(write_briefs(each.found, each.source.texts, points, _encoder(each, encoders)))
    return briefs


def name(
    briefs: Sequence[Sequence[Brief]], namer: Namer, budget: Budget, progress: Progress
) -> list[Sequence[LayerNames]]:
    """Name the clusters of each clustering. Raises Cancelled from `progress`."""
    return [write_names(own, namer, budget, _share(progress, number, len(briefs))) for number, own in enumerate(briefs)]


def settle(clusterings: Sequence[Clustering], identity: Identity) -> list[list[dict[int, str]]]:
    """Return for each layer of each clustering the clusters that a person has named, with their labels: no model is
    paid for them."""
    labels = {} if identity.earlier is None or not identity.comparable else identity.earlier.label_overrides
    settled, first = list[list[dict[int, str]]](), 0
    for number, clustering in enumerate(clusterings):
        clusters, paths = clustering.found.outcome.clusters, len(clustering.found.paths())
        layers = identity.ids.of_clustering(number, first, clusters, paths - clusters).layers
        settled.append([{place: labels[id] for place, id in enumerate(ids) if id in labels} for ids in layers])
        first += paths
    return settled


def _share(progress: Progress, number: int, count: int) -> Progress:
    """Scale the progress of one clustering to its share of the stage."""
    return lambda stage, fraction: progress(stage, (number + fraction) / count)


def _encoder(clustering: Clustering, encoders: Mapping[str, PhraseEncoder]) -> PhraseEncoder | None:
    """Return what made the vectors of a clustering by one feature, so that names can be compared with them."""
    features = list(clustering.source.blocks)
    return encoders.get(features[0]) if len(features) == 1 else None


def _points(clustering: Clustering, cluster: Cluster) -> Points | None:
    """Return the vectors of the documents in the space of the centroids; None where preprocessing has left it."""
    blocks = clustering.source.blocks
    if cluster.preprocessing_steps or not blocks:
        return None
    if len(blocks) == 1:
        return next(iter(blocks.values()))
    if cluster.multi_feature_strategy == "weighted":
        return None
    return concatenate_features(
        blocks, weigh_features(cluster, clustering.source), normalize=bool(cluster.normalize_features)
    )
