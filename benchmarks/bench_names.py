"""The quality of names beside BERTopic's, on the same clusters (k-means at the true k on MiniLM's vectors).

    python benchmarks/bench_names.py banking77.parquet clinc150.parquet movies.parquet [--no-peers]

A fifth of each cluster is held out: no namer reads it, and the judges pick by it. Columns: `pick`, how often MiniLM
picks by a name the right one of five clusters (it and its four nearest), each shown by five of these documents, ten
times; `lexical`, the same by shared words, weighted by their rarity; `+kw` with the keywords shown beside; `class`,
cosine and share of words of the true class's name, where the majority class is large; well-formed, distinct, words.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.cluster import KMeans

from judge.bertopic_names import name_by_bertopic
from judge.judges import Clusters, Subject
from judge.minilm import load
from shoal.encoders.static import StaticEncoder
from shoal.labeling import Brief, Budget, Partition, WordNamer

HELD_OUT = 0.2
MAJORITY = {"movies": 0.3}
OUT_OF_SCOPE = "oos"
COLUMNS = ("pick", "lexical", "pick+kw", "lex+kw", "class cos", "class recall", "well-formed", "distinct", "words")


def read_clusters(path: Path) -> Clusters:
    table = pq.read_table(path)
    names = table["label"].to_pylist()
    rows = np.array([row for row, name in enumerate(names) if name != OUT_OF_SCOPE])
    texts = [table["text"][int(row)].as_py() or "" for row in rows]
    flat = table["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = flat.reshape(len(names), -1).astype(np.float32)[rows]
    true = np.array([names[row] for row in rows])
    k = len(set(true.tolist()))
    labels = KMeans(k, n_init=1, max_iter=100, random_state=0).fit(vectors).labels_.astype(np.int64)
    random = np.random.default_rng(0)
    held_out = np.zeros(len(rows), np.bool_)
    for cluster in range(k):
        own = random.permutation(np.flatnonzero(labels == cluster))
        held_out[own[: max(round(len(own) * HELD_OUT), 5 if len(own) > 10 else 1)]] = True
    classes = [_majority(true[labels == cluster], MAJORITY.get(path.stem, 0.5)) for cluster in range(k)]
    model = load()
    model.known |= dict(zip(texts, vectors, strict=True))
    return Clusters(texts, vectors, labels, held_out, classes, model)


def _majority(names: np.ndarray, least: float) -> str:
    distinct, counts = np.unique(names, return_counts=True)
    best = int(counts.argmax())
    return str(distinct[best]).replace("_", " ") if counts[best] >= least * len(names) else ""


def name_by_shoal(clusters: Clusters) -> Iterator[Subject]:
    """Name without vectors, with those of the documents, and with the bundled encoder."""
    rows = np.flatnonzero(~clusters.held_out)
    texts, labels = [clusters.texts[row] for row in rows.tolist()], clusters.labels[rows].astype(np.int32)
    points = clusters.vectors[rows]
    centroids = np.stack([points[labels == cluster].mean(0) for cluster in range(clusters.count)])
    for recipe, namer, given in modes():
        brief = Brief(
            texts,
            [Partition(labels, clusters.count, centroids if given else None)],
            points=points if given else None,
        )
        names = namer.name(brief, Budget())[0]
        yield Subject(
            recipe,
            [name.label for name in names],
            [" ".join((name.label, *name.keywords)) for name in names],
        )


def modes() -> list[tuple[str, WordNamer, bool]]:
    """Return each recipe, its namer, and whether it has the vectors of the clustering."""
    encoder = StaticEncoder()
    return [
        ("Shoal none", WordNamer(), False),
        ("Shoal vectors", WordNamer(), True),
        ("Shoal encoder alone", WordNamer(encoder=encoder), False),
        ("Shoal encoder", WordNamer(encoder=encoder), True),
    ]


def main(paths: Sequence[Path], peers: bool, names: Path | None) -> None:
    print("| set | recipe | " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * (len(COLUMNS) + 2))
    written = {}
    for path in paths:
        clusters = read_clusters(path)
        rows = np.flatnonzero(~clusters.held_out)
        texts = [clusters.texts[row] for row in rows.tolist()]
        others = name_by_bertopic(texts, clusters.vectors[rows], clusters.labels[rows], clusters.model)
        subjects = list[Subject]()
        for subject in chain(name_by_shoal(clusters), others if peers else ()):
            subjects.append(subject)
            scores = " | ".join(f"{value:.3f}" for value in astuple(clusters.score(subject)))
            print(f"| {path.stem} | {subject.recipe} | {scores} |", flush=True)
        written[path.stem] = {each.recipe: [each.labels, each.with_keywords] for each in subjects}
    if names is not None:
        names.write_text(json.dumps(written, ensure_ascii=False, indent=0))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--names", type=Path, help="write all names to this JSON file")
    options = parser.parse_args()
    main(options.sets, not options.no_peers, options.names)
