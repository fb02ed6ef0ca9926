"""Vectors from any server that speaks OpenAI's /v1/embeddings: OpenAI itself, Ollama, vLLM, llama.cpp, …"""

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx
import numpy as np
import orjson

from shoal.columns import Points
from shoal.encoders.base import Progress
from shoal.encoders.batches import text_batches
from shoal.encoders.embedding_answer import Batch, read_answer
from shoal.encoders.windows import average_windows, split_windows
from shoal.errors import InvalidField, ShoalError, Unavailable
from shoal.model_servers import check_server_url, spread_wait

__all__ = ["Connection", "EndpointEncoder", "open_model"]

OPENAI: Final = "https://api.openai.com/v1"
WINDOW: Final = 1_500
"""Characters of a window: under the 512 tokens of small models, in most languages."""
MOST_WINDOWS: Final = 64
MOST_CHARACTERS: Final = 60_000
LARGEST_ANSWER: Final = 64 << 20
ATTEMPTS: Final = 6
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0)
RETRIED: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 529})


@dataclass(frozen=True)
class Connection:
    """A model of a server. The key appears in no representation."""

    model: str
    url: str
    key: str = field(default="", repr=False)


def open_model(address: str, environ: Mapping[str, str] = os.environ) -> "EndpointEncoder":
    """Open `MODEL` of OpenAI or `MODEL@URL` of another server.

    Parameters
    ----------
    address : str
    environ : mapping, optional
        OPENAI_API_KEY goes to OpenAI alone, SHOAL_EMBEDDINGS_KEY to other servers.

    Returns
    -------
    EndpointEncoder

    Raises
    ------
    InvalidField
        If the address is none, or OpenAI's key is missing.
    """
    model, mark, url = address.partition("@http")
    remedy = "Write it such as openai:MODEL@http://localhost:11434/v1, and set SHOAL_EMBEDDINGS_KEY to the key."
    url = check_server_url(f"http{url}", "encoder", remedy) if mark else OPENAI
    variable = "OPENAI_API_KEY" if url == OPENAI else "SHOAL_EMBEDDINGS_KEY"
    key = environ.get(variable, "").strip()
    if url == OPENAI and not key:
        remedy = f"Set {variable} in the environment, or name a server: openai:MODEL@URL."
        raise InvalidField("encoder", "needs a key of OpenAI", remedy=remedy)
    if not model or not key.isascii() or not key.isprintable():
        raise InvalidField("encoder", f"needs a model and, in {variable}, a key of plain characters")
    return EndpointEncoder(Connection(model, url, key))


class EndpointEncoder:
    """A model behind an endpoint: in batches, each tried again where that may help.

    Parameters
    ----------
    connection : Connection
    sleep : callable, optional
        Waits for so many seconds.
    chance : random.Random, optional
        Spreads the waits of several clients.
    """

    def __init__(
        self,
        connection: Connection,
        sleep: Callable[[float], None] = time.sleep,
        chance: random.Random | None = None,
    ) -> None:
        self.connection = connection
        self.sleep = sleep
        self.chance = chance or random.Random()
        self.size = 0

    @property
    def name(self) -> str:
        """The model and, if it isn't OpenAI's, the server."""
        model, url = self.connection.model, self.connection.url
        return f"openai:{model}" if url == OPENAI else f"openai:{model}@{url}"

    @property
    def dimension(self) -> int:
        """Asks the server once."""
        if not self.size:
            with self.client() as client:
                self.ask(client, ["dimension"])
        return self.size

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Points:
        """Encode whole texts: long ones in windows, whose vectors are averaged.

        Parameters
        ----------
        texts : sequence of str, length n
        progress : callable, optional
            Receives the fraction that is done, and may raise to stop.

        Returns
        -------
        (n, d) float32
            Rows of norm 1; 0 for an empty text.

        Raises
        ------
        Unavailable
            If the server did not answer after several attempts.
        ShoalError
            If it refused, or its answer is not what was asked for.
        """
        windows, owners = split_windows(texts, WINDOW)
        blocks = []
        with self.client() as client:
            for rows in text_batches(windows, MOST_WINDOWS, MOST_CHARACTERS):
                blocks.append(self.ask(client, windows[rows]))
                if progress:
                    progress(rows.stop / len(windows))
        vectors = np.concatenate(blocks) if blocks else np.zeros((0, self.dimension), np.float32)
        return average_windows(vectors, [len(window) for window in windows], owners, len(texts))

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.connection.key}"} if self.connection.key else {}
        return httpx.Client(headers=headers, timeout=TIMEOUT, follow_redirects=False)

    def ask(self, client: httpx.Client, windows: Sequence[str]) -> Points:
        """The vectors of one batch, after as many attempts as it takes."""
        answer = self.attempt(client, windows)
        for number in range(ATTEMPTS - 1):
            if isinstance(answer, bytes):
                break
            self.sleep(answer.wait(number, self.chance))
            answer = self.attempt(client, windows)
        if isinstance(answer, Failure):
            raise Unavailable(f"The encoder {self.name} {answer.problem}, {ATTEMPTS} times. Try again later.", 60)
        vectors = read_answer(answer, Batch(len(windows), self.size))
        self.size = vectors.shape[1]
        return vectors

    def attempt(self, client: httpx.Client, windows: Sequence[str]) -> "bytes | Failure":
        """The body of an answer, or a failure that may pass."""
        body = orjson.dumps({"model": self.connection.model, "input": list(windows), "encoding_format": "float"})
        headers = {"Content-Type": "application/json"}
        try:
            with client.stream("POST", f"{self.connection.url}/embeddings", content=body, headers=headers) as response:
                content = self.read_bounded(response)
        except httpx.HTTPError as error:
            return Failure(f"could not be reached ({type(error).__name__})")
        if response.status_code in RETRIED:
            return Failure(f"answered {response.status_code}", response.headers.get("Retry-After", ""))
        if response.status_code != 200:
            raise self.refusal(response.status_code)
        return content

    def read_bounded(self, response: httpx.Response) -> bytes:
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > LARGEST_ANSWER:
                raise ShoalError(f"The encoder {self.name} answered with more than {LARGEST_ANSWER >> 20} MiB.")
        return bytes(content)

    def refusal(self, status: int) -> ShoalError:
        """What is wrong by the status alone: what the server wrote may hold texts and keys."""
        remedy = "Check the key in the environment." if status in (401, 403) else "Check the model and the address."
        return ShoalError(f"The encoder {self.name} refused with {status}. {remedy}", status=status)


@dataclass(frozen=True)
class Failure:
    """What went wrong this time, and how long the server asks to wait."""

    problem: str
    retry_after: str = ""

    def wait(self, attempt: int, chance: random.Random) -> float:
        """Seconds: at least what the server asks for, twice as long each time, spread by chance."""
        pause = spread_wait(FIRST_WAIT, attempt, LONGEST_WAIT, chance)
        least = float(self.retry_after) if self.retry_after.isdecimal() and len(self.retry_after) < 6 else 0.0
        return max(pause, min(least, LONGEST_WAIT))
