"""Questions, wishes and complaints as people write them, with words and glosses of WordNet in plain frames.

Dictionaries have few sentences in the first and second person, and most texts that people cluster are such. The frames
(`actions.txt`, `things.txt`) hold function words and the commonest others; what they are about comes from WordNet.
"""

import random
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

from static_encoder.wordnet import Sense, read_senses

PREPOSITIONS = ("of", "for", "from", "with", "in", "to", "on")
DETERMINERS = ("the", "a", "my", "my", "your", "this", "another", "", "some", "the new", "an old")
ENDINGS = ("", "", "", "?", "?", ".", "!")


def read_frames(name: str) -> list[str]:
    return (Path(__file__).parent / f"{name}.txt").read_text().splitlines()


def read_ranks(vocabulary: Path) -> dict[str, int]:
    """The teacher's whole words: the earlier in its vocabulary, the commoner."""
    return {piece: rank for rank, piece in enumerate(vocabulary.read_text().splitlines()) if piece.isalpha()}


def read_past_forms(folder: Path) -> dict[str, str]:
    """The irregular past participles."""
    forms: dict[str, str] = {}
    for line in (folder / "verb.exc").read_text("latin-1").splitlines():
        form, verb = line.split()[:2]
        if not form.endswith(("ing", "s")):
            forms[verb] = form
    return forms


def past(verb: str, irregular: dict[str, str]) -> str:
    head, *rest = verb.split(" ")
    if head in irregular:
        form = irregular[head]
    elif head.endswith("e"):
        form = f"{head}d"
    elif head.endswith("y") and head[-2:-1] not in tuple("aeiou"):
        form = f"{head[:-1]}ied"
    else:
        form = f"{head}ed"
    return " ".join([form, *rest])


def progressive(verb: str) -> str:
    head, *rest = verb.split(" ")
    stem = head[:-1] if head.endswith("e") and not head.endswith(("ee", "ye")) else head
    return " ".join([f"{stem}ing", *rest])


class Words:
    """Words to draw from: those that the teacher knows whole, the commoner the likelier, and one in six from all."""

    def __init__(self, senses: Sequence[Sense], ranks: dict[str, int]) -> None:
        self.every = sorted({word for sense in senses for word in sense.words if word[:1].islower()})
        self.common = [word for word in self.every if word in ranks]
        self.sums = list(accumulate(ranks[word] ** -0.5 for word in self.common))

    def draw(self, chance: random.Random) -> str:
        if chance.random() < 1 / 6:
            return chance.choice(self.every)
        return chance.choices(self.common, cum_weights=self.sums)[0]


class Questions:
    """Draws one question after another; the same from the same seed."""

    def __init__(self, folder: Path, vocabulary: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        ranks = read_ranks(vocabulary)
        senses = {kind: list(read_senses(folder, kind)) for kind in ("noun", "verb", "adj")}
        self.nouns, self.verbs, self.adjectives = (Words(senses[kind], ranks) for kind in senses)
        self.glosses = [plain for sense in senses["verb"] if (plain := plain_gloss(sense.gloss))]
        self.irregular = read_past_forms(folder)
        self.actions = read_frames("actions")
        self.things = read_frames("things")

    def draw(self) -> str:
        kinds: list[Callable[[], str]] = [self.about_gloss, self.about_action, self.about_thing, self.about_thing]
        text = self.chance.choice(kinds)()
        text = f"{text}{self.chance.choice(ENDINGS)}"
        return text.capitalize() if self.chance.random() < 0.5 else text

    def about_gloss(self) -> str:
        return self.chance.choice(self.actions).format(a=self.chance.choice(self.glosses))

    def about_action(self) -> str:
        thing = f"{self.chance.choice(DETERMINERS)} {self.nouns.draw(self.chance)}".strip()
        if self.chance.random() < 0.3:
            thing += f" {self.chance.choice(PREPOSITIONS)} the {self.nouns.draw(self.chance)}"
        return self.chance.choice(self.actions).format(a=f"{self.verbs.draw(self.chance)} {thing}")

    def about_thing(self) -> str:
        return self.chance.choice(self.things).format(
            t=self.nouns.draw(self.chance),
            u=self.nouns.draw(self.chance),
            j=self.adjectives.draw(self.chance),
            p=past(self.verbs.draw(self.chance), self.irregular),
            g=progressive(self.verbs.draw(self.chance)),
        )


def plain_gloss(gloss: str) -> str:
    """The first part of a verb's gloss, which names an action."""
    first = gloss.split(";")[0]
    return "" if "(" in first else first.strip()


def draw_questions(folder: Path, vocabulary: Path, count: int, seed: int = 0) -> list[str]:
    """Distinct questions.

    Parameters
    ----------
    folder : Path
        WordNet's `data.noun`, `verb.exc` and their like.
    vocabulary : Path
        The teacher's `vocab.txt`.
    count : int
    seed : int, default 0

    Returns
    -------
    list of str
    """
    questions = Questions(folder, vocabulary, seed)
    drawn: dict[str, None] = {}
    while len(drawn) < count:
        drawn.setdefault(questions.draw())
    return list(drawn)
