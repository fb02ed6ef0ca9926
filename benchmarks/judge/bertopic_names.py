"""The names of BERTopic 0.17.4 for clusters that are already known: four recipes."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judge.judges import Subject
from judge.minilm import Array, MiniLM

__all__ = ["name_by_bertopic"]


def name_by_bertopic(
    texts: Sequence[str], vectors: Array, labels: NDArray[np.int64], model: MiniLM
) -> Iterator[Subject]:
    """Yield the default (c-TF-IDF), English stop words, KeyBERT-inspired and MMR, each without and with stop words."""
    from bertopic.representation import KeyBERTInspired, MaximalMarginalRelevance

    class KeyBert(KeyBERTInspired):  # type: ignore[misc]
        def extract_topics(
            self, topic_model: Any, documents: Any, c_tf_idf: Any, topics: Any, embeddings: Any = None
        ) -> Any:
            # Of given embeddings BERTopic takes those of the first documents, not of the representative ones.
            return super().extract_topics(topic_model, documents, c_tf_idf, topics)

    for stop in (None, "english"):
        for name, recipe in (("", None), ("-KB", KeyBert()), ("-MMR", MaximalMarginalRelevance(0.3))):
            yield _name(f"bertopic{'-stop' if stop else ''}{name}", texts, vectors, labels, model, stop, recipe)


def _name(
    recipe: str, texts: Sequence[str], vectors: Array, labels: NDArray[np.int64], model: MiniLM, stop: Any, form: Any
) -> Subject:
    from bertopic import BERTopic
    from bertopic.backend import BaseEmbedder
    from bertopic.cluster import BaseCluster
    from bertopic.dimensionality import BaseDimensionalityReduction
    from sklearn.feature_extraction.text import CountVectorizer

    class Backend(BaseEmbedder):  # type: ignore[misc]
        def embed(self, documents: Sequence[str], verbose: bool = False) -> Array:
            return model.encode(list(documents))

    topics = BERTopic(
        embedding_model=Backend(),
        umap_model=BaseDimensionalityReduction(),
        hdbscan_model=BaseCluster(),
        vectorizer_model=CountVectorizer(stop_words=stop),
        representation_model=form,
        calculate_probabilities=False,
    ).fit(list(texts), embeddings=vectors, y=labels)
    of = {int(own): topic for own, topic in zip(labels, topics.topics_, strict=True)}
    words = [[word for word, _ in topics.get_topic(of[c]) if word] for c in range(int(labels.max()) + 1)]
    return Subject(recipe, ["_".join(each[:4]) for each in words], [" ".join(each[:10]) for each in words])
