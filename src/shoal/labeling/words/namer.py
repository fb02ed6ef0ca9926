"""Names of clusters from their texts, in one layer or in several."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Labels, Points
from shoal.labeling.base import Brief, Budget, Name, Partition, PhraseEncoder, Progress, main_parents
from shoal.labeling.examples import abridge, capitalize
from shoal.labeling.text import GAP, clean
from shoal.labeling.words.boilerplate import drop_boilerplate
from shoal.labeling.words.candidates import Candidate, find_candidates, keywords
from shoal.labeling.words.evidence.contrast import Evidence
from shoal.labeling.words.evidence.meaning import EncodedSpace, OwnEncoder, OwnEncoderError, PointSpace, Space
from shoal.labeling.words.evidence.measures import measure_labels
from shoal.labeling.words.evidence.overlap import Overlap, find_overlap
from shoal.labeling.words.evidence.summaries import summarize
from shoal.labeling.words.labels import Kin, Label, choose_labels, prefer_own, rank_candidates
from shoal.labeling.words.numerals import topical_numerals
from shoal.labeling.words.phrases import Phrases, count_phrases
from shoal.labeling.words.sample import Sample, sample_rows, words_per_text
from shoal.labeling.words.scores import breadth, nearest_clusters, score_phrases
from shoal.labeling.words.tokens import TokenTable, tokenize
from shoal.labeling.words.values import NamedByValue, Values, find_values, name_by_values

__all__ = ["WordNamer", "name_clusters", "name_layers"]

_log = logging.getLogger("shoal.naming")

_FEW_CHARACTERS = 40
_BROAD = 4
"""Ratio of clusters in the finest layer from which a layer is broad, and named from the labels of its parts."""

_DIRECTIONS = 1.5
"""The weight of directions, of whatever vectors, against words that are shared."""
_OTHER_ENCODER = 0.25
"""The part of it that an encoder has beside vectors which it did not make."""
_OWN_ENCODER = 1.0
"""The weight of an encoder, and that of the vectors which it made."""


@dataclass(frozen=True, slots=True)
class WordNamer:
    """Names clusters by the words of their own documents. It is free, so it ignores the budget.

    It prefers phrases that are near the documents of the cluster and far from those of the nearest clusters, as an
    `encoder` and the vectors of the brief see them; without both, only by shared words. Where the encoder of the brief
    fails, such as a server that is gone, names are made without it.
    """

    stop_words: frozenset[str] = frozenset()
    """Case-folded words that no name contains, besides the function words of each language."""
    encoder: PhraseEncoder | None = None
    choose_encoder: Callable[[Sequence[str]], PhraseEncoder | None] | None = None
    """Chooses an encoder for the texts of a brief if there is no `encoder`."""

    def name(self, brief: Brief, budget: Budget, progress: Progress | None = None) -> list[list[Name]]:
        """See `Namer`."""
        if brief.texts is None:
            return [[Name.of_number(number) for number in range(layer.clusters)] for layer in brief.layers]
        own = None if brief.encoder is None or brief.points is None else OwnEncoder(brief.encoder)
        try:
            return self._name(brief, brief.texts, own, progress)
        except OwnEncoderError as error:
            _log.warning("naming.encoder_failed", extra={"error": str(error)})
        return self._name(brief, brief.texts, None, progress)

    def _name(
        self, brief: Brief, texts: Sequence[str], own_encoder: PhraseEncoder | None, progress: Progress | None
    ) -> list[list[Name]]:
        encoder = self.encoder
        if encoder is None and own_encoder is None and self.choose_encoder is not None:
            encoder = self.choose_encoder(texts)
        return name_layers(
            texts,
            brief.layers,
            chosen=brief.chosen,
            points=brief.points,
            encoder=encoder,
            own_encoder=own_encoder,
            progress=progress,
            stop_words=self.stop_words,
        )


def name_clusters(
    texts: Sequence[str],
    labels: Labels,
    clusters: int,
    *,
    centroids: Points | None = None,
    progress: Progress | None = None,
    stop_words: frozenset[str] = frozenset(),
) -> list[Name]:
    """Name each of the `clusters` from the words of its own documents.

    `texts` (n) and `labels` (n,) are aligned; -1 is noise and not read. `centroids` (k, d) are as in `Partition`. Equal
    texts count once for a cluster, and of large clusters an even sample is read. A cluster without a readable word is
    called "Cluster N". `progress` receives the fraction that is done and may raise to stop. `stop_words` (case-folded)
    are in no name. The same input gives the same names.
    """
    partition = Partition(labels, clusters, centroids)
    return name_layers(texts, [partition], progress=progress, stop_words=stop_words)[0]


def name_layers(
    texts: Sequence[str],
    layers: Sequence[Partition],
    *,
    chosen: int = 0,
    points: Points | None = None,
    encoder: PhraseEncoder | None = None,
    own_encoder: PhraseEncoder | None = None,
    progress: Progress | None = None,
    stop_words: frozenset[str] = frozenset(),
) -> list[list[Name]]:
    """Name the clusters of several layers, coarse to fine, and read the texts once for all of them.

    The clusters of `layers[chosen]` are named first, and as if there were no others; but where it is broad, over four
    times as many clusters in the finest layer, a cluster that no phrase of its own speaks for is named after its parts.
    Going up from there, a name is one that most of the parts of a cluster share, and broader than the names of these
    parts; going down, narrower than that of the whole. A cluster that is the only part of another has its name.
    Texts of few short values (`values`) name a cluster by the value of most of its documents.

    Parameters
    ----------
    texts : sequence of str, length n
        One text a document.
    layers : sequence of Partition
        Coarse to fine; a cluster is a part of that of the layer before which holds most of its documents.
    chosen : int
        The position of the layer that people see first.
    points : (n, d) float32, optional
        The vectors of the documents.
    encoder : PhraseEncoder, optional
        Compares phrases with documents in its own space.
    own_encoder : PhraseEncoder, optional
        What made the points from the texts: it compares phrases with documents in their space, in place of `encoder`.
    progress : callable
        Receives the fraction that is done, and may raise to stop.
    stop_words : frozenset of str
        Case-folded words that no name contains, besides the function words of each language.
    """
    report = progress or _silent
    values = find_values(texts)
    if values is not None:
        report(1.0)
        return _by_values(values, layers, chosen)
    first = _base(layers, chosen)
    sample = sample_rows(texts, [layer.labels for layer in layers], first)
    rows, count = sample.rows, sample.count
    read = drop_boilerplate([texts[row] for row in rows], sample.cells)
    numerals = topical_numerals(read, sample.cells, count)
    most = words_per_text(len(read))
    table = tokenize(read, lambda fraction: report(0.6 * fraction), numerals, stop_words, most)
    report(0.6)
    cells = np.where(sample.held_out, NOISE, sample.cells)
    parts = [
        Partition(np.where(sample.held_out, NOISE, layer.labels[rows]), layer.clusters, layer.centroids)
        for layer in layers
    ]
    held_out = [np.where(sample.held_out, layer.labels[rows], NOISE).astype(np.int32) for layer in layers]
    if not len(table):
        return [[Name.of_number(number) for number in range(layer.clusters)] for layer in layers]
    phrases = count_phrases(table, cells, count, [parts[first].labels, *(part.labels for part in parts)])
    report(0.8)
    spaces = _spaces(read, rows, points, encoder, own_encoder)
    reading = _Reading(table, phrases, parts, held_out, chosen, first, find_overlap(table), spaces)
    named_layers = _in_order(reading, lambda fraction: report(0.8 + 0.2 * fraction))
    named = [
        _describe(reading, number, labels, candidates, sample, read)
        for number, (labels, candidates) in enumerate(named_layers)
    ]
    read = [text if stop_words.isdisjoint(text.casefold().split()) else "" for text in read] if stop_words else read
    return [_in_full(names, layer, part, read) for names, layer, part in zip(named, layers, parts, strict=True)]


def _describe(
    reading: "_Reading",
    number: int,
    labels: Sequence[Label],
    candidates: Sequence[list[Candidate]],
    sample: Sample,
    read: Sequence[str],
) -> list[Name]:
    """Measure the labels of a layer, and add keywords and summaries."""
    layer = reading.layers[number]
    measured = measure_labels(
        [label.text for label in labels],
        [label.words if label.phrase else frozenset() for label in labels],
        reading.overlap,
        reading.spaces,
        reading.held_out[number],
        layer.labels,
        sample.cells,
        reading.nearest(number),
    )
    summaries = summarize(read, reading.table, reading.overlap, reading.spaces, layer.labels, layer.clusters)
    return [
        Name(
            label.text,
            keywords(rank_candidates(own)),
            summary,
            score=measure.score if measure else None,
            coverage=measure.coverage if measure else None,
            evidence=tuple(sample.rows[list(measure.evidence)].tolist()) if measure else (),
        )
        if label.phrase
        else Name.of_number(cluster)
        for cluster, (label, own, measure, summary) in enumerate(
            zip(labels, candidates, measured, summaries, strict=True)
        )
    ]


def _in_full(names: list[Name], layer: Partition, part: Partition, read: Sequence[str]) -> list[Name]:
    """Use the whole text as the label of a cluster whose documents all have the same short text.

    `part` is the layer among the texts that were `read`.
    """
    sizes = np.bincount(layer.labels[layer.labels >= 0], minlength=layer.clusters)
    distinct = np.bincount(part.labels[part.labels >= 0], minlength=layer.clusters)
    only = dict(zip(part.labels.tolist(), range(len(read)), strict=True))
    used = {name.label.casefold() for name in names}
    named = list(names)
    for cluster in np.flatnonzero((sizes > 1) & (distinct == 1)).tolist():
        whole = clean(read[only[cluster]])
        text = " ".join(abridge(whole).split()).rstrip(" .,;:!?")
        label = capitalize(text)
        few = len(text) <= _FEW_CHARACTERS and GAP not in whole and "\n" not in read[only[cluster]].strip()
        if few and any(map(str.isalpha, text)) and label.casefold() not in used:
            used.add(label.casefold())
            named[cluster] = replace(
                names[cluster], label=label, keywords=names[cluster].keywords or (text,), source="words"
            )
    return named


def _spaces(
    read: Sequence[str],
    rows: NDArray[np.int64],
    points: Points | None,
    encoder: PhraseEncoder | None,
    own_encoder: PhraseEncoder | None,
) -> list[Space]:
    if points is None:
        return [] if encoder is None else [EncodedSpace.of(read, encoder, _DIRECTIONS)]
    if own_encoder is not None:
        own = PointSpace.of(points, rows, _OWN_ENCODER)
        return [EncodedSpace(own.documents, own_encoder, _OWN_ENCODER), own]
    if encoder is None:
        return [PointSpace.of(points, rows, _DIRECTIONS)]
    other = EncodedSpace.of(read, encoder, _OTHER_ENCODER)
    return [other, PointSpace.of(points, rows, _DIRECTIONS - _OTHER_ENCODER)]


def _base(layers: Sequence[Partition], chosen: int) -> int:
    """The layer whose own words name it: the chosen one, or below it, where that is broad, the coarsest that is not."""
    finest = layers[-1].clusters
    return next(n for n in range(chosen, len(layers)) if layers[n].clusters * _BROAD >= finest)


def _by_values(values: Values, layers: Sequence[Partition], chosen: int) -> list[list[Name]]:
    """The chosen layer as if it were alone; in the others a cluster that is the only part of another has its name."""
    named: dict[int, list[NamedByValue]] = {}
    for number in (chosen, *range(chosen - 1, -1, -1), *range(chosen + 1, len(layers))):
        layer, same = layers[number], dict[int, NamedByValue]()
        if number != chosen:
            upper, lower = (number, number + 1) if number < chosen else (number - 1, number)
            parents = main_parents(layers[lower].labels, layers[upper].labels, layers[lower].clusters)
            alone = np.bincount(parents[parents >= 0], minlength=layers[upper].clusters) == 1
            for part, parent in enumerate(parents.tolist()):
                if parent >= 0 and alone[parent]:
                    mine, other = (parent, named[lower][part]) if number < chosen else (part, named[upper][parent])
                    same[mine] = other
        named[number] = name_by_values(values, layer.labels, layer.clusters, same)
    return [
        [
            Name(name.label, name.keywords, source="value") if name.label else Name.of_number(c)
            for c, name in enumerate(named[number])
        ]
        for number in range(len(layers))
    ]


def _silent(fraction: float) -> None:
    """No-op progress callback."""


_Found = tuple[list[Label], list[list[Candidate]]]


@dataclass(frozen=True, slots=True)
class _Reading:
    """The phrases of all documents that were read, and the layers among these documents.

    The labels of a broad chosen layer build on those of the layer `base`.
    """

    table: TokenTable
    phrases: Phrases
    layers: Sequence[Partition]
    """Without the documents that are held out."""
    held_out: Sequence[Labels]
    """For each layer the clusters of the documents that are held out, -1 for the others."""
    chosen: int
    base: int
    overlap: Overlap
    spaces: Sequence[Space]

    def nearest(self, number: int) -> NDArray[np.int64]:
        """Return the nearest clusters of each cluster of a layer."""
        layer = self.layers[number]
        return nearest_clusters(self.phrases.recount(layer.labels, layer.clusters), layer.centroids)

    def candidates(self, number: int, parts: Partition | None = None) -> list[list[Candidate]]:
        """Find the candidates of a layer; with the layer below, phrases of a single part count less."""
        layer = self.layers[number]
        phrases = self.phrases.recount(layer.labels, layer.clusters)
        nearest = nearest_clusters(phrases, layer.centroids)
        scores = score_phrases(phrases, nearest)
        if parts is not None:
            parents = main_parents(parts.labels, layer.labels, parts.clusters)
            scores = scores * breadth(phrases, self.phrases.recount(parts.labels, parts.clusters), parents)
        candidates = find_candidates(phrases, scores, self.table, layer.labels)
        evidence = Evidence(self.overlap, self.spaces, layer.labels, nearest)
        evidence.rank(candidates, phrases)
        return candidates


def _in_order(reading: _Reading, report: Progress) -> list[_Found]:
    """Label the chosen layer first, then those above it, then those below, since each depends on the one before."""
    layers, chosen = reading.layers, reading.chosen
    named: dict[int, _Found] = {chosen: _of_chosen(reading)}
    report(1 / len(layers))
    words = [{label.stems} for label in named[chosen][0]]
    for number in range(chosen - 1, -1, -1):
        named[number], words = _of_parts(reading, number, named[number + 1][0], words)
        report(len(named) / len(layers))
    for number in range(chosen + 1, len(layers)):
        candidates = reading.candidates(number)
        kin = _above(layers[number], layers[number - 1], named[number - 1][0])
        named[number] = choose_labels(candidates, kin), candidates
        report(len(named) / len(layers))
    return [named[number] for number in range(len(layers))]


def _of_chosen(reading: _Reading) -> _Found:
    """Label the chosen layer by its own words or, if it is broad and these represent too few documents, by its
    parts."""
    candidates = reading.candidates(reading.chosen)
    own = choose_labels(candidates)
    if reading.base == reading.chosen:
        return own, candidates
    labels = choose_labels(reading.candidates(reading.base))
    words = [{label.stems} for label in labels]
    for number in range(reading.base - 1, reading.chosen - 1, -1):
        (labels, _), words = _of_parts(reading, number, labels, words)
    return prefer_own(own, labels), candidates


def _of_parts(
    reading: _Reading, number: int, labels: Sequence[Label], words: Sequence[set[frozenset[int]]]
) -> tuple[_Found, list[set[frozenset[int]]]]:
    """Label a layer above one with these `labels`; also return the words of its labels and of all below them."""
    parts = reading.layers[number + 1]
    candidates = reading.candidates(number, parts)
    kin = _below(reading.layers[number], parts, labels, words)
    own = choose_labels(candidates, kin)
    return (own, candidates), [{label.stems} | inside for label, inside in zip(own, kin.deeper, strict=True)]


def _below(layer: Partition, finer: Partition, labels: Sequence[Label], words: Sequence[set[frozenset[int]]]) -> Kin:
    """Collect the labels of the parts of each cluster, largest first; `words` are of these and of all below them."""
    parents = main_parents(finer.labels, layer.labels, finer.clusters)
    sizes = np.bincount(finer.labels[finer.labels >= 0], minlength=finer.clusters)
    parts: list[list[tuple[int, Label]]] = [[] for _ in range(layer.clusters)]
    deeper: list[set[frozenset[int]]] = [set() for _ in range(layer.clusters)]
    for part in np.argsort(-sizes, kind="stable").tolist():
        if parents[part] >= 0:
            parts[parents[part]].append((int(sizes[part]), labels[part]))
            deeper[parents[part]] |= words[part]
    same = {cluster: own[0][1] for cluster, own in enumerate(parts) if len(own) == 1}
    return Kin(below=parts, deeper=deeper, same=same)


def _above(layer: Partition, coarser: Partition, labels: Sequence[Label]) -> Kin:
    """Collect the label of the parent of each cluster."""
    parents = main_parents(layer.labels, coarser.labels, layer.clusters)
    with_parent = parents[parents >= 0]
    alone = np.bincount(with_parent, minlength=coarser.clusters) == 1
    whole = [[labels[parent]] if parent >= 0 else [] for parent in parents.tolist()]
    same = {cluster: own[0] for cluster, own in enumerate(whole) if own and alone[parents[cluster]]}
    return Kin(above=whole, same=same)
