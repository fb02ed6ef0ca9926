"""Documents in groups, and a model to name them."""

from collections.abc import Sequence

import numpy as np

from labeling.providers.fake_provider import FakeProvider
from shoal.labeling import Brief, Name, Partition
from shoal.labeling.providers import Connection, Limits, Price
from shoal.labeling.providers.calls.connection import Key, Provider

__all__ = ["ENDS", "KEY", "TOPICS", "brief_of", "connect", "labels_of", "two_layers"]

KEY = "sk-CANARY-0123456789abcdef"
TOPICS = (
    "lost luggage at the airport",
    "my card payment was declined",
    "book a flight to paris",
    "weather forecast for tomorrow",
    "cancel a hotel reservation",
    "play some jazz music",
)
ENDS = (
    "please",
    "today",
    "again",
    "now",
    "later",
    "soon",
    "here",
    "quickly",
    "somehow",
    "maybe",
    "actually",
    "tonight",
)
_MODELS: dict[str, Provider] = {
    "gpt-4o-mini": "openai",
    "claude-haiku-4-5": "anthropic",
    "claude-3-5-haiku-20241022": "anthropic",
    "gemini-2.5-flash": "google",
}
PRICE = Price(1.5, 6.0)


def connect(
    fake: FakeProvider,
    model: str = "gpt-4o-mini",
    *,
    stream: bool = False,
    price: Price | None = PRICE,
    **limits: float,
) -> Connection:
    """Return a connection to the fake, with limits that suit tests."""
    provider = _MODELS[model]
    chosen: dict[str, float] = {"timeout": 10.0, "attempts": 2, "backoff": 0.01, "failures": 50, **limits}
    return Connection(
        name=f"{provider}:{model}",
        provider=provider,
        model=model,
        url=fake.url + ("/v1" if provider == "openai" else ""),
        key=Key(KEY),
        price=price,
        limits=Limits(**chosen),  # type: ignore[arg-type]  # by name
        stream=stream,
    )


def brief_of(topics: Sequence[str] = TOPICS, each: int = 10, extra: Sequence[tuple[int, str]] = ()) -> Brief:
    """Return a brief of one cluster a topic; `extra` are further documents of clusters."""
    texts = [f"{topic} {end}" for topic in topics for end in ENDS[:each]]
    labels = [number for number in range(len(topics)) for _ in range(each)]
    for cluster, text in extra:
        texts.append(text)
        labels.append(cluster)
    centroids = np.eye(len(topics), max(len(topics), 2), dtype=np.float32)
    noise = np.random.default_rng(7).normal(0, 0.05, (len(texts), centroids.shape[1]))
    points = (centroids[labels] + noise).astype(np.float32)
    return Brief(texts, [Partition(np.array(labels, np.int32), len(topics), centroids)], points=points)


def two_layers() -> Brief:
    """Return a brief of six clusters in two broad ones: travel and the rest."""
    fine = brief_of()
    travel = np.array([0, 1, 0, 1, 0, 1], np.int32)
    layer = fine.layers[0]
    centroids = np.stack([fine.points[travel[layer.labels] == each].mean(axis=0) for each in (0, 1)])  # type: ignore[index]
    broad = Partition(travel[layer.labels], 2, centroids.astype(np.float32))
    return Brief(fine.texts, [broad, layer], chosen=1, points=fine.points)


def labels_of(names: Sequence[Sequence[Name]]) -> list[str]:
    return [name.label for layer in names for name in layer]
