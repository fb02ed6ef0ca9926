"""Names for the layers of one brief, layer by layer: questions, answers, and names that no two clusters share."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from shoal.errors import ShoalError
from shoal.labeling.base import Brief, Name, PhraseEncoder, main_parents
from shoal.labeling.providers.calls.connection import Connection
from shoal.labeling.providers.calls.desk import Desk
from shoal.labeling.providers.calls.model import Failure
from shoal.labeling.providers.checks import Draft, Fault, check_answer
from shoal.labeling.providers.hostile_text import is_instruction
from shoal.labeling.providers.instructions import Instructions
from shoal.labeling.providers.plain_text import same_label
from shoal.labeling.providers.prompt import Kin, write_question
from shoal.labeling.providers.samples import Sample, Sampler
from shoal.quantities import PICODOLLARS

__all__ = ["LayerNaming"]

_log: Final = logging.getLogger("shoal.naming")
_TRIES: Final = 2
_MOST_SIBLINGS: Final = 30


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a cluster: a draft, or why there is none, and what it cost in picodollars."""

    draft: Draft | None = None
    error: str = ""
    paid: int = 0
    sample: Sample | None = None
    text: str = ""
    """The answer, for the question after it."""


class LayerNaming:
    """The naming of one brief.

    Parameters
    ----------
    brief : Brief
    words : sequence of sequence of Name
        The names without a model.
    instructions : Instructions
    connection : Connection
        The model: its name, and how long its answers may be.
    encoder : PhraseEncoder, optional
        Notices labels that mean the same.
    named : dict of bytes to Name
        Names by the rows of their clusters, from briefs of the same documents; those of this brief are added.
    """

    def __init__(
        self,
        brief: Brief,
        words: Sequence[Sequence[Name]],
        instructions: Instructions,
        connection: Connection,
        encoder: PhraseEncoder | None,
        named: dict[bytes, Name],
    ) -> None:
        self._brief, self._words, self._instructions = brief, words, instructions
        self._model, self._encoder = connection.name, encoder
        self._output_tokens = instructions.output_tokens or connection.output_tokens
        self._names: dict[int, list[Name]] = {}
        self._named = named
        self._reading = asyncio.Lock()
        self._done, self._all = 0, max(sum(layer.clusters for layer in brief.layers), 1)

    @property
    def fraction(self) -> float:
        """The share of clusters that are named."""
        return min(self._done / self._all, 1.0)

    def refuse(self, problem: str) -> list[list[Name]]:
        """Return the names without a model, each with the reason."""
        return [[_because(name, problem) for name in names] for names in self._words]

    async def run(self, desk: Desk) -> list[list[Name]]:
        """Name the chosen layer, those above it from the bottom up, and those below it: the best names, and the budget,
        go to what people see first."""
        count, chosen = len(self._brief.layers), self._brief.chosen
        for layer in (*range(chosen, -1, -1), *range(chosen + 1, count)):
            self._names[layer] = await self._name_layer(desk, layer)
        return [self._names[layer] for layer in range(len(self._brief.layers))]

    async def _name_layer(self, desk: Desk, layer: int) -> list[Name]:
        sampler = Sampler(self._brief, self._brief.layers[layer], self._instructions)
        kin, same = self._kin(layer), self._same(layer)
        keys = [sampler.key(cluster) for cluster in range(len(kin))]
        same |= {cluster: replace(self._named[key], cost=0.0) for cluster, key in enumerate(keys) if key in self._named}
        open_clusters = [
            cluster for cluster in range(len(kin)) if cluster not in same and self._is_open(layer, cluster)
        ]
        outcomes = await self._ask_all(desk, sampler, {cluster: kin[cluster] for cluster in open_clusters})
        if not self._instructions.candidates:
            others = [*self._people_labels(layer).values(), *(name.label for name in same.values())]
            others += [word.label for word in self._words[layer] if word.source == "value"]
            outcomes |= await self._separate(desk, sampler, kin, outcomes, others)
        self._done += len(kin) - len(open_clusters)
        names = [
            same[cluster] if cluster in same else self._name(layer, cluster, outcomes.get(cluster))
            for cluster in range(len(kin))
        ]
        self._named |= {key: name for key, name in zip(keys, names, strict=True) if name.source == "model"}
        return names if self._instructions.candidates else _distinct(names)

    async def _ask_all(self, desk: Desk, sampler: Sampler, kin: Mapping[int, Kin]) -> dict[int, _Outcome]:
        async with asyncio.TaskGroup() as group:
            tasks = {cluster: group.create_task(self._ask(desk, sampler, cluster, own)) for cluster, own in kin.items()}
        return {cluster: task.result() for cluster, task in tasks.items()}

    async def _ask(
        self, desk: Desk, sampler: Sampler, cluster: int, kin: Kin, before: tuple[str, str] | None = None
    ) -> _Outcome:
        """Ask for one cluster; no error of reading or asking leaves here."""
        try:
            async with self._reading:
                sample = await asyncio.to_thread(sampler.sample, cluster)
            if sample.hostile and not self._instructions.candidates:
                return _Outcome(error="Nearly all its documents read like instructions to a model.", sample=sample)
            if not any(each.text or each.media for each in sample.members):
                return _Outcome(error="Its documents hold nothing to show a model.", sample=sample)
            return await self._try(desk, sample, kin, before)
        except ShoalError as error:
            return _Outcome(error=f"Its documents could not be read: {error.message}")
        except Exception as error:  # noqa: BLE001  # naming by a model fails no run; the log has the traceback
            _log.exception("naming.cluster")
            return _Outcome(error=f"Naming by the model failed ({type(error).__name__}).")
        finally:
            self._done += before is None

    async def _try(self, desk: Desk, sample: Sample, kin: Kin, before: tuple[str, str] | None) -> _Outcome:
        paid, problem, text = 0, "", ""
        for _ in range(_TRIES if before is None else 1):
            question = write_question(sample, kin, self._instructions, self._output_tokens, before)
            try:
                reply, price = await desk.answer(question)
            except Failure as failure:
                return _Outcome(error=f"{problem} {failure.sentence}".strip(), paid=paid, sample=sample)
            paid, text = paid + price, reply.text
            try:
                if reply.fault:
                    raise Fault(reply.fault)
                return _Outcome(check_answer(text, sample, kin, self._instructions), "", paid, sample, text)
            except Fault as fault:
                problem = f"The answer of the model was not used, because {fault}."
                before = (text, str(fault))
        return _Outcome(None, problem, paid, sample)

    async def _separate(
        self,
        desk: Desk,
        sampler: Sampler,
        kin: Sequence[Kin],
        outcomes: Mapping[int, _Outcome],
        others: Sequence[str],
    ) -> dict[int, _Outcome]:
        """Ask again for clusters whose label a larger one, or one of the `others`, has; return what came of these."""
        drafts = {cluster: each.draft.label for cluster, each in outcomes.items() if each.draft}
        ranked = sorted(drafts, key=lambda cluster: (-sampler.size(cluster), cluster))
        labels = [*others, *(drafts[cluster] for cluster in ranked)]
        clashes = {place: other for place, other in self._clashes(labels).items() if place >= len(others)}
        if not clashes:
            return {}
        free = [label for place, label in enumerate(labels) if place not in clashes]
        async with asyncio.TaskGroup() as group:
            tasks = dict[int, asyncio.Task[_Outcome]]()
            for place, other in clashes.items():
                cluster = ranked[place - len(others)]
                siblings = list(dict.fromkeys([labels[other], *kin[cluster].siblings, *free]))[:_MOST_SIBLINGS]
                before = (outcomes[cluster].text, f'a neighbouring group is named "{labels[other]}"')
                own = replace(kin[cluster], siblings=siblings)
                tasks[cluster] = group.create_task(self._ask(desk, sampler, cluster, own, before))
        return self._refuse_clashes(free, {cluster: task.result() for cluster, task in tasks.items()}, outcomes)

    def _refuse_clashes(
        self, free: Sequence[str], again: Mapping[int, _Outcome], before: Mapping[int, _Outcome]
    ) -> dict[int, _Outcome]:
        """Refuse labels that are still not of one cluster alone."""
        labels, settled = {same_label(label) for label in free}, dict[int, _Outcome]()
        for cluster, outcome in again.items():
            paid = outcome.paid + before[cluster].paid
            if outcome.draft and same_label(outcome.draft.label) not in labels:
                labels.add(same_label(outcome.draft.label))
                settled[cluster] = replace(outcome, paid=paid)
            else:
                error = outcome.error or "The answer of the model was not used, because another cluster has its label."
                settled[cluster] = replace(outcome, draft=None, error=error, paid=paid)
        return settled

    def _clashes(self, labels: Sequence[str]) -> dict[int, int]:
        """Return for each label that says the same as an earlier one the position of that."""
        first, clashes = dict[tuple[str, ...], int](), dict[int, int]()
        for place, label in enumerate(labels):
            other = first.setdefault(same_label(label), place)
            if other != place:
                clashes[place] = other
        return {**self._near(labels), **clashes}

    def _near(self, labels: Sequence[str]) -> dict[int, int]:
        """As `_clashes`, for labels whose vectors are nearly the same."""
        if self._encoder is None or not self._instructions.deduplicate or len(labels) < 2:
            return {}
        vectors = self._encoder.encode(labels).astype(np.float64)
        clashes, kept = dict[int, int](), [0]
        for place in range(1, len(labels)):
            alike = np.round(vectors[kept] @ vectors[place], 4)
            if alike.max() >= self._instructions.similarity:
                clashes[place] = kept[int(alike.argmax())]
            else:
                kept.append(place)
        return clashes

    def _kin(self, layer: int) -> list[Kin]:
        """Collect for each cluster the names of its parent and parts, where these have been named."""
        layers = self._brief.layers
        kin = [Kin(siblings=list(self._people_labels(layer).values())) for _ in range(layers[layer].clusters)]
        if layer + 1 in self._names:
            for part, whole in enumerate(self._parents(layer + 1)):
                if whole >= 0:
                    kin[whole] = replace(kin[whole], parts=[*kin[whole].parts, self._label(layer + 1, part)])
        if layer - 1 in self._names:
            for cluster, whole in enumerate(self._parents(layer)):
                if whole >= 0:
                    kin[cluster] = replace(kin[cluster], parent=self._label(layer - 1, whole))
        return kin

    def _same(self, layer: int) -> dict[int, Name]:
        """Return the names of clusters that are the only part, or have but one, of a cluster with a name."""
        same = dict[int, Name]()
        for upper, lower in ((layer, layer + 1), (layer - 1, layer)):
            if (lower if upper == layer else upper) not in self._names:
                continue
            parents = self._parents(lower)
            parts = Counter(parents)
            for part, whole in enumerate(parents):
                if whole >= 0 and parts[whole] == 1:
                    own, of, other = (whole, lower, part) if upper == layer else (part, upper, whole)
                    same[own] = replace(self._names[of][other], cost=0.0)
        return same

    def _parents(self, layer: int) -> list[int]:
        layers = self._brief.layers
        parents: list[int] = main_parents(
            layers[layer].labels, layers[layer - 1].labels, layers[layer].clusters
        ).tolist()
        return parents

    def _is_open(self, layer: int, cluster: int) -> bool:
        """Whether a model is asked: not for a cluster that a person has named, or that has a single value, its name."""
        return cluster not in self._people_labels(layer) and self._words[layer][cluster].source != "value"

    def _people_labels(self, layer: int) -> Mapping[int, str]:
        """Return the labels that people gave."""
        return self._brief.settled[layer] if layer < len(self._brief.settled) else {}

    def _label(self, layer: int, cluster: int) -> str:
        return self._people_labels(layer).get(cluster) or self._names[layer][cluster].label

    def _name(self, layer: int, cluster: int, outcome: _Outcome | None) -> Name:
        word = self._words[layer][cluster]
        if outcome is None:
            return word
        cost, draft = outcome.paid / PICODOLLARS, outcome.draft
        if draft is None:
            return replace(_without_suspects(_because(word, outcome.error), outcome.sample, cluster), cost=cost)
        return Name(
            draft.label,
            draft.keywords or word.keywords,
            summary=draft.summary,
            evidence=draft.evidence,
            source="model",
            model=self._model,
            cost=cost,
            details=draft.details or None,
        )


def _because(name: Name, problem: str) -> Name:
    return replace(name, error=problem)


def _without_suspects(name: Name, sample: Sample | None, cluster: int) -> Name:
    """Drop from a name without a model what only documents say that read like instructions."""
    if sample is None or not sample.vocabulary.hostile:
        return name

    def is_suspect(text: str) -> bool:
        if sample.hostile:  # what nearly all documents say is what the cluster is about; but for codes
            return bool(sample.vocabulary.rare_codes(text))
        return bool(sample.vocabulary.suspects(text, single=False))

    keywords = tuple(each for each in name.keywords if not is_suspect(each))
    if name.summary and (is_instruction(name.summary) or is_suspect(name.summary)):
        name = replace(name, summary=None)
    if not is_suspect(name.label):
        return replace(name, keywords=keywords)
    if keywords:
        return replace(name, label=keywords[0][:1].upper() + keywords[0][1:], keywords=keywords)
    return replace(Name.of_number(cluster), error=name.error)


def _distinct(names: Sequence[Name]) -> list[Name]:
    """Make labels of names without a model differ from those by the model, and from each other."""
    used = {same_label(name.label) for name in names if name.source == "model"}
    return [name if name.source == "model" else _distinct_from(name, used) for name in names]


def _distinct_from(name: Name, used: set[tuple[str, ...]]) -> Name:
    for label in _variants(name):
        if same_label(label) not in used:
            used.add(same_label(label))
            return name if label == name.label else replace(name, label=label)
    return name


def _variants(name: Name) -> Iterable[str]:
    yield name.label
    for keyword in name.keywords:
        yield f"{name.label} ({keyword})"[:80]
    yield from (f"{name.label} #{number}" for number in range(2, 10_000))
