"""Vectors from a server, over real HTTP on the loopback."""

import json
import random
from collections.abc import Iterator

import numpy as np
import pytest

from encoders.embedding_server import EmbeddingServer, Reply, good_reply, serve_embeddings, vector
from shoal.encoders.endpoint import ATTEMPTS, MOST_WINDOWS, WINDOW, Connection, EndpointEncoder, open_model
from shoal.errors import InvalidField, ShoalError, Unavailable

KEY = "sk-very-secret-0123456789"


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with serve_embeddings() as server:
        yield server


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def encoder(server: EmbeddingServer, waits: list[float]) -> EndpointEncoder:
    return EndpointEncoder(Connection("m", server.url, KEY), sleep=waits.append, chance=random.Random(0))


def unit(text: str) -> list[float]:
    row = np.array(vector(text))
    return list(row / np.linalg.norm(row))


def answer_with(status: int, content: bytes = b"", **headers: str) -> "object":
    return lambda texts: (status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def change(**fields: object) -> "object":
    """A good answer with other fields in its first row."""

    def reply(texts: list[str]) -> Reply:
        body = json.loads(good_reply(texts)[2])
        body["data"][0].update(fields)
        return 200, {}, json.dumps(body).encode()

    return reply


def test_batches_come_back_in_the_order_of_the_texts(encoder: EndpointEncoder, server: EmbeddingServer) -> None:
    texts = ["a" * number for number in range(1, 2 * MOST_WINDOWS + 3)]
    done: list[float] = []
    vectors = encoder.encode(texts, done.append)
    assert vectors == pytest.approx(np.array([unit(text) for text in texts]), abs=1e-6)
    assert [len(body["input"]) for body in server.bodies] == [MOST_WINDOWS, MOST_WINDOWS, 2]
    assert (encoder.dimension, len(done), done[-1], set(server.keys)) == (3, 3, 1.0, {f"Bearer {KEY}"})


def test_a_long_text_is_sent_whole_in_windows(encoder: EndpointEncoder, server: EmbeddingServer) -> None:
    text = " ".join(f"word{number}" for number in range(1000))
    rows = encoder.encode([text, "", "x" * (3 * WINDOW)])
    sent = [window for body in server.bodies for window in body["input"]]
    assert " ".join(part for part in sent if "w" in part) == text
    assert "".join(part for part in sent if "x" in part) == "x" * (3 * WINDOW)
    assert max(map(len, sent)) <= WINDOW
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 0, 1], abs=1e-6)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(
    encoder: EndpointEncoder, server: EmbeddingServer, waits: list[float], status: int
) -> None:
    server.replies = [answer_with(status), answer_with(status, Retry_After="7")]  # type: ignore[list-item]
    assert encoder.encode(["a"])[0] == pytest.approx(unit("a"))
    assert len(waits) == 2 and 0 < waits[0] <= 0.5 and waits[1] == 7


def test_a_server_that_stays_broken_is_given_up(
    encoder: EndpointEncoder, server: EmbeddingServer, waits: list[float]
) -> None:
    server.replies = [answer_with(503, KEY.encode(), Retry_After="99999")] * 10  # type: ignore[list-item]
    with pytest.raises(Unavailable, match="answered 503, 6 times"):
        encoder.encode(["a"])
    assert len(server.bodies) == ATTEMPTS and max(waits) <= 60


def test_a_server_that_is_not_there_is_named_in_one_line(waits: list[float]) -> None:
    encoder = EndpointEncoder(Connection("m", "http://127.0.0.1:9/v1", KEY), sleep=waits.append)
    with pytest.raises(Unavailable, match="could not be reached") as caught:
        encoder.encode(["a"])
    assert KEY not in str(caught.value) and KEY not in repr(encoder.connection)


def test_a_refusal_names_the_status_and_nothing_that_the_server_wrote(
    encoder: EndpointEncoder, server: EmbeddingServer, waits: list[float]
) -> None:
    server.replies = [answer_with(401, f"bad key {KEY}\n\x1b[31m".encode() + b"x" * 9000)]  # type: ignore[list-item]
    with pytest.raises(ShoalError, match=r"refused with 401\. Check the key") as caught:
        encoder.encode(["a"])
    assert not waits and KEY not in str(caught.value)
    assert not any(part in str(caught.value) for part in ("bad key", "xxx", "\x1b", "\n"))


@pytest.mark.parametrize(
    "reply",
    [
        answer_with(200, b"not json"),
        answer_with(200, b"[]"),
        answer_with(200, b'{"data": []}'),
        answer_with(200, b'{"data": [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}]}'),
        answer_with(200, b'{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}'),
        answer_with(200, b'{"data": [{"index": 0, "embedding": [NaN]}, {"index": 1, "embedding": [1]}]}'),
        answer_with(200, b'{"data": [{"index": 0, "embedding": [1e999]}, {"index": 1, "embedding": [1]}]}'),
        change(embedding="AAAA"),
        change(embedding=[1, 2]),
        change(embedding=[1, 2, None]),
        change(embedding=[True, 2, 3]),
        change(index="0"),
        answer_with(302, b"", Location="http://127.0.0.1:9/"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_refused(
    encoder: EndpointEncoder, server: EmbeddingServer, reply: object
) -> None:
    server.replies = [reply]  # type: ignore[list-item]
    with pytest.raises(ShoalError, match=r"^The encoder"):
        encoder.encode(["a", "b"])
    assert len(server.bodies) == 1


def test_vectors_of_another_length_than_before_are_refused(encoder: EndpointEncoder, server: EmbeddingServer) -> None:
    encoder.encode(["a"])
    server.replies = [answer_with(200, b'{"data": [{"index": 0, "embedding": [1, 2]}]}')]  # type: ignore[list-item]
    with pytest.raises(ShoalError, match="earlier ones 3"):
        encoder.encode(["a"])


def test_an_endless_answer_is_cut_off(
    encoder: EndpointEncoder, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shoal.encoders.endpoint.LARGEST_ANSWER", 1 << 20)
    server.replies = [answer_with(200, b" " * (3 << 20))]  # type: ignore[list-item]
    with pytest.raises(ShoalError, match="more than"):
        encoder.encode(["a"])


def test_the_key_of_openai_goes_to_openai_alone() -> None:
    environ = {"OPENAI_API_KEY": KEY, "SHOAL_EMBEDDINGS_KEY": "other"}
    assert open_model("text-embedding-3-small", environ).connection.key == KEY
    own = open_model("bge@http://localhost:11434/v1/", environ)
    assert (own.connection.key, own.connection.url) == ("other", "http://localhost:11434/v1")
    assert own.name == "openai:bge@http://localhost:11434/v1"


@pytest.mark.parametrize(
    "address", ["m", "@http://host/v1", "m@http://user:hunter2@host/v1", "m@http:///v1", "m@https://host/v1?key=1"]
)
def test_an_address_or_key_that_is_missing_or_wrong_is_named(address: str) -> None:
    with pytest.raises(InvalidField, match="encoder") as caught:
        open_model(address, {})
    assert "hunter2" not in str(caught.value)
