"""Sentences of WordNet: each sense with its words and gloss, and each example."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHORTEST_EXAMPLE = 8


@dataclass(frozen=True)
class Sense:
    """Words of one meaning, its gloss and examples of its use."""

    words: list[str]
    gloss: str
    examples: list[str]


def read_senses(folder: Path, kind: str = "*") -> Iterator[Sense]:
    """Read `data.noun` and its like, in the order of the files."""
    for path in sorted(folder.glob(f"data.{kind}")):
        for line in path.read_text("latin-1").splitlines():
            if not line.startswith("  "):
                yield parse_sense(line)


def parse_sense(line: str) -> Sense:
    head, _, gloss = line.partition("|")
    fields = head.split()
    count = int(fields[3], 16)
    words = [re.sub(r"\(\w+\)$", "", fields[4 + 2 * place]).replace("_", " ") for place in range(count)]
    examples = [text for text in re.findall(r'"([^"]+)"', gloss) if len(text) > SHORTEST_EXAMPLE]
    return Sense(words, gloss.split('"')[0].strip(" ;"), examples)


def read_sentences(folder: Path) -> list[str]:
    """Every sense as `words: gloss`, and every example."""
    texts = []
    for sense in read_senses(folder):
        texts.append(f"{', '.join(sense.words)}: {sense.gloss}")
        texts += sense.examples
    return texts
