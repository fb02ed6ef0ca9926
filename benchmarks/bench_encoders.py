"""What are the encoders in the box worth, beside MiniLM and the usual TF-IDF with SVD?

k-means with the true number of clusters on labelled texts, three seeds, medians; texts a second of one process and its
peak memory on the texts of banking77, repeated and shuffled; the bytes that the table adds to the wheel.

    PYTHONPATH=tests python benchmarks/bench_encoders.py [--texts 200000]
"""

import argparse
import random
import resource
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.preprocessing import normalize

from shared_data import load
from shared_data import vectors as read_vectors
from shoal.columns import Points
from shoal.encoders import fit_encoder, open_encoder
from shoal.encoders.table import BUNDLED_TABLE

SETS = ("banking77", "clinc150", "movies")
SEEDS = (0, 1, 2)
OUT_OF_SCOPE = "oos"


def read_set(name: str, most: int = 8_000) -> tuple[list[str], Any, Points]:
    """Texts, classes and MiniLM's vectors of up to 8,000 rows that have a class."""
    table = load(name)
    classes = np.array(table["label"].to_pylist(), str)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(classes != OUT_OF_SCOPE))[:most]
    vectors = read_vectors(table)[rows]
    texts = table["text"].to_pylist()
    return [texts[row] for row in rows], classes[rows], vectors


def encode(uri: str, texts: Sequence[str]) -> Points:
    return fit_encoder(open_encoder(uri), texts).encode(texts)


def encode_usually(texts: Sequence[str]) -> Points:
    """TF-IDF of words and 256 directions, as tutorials do it."""
    counts = TfidfVectorizer(sublinear_tf=True, min_df=2, stop_words="english").fit_transform(texts)
    vectors: Points = normalize(TruncatedSVD(min(256, counts.shape[1] - 1), random_state=0).fit_transform(counts))
    return vectors


def score(vectors: Points, classes: Any) -> str:
    count = len(set(classes))
    labels = [KMeans(count, n_init=1, random_state=seed, max_iter=50).fit_predict(vectors) for seed in SEEDS]
    nmi = median(normalized_mutual_info_score(classes, row) for row in labels)
    ari = median(adjusted_rand_score(classes, row) for row in labels)
    return f"{nmi:.3f} / {ari:.3f}"


def show_quality() -> None:
    print(f"| NMI / ARI | {' | '.join(SETS)} |\n|---|{'---|' * len(SETS)}")
    sets = [read_set(name) for name in SETS]
    encoders: dict[str, Callable[[list[str]], Points]] = {
        "static": lambda texts: encode("static", texts),
        "corpus": lambda texts: encode("corpus", texts),
        "TF-IDF + SVD": encode_usually,
    }
    print(f"| MiniLM | {' | '.join(score(vectors, classes) for _, classes, vectors in sets)} |", flush=True)
    for name, encoder in encoders.items():
        print(f"| {name} | {' | '.join(score(encoder(texts), classes) for texts, classes, _ in sets)} |", flush=True)


def show_speed(count: int) -> None:
    """Words of a text are drawn from two others, so that few texts are the same."""
    base, chance = read_set("banking77")[0], random.Random(0)
    texts = [" ".join(chance.sample(base, 2)) for _ in range(count)]
    words = sum(len(text.split()) for text in texts) / count
    encoder = open_encoder("static")
    encoder.encode(texts[:100])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    vectors = encoder.encode(texts)
    seconds = time.process_time() - start
    beside = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 - vectors.nbytes / 2**20
    print(f"static: {count / seconds:,.0f} texts of {words:.0f} words a second of one core")
    print(f"peak memory beside the vectors: {max(beside, 0):,.0f} MiB")
    print(f"the table: {BUNDLED_TABLE.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=200_000)
    show_speed(parser.parse_args().texts)
    show_quality()
