"""Answers that are kept by their question, so that nothing is paid for twice."""

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from shoal.durable import atomic_write
from shoal.labeling.base import Media
from shoal.labeling.providers.calls.model import Question, Reply
from shoal.labeling.providers.calls.usage import Tokens

__all__ = ["Answers", "FileAnswers", "answer_key", "read_answer", "write_answer"]

_VERSION: Final = 1
_LARGEST: Final = 256 * 1024


class Answers(Protocol):
    """Keeps answers of a model. It is called from other threads than that of the namer, one call at a time."""

    def get(self, key: str) -> str | None:
        """Return the answer that was kept under a key, a hash of all that it depends on; None if it has expired."""
        ...

    def put(self, key: str, answer: str, seconds: int) -> None:
        """Keep an answer for so many seconds. It must be durable when this returns, since it has been paid for."""
        ...


class FileAnswers:
    """Answers in a folder, a file each. Where one is kept, those that have expired are removed.

    Parameters
    ----------
    folder : Path
        Created if need be, readable by its owner alone.
    clock : callable
        Returns the time in seconds since 1970.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._clock = folder, clock
        self._cleaned = set[Path]()

    def get(self, key: str) -> str | None:
        """See `Answers`. A damaged file is no answer."""
        try:
            record = json.loads(self._path(key).read_bytes())
            return str(record["answer"]) if record["expires"] > self._clock() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, answer: str, seconds: int) -> None:
        """See `Answers`."""
        path = self._path(key)
        for folder in (self._folder, path.parent):  # the mode is that of the last one alone
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic_write(path, private=True) as file:
            file.write(json.dumps({"expires": self._clock() + seconds, "answer": answer}).encode())
        if path.parent not in self._cleaned:
            self._cleaned.add(path.parent)
            self._drop_expired(path.parent)

    def _drop_expired(self, folder: Path) -> None:
        """Remove the expired answers of one of the 256 folders, once for each: where little is paid for,
        little is read."""
        for path in folder.glob("*.json"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                if json.loads(path.read_bytes())["expires"] <= self._clock():
                    os.unlink(path)  # noqa: PTH108

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"


def answer_key(model: str, question: Question, scope: str = "") -> str:
    """Hash all that an answer depends on; `scope` keeps apart what shall not be shared."""
    hashed = hashlib.sha256()
    for part in (
        str(_VERSION), model, scope, question.rules, json.dumps(question.schema, sort_keys=True),
        json.dumps(question.settings, sort_keys=True), str(question.output_tokens),
    ):  # fmt: skip
        hashed.update(f"{len(part)}:{part}".encode())
    for each in question.parts:
        data = each.data if isinstance(each, Media) else each.encode()
        kind = each.media_type if isinstance(each, Media) else "text"
        hashed.update(f"{kind}:{len(data)}:".encode() + data)
    return hashed.hexdigest()


def write_answer(reply: Reply, picodollars: int) -> str:
    """Return an answer as it is kept."""
    tokens = reply.tokens or Tokens(0, 0)
    return json.dumps(
        {
            "text": reply.text[:_LARGEST],
            "fault": reply.fault,
            "input_tokens": tokens.input,
            "output_tokens": tokens.output,
            "picodollars": picodollars,
        }
    )


def read_answer(kept: str) -> Reply | None:
    """Read a kept answer; None for anything else."""
    try:
        record = json.loads(kept)
        text, fault = record["text"], record["fault"]
        tokens = Tokens(int(record["input_tokens"]), int(record["output_tokens"]))
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(text, str) or not (fault is None or isinstance(fault, str)):
        return None
    return Reply(text, tokens, fault)
