"""Documents whose groups are known beforehand."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np
from mixpeek.models.collection_response import CollectionResponse

__all__ = ["PER_TOPIC", "TOPICS", "WIDTH", "Documents", "Fill", "three_topics"]

WIDTH: Final = 8
PER_TOPIC: Final = 12
TOPICS: Final = {
    "billing": ("refund the double charge on my credit card", "my credit card was charged twice, refund please"),
    "travel": ("book a flight to Boston next Monday", "what does a flight from Denver to Boston cost"),
    "weather": ("will it rain in the mountains tomorrow", "how much rain is in the weather forecast"),
}
Documents: TypeAlias = list[dict[str, Any]]
Fill: TypeAlias = Callable[..., CollectionResponse]


def three_topics() -> Documents:
    """36 documents in three well-separated groups of 12; the vector is the topic's axis and a little noise."""
    rng = np.random.default_rng(7)
    return [
        {
            "document_id": f"{topic}_{number:02d}",
            "vectors": {"text": _near(axis, rng)},
            "payload": {"text": texts[number % 2], "price": float(axis * PER_TOPIC + number)},
            "metadata": {"topic": topic, "lang": "de" if number % 3 == 0 else "en"},
        }
        for axis, (topic, texts) in enumerate(TOPICS.items())
        for number in range(PER_TOPIC)
    ]


def _near(axis: int, rng: np.random.Generator) -> list[float]:
    point = rng.normal(scale=0.02, size=WIDTH)
    point[axis] += 1.0
    return [float(value) for value in point]
