"""What a new user gets from `shoal.cluster(vectors)` with nothing else said.

`python benchmarks/bench_defaults.py` prints for each set how many clusters there are, their agreement with the true
classes (on the rows that are in a cluster, and over all), the share of rows left out, and whether the lack of structure
is said. The sets: banking77, clinc150, movies; 4,000 tickets in five languages; 1,500 rows without groups.

The tickets are 40 intents of clinc150, 100 rows each, whose real English vectors get one of five random directions, a
fifth of each intent each, times `offset`: the difference that encoders of many languages leave between a text and its
translation. No vectors of a real such encoder are at hand.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import shoal
from bench_how_many import agreement, texts_of
from shared_data import load, vectors

INTENTS, TICKETS, LANGUAGES = 40, 100, 5
OFFSETS = (0.2, 0.4, 0.6)
NOISE_ROWS = 1_500

Names = NDArray[np.str_]


def tickets(offset: float) -> tuple[NDArray[np.float32], Names, Names]:
    """Vectors (4000, 384), the intent of each row, and its intent and language together."""
    table = load("clinc150")
    points, intents = vectors(table), texts_of(table, "label")
    assert intents is not None
    rng = np.random.default_rng(17)
    names, counts = np.unique(intents, return_counts=True)
    usable = names[(counts >= TICKETS) & (names != "oos")]
    rows = np.concatenate(
        [
            rng.choice(np.flatnonzero(intents == name), TICKETS, replace=False)
            for name in rng.choice(usable, INTENTS, replace=False)
        ]
    )
    language = np.tile(np.arange(LANGUAGES), len(rows) // LANGUAGES)
    directions = rng.standard_normal((LANGUAGES, points.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    moved = points[rows] + offset * directions[language]
    chosen = intents[rows]
    both = np.char.add(chosen, language.astype(str))
    return np.ascontiguousarray(moved, np.float32), chosen, both


def measure(name: str, points: NDArray[np.float32], *truths: Names | None) -> dict[str, object]:
    """One row of the table; a truth each gives two figures of agreement."""
    clustering = shoal.cluster(points)
    row: dict[str, object] = {"set": name, "rows": len(points), "clusters": len(clustering.clusters)}
    for number, truth in enumerate(truths):
        clustered, overall = agreement(truth, clustering.labels)
        beside = "" if number == 0 else "_with_language"
        row |= {f"ari_clustered{beside}": round(clustered, 3), f"ari_all{beside}": round(overall, 3)}
    row |= {
        "noise": round(clustering.noise / len(points), 3),
        "warned": any("structure" in warning for warning in clustering.warnings),
        "layers": [len(layer.clusters) for layer in clustering.layers],
    }
    print(f"{name:<26}", *(f"{key} {value!s:<6}" for key, value in row.items() if key != "set"), flush=True)
    return row


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for name in ("banking77", "clinc150", "movies"):
        table = load(name)
        rows.append(measure(name, vectors(table), texts_of(table, "label")))
    rows += [measure(f"five languages, offset {offset}", *tickets(offset)) for offset in OFFSETS]
    for dimension in (16, 384):
        noise = np.random.default_rng(0).standard_normal((NOISE_ROWS, dimension)).astype(np.float32)
        rows.append(measure(f"noise, {dimension} dimensions", noise, None))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
