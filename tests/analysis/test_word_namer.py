"""Every place that names clusters from their words does so in the same way."""

import re
from pathlib import Path

import numpy as np

import shoal
from shoal.analysis.naming import open_word_namer
from shoal.encoders.static import StaticEncoder
from shoal.labeling import Brief, Budget, Partition

SOURCE = Path(shoal.__file__).parent
PLACES = ("Paris", "Rome", "Oslo", "Madrid", "Vienna", "Lisbon", "Dublin", "Prague", "Athens")
FORMS = ("my luggage was lost in {}", "the airline lost my bags in {}", "what is my credit score in {}")
TEXTS = [form.format(place) for form in FORMS for place in PLACES]


def test_one_place_alone_decides_how_words_name_clusters() -> None:
    """But for the default of a `ModelNamer` that has no fallback."""
    places = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(r"\bWordNamer\(|\bname_layers\(|(?<!_)\bname_clusters\(", path.read_text())
    }

    assert places == {
        "analysis/naming.py",
        "labeling/providers/model_namer.py",
        "labeling/words/namer.py",
        "library/views/breakdown.py",  # words of a period, not names
    }


def test_an_estimator_names_with_the_vectors_and_the_bundled_encoder() -> None:
    points = StaticEncoder().encode(TEXTS)

    estimator = shoal.KMeans(3, random_state=0).fit(points, text=TEXTS)

    layer = Partition(estimator.labels_.astype(np.int32), 3, estimator.cluster_centers_.astype(np.float32))
    names = open_word_namer().name(Brief(TEXTS, [layer], points=points), Budget())[0]
    assert estimator.cluster_names_ == [name.label for name in names]
    assert [list(name) for name in estimator.cluster_keywords_] == [list(name.keywords) for name in names]
