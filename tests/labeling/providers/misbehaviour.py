"""Kinds of misbehaviour of a provider, and what comes of them; `make bench-names-by-model` runs each many times."""

import argparse
import gzip
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from labeling.providers.fake_provider import FakeProvider, Reply, answer_well
from labeling.providers.fake_wires import Asked
from labeling.providers.groups import KEY, brief_of, connect, labels_of
from shoal.labeling import Budget, Name
from shoal.labeling.providers import ModelNamer

__all__ = ["KINDS", "MODELS", "check_names", "check_run"]

MODELS: Final = ("gpt-4o-mini", "claude-haiku-4-5", "claude-3-5-haiku-20241022", "gemini-2.5-flash")
Kind = tuple[Callable[[Asked], Reply], str]
"""What the fake does, and what each error holds; an empty text if a second try helps and no error is left."""


def _text(text: str) -> Callable[[Asked], Reply]:
    return lambda asked: Reply(text)


def _with(**changes: object) -> Callable[[Asked], Reply]:
    return lambda asked: answer_well(asked, **changes)


def _status(status: int, body: bytes = b"{}", **headers: str) -> Callable[[Asked], Reply]:
    return lambda asked: Reply(status=status, body=body, headers=headers)


def _first(reply: Reply) -> Callable[[Asked], Reply]:
    """Misbehave at the first request about some documents only."""
    known = set[str]()

    def behave(asked: Asked) -> Reply:
        documents = str(asked.documents)
        if documents in known:
            return answer_well(asked)
        known.add(documents)
        return reply

    return behave


def _like_a_key(status: int) -> Reply:
    error = {"error": {"message": f"Incorrect API key provided: {KEY}", "type": "invalid_request_error", "code": KEY}}
    return Reply(status=status, body=json.dumps(error).encode(), headers={"x-request": KEY})


_BOMB: Final = gzip.compress(b"0" * 50_000_000, 1)


def _bomb(asked: Asked) -> Reply:
    return Reply(body=_BOMB, headers={"content-encoding": "gzip"})


def kinds() -> Mapping[str, Kind]:
    """Return the kinds anew, since some count their requests."""
    nested = '{"label": ' + "[" * 5000 + "]" * 5000 + "}"
    return {
        "no answer in time": (lambda asked: replace(answer_well(asked), delay=0.6), "in time"),
        "429": (_status(429), "rate limit"),
        "429 once": (_first(Reply(status=429, body=b"{}", headers={"retry-after": "0"})), ""),
        "429 with a long wait": (_status(429, b"{}", **{"retry-after": "86400"}), "rate limit"),
        "quota": (_status(429, b'{"error": {"code": "insufficient_quota", "message": "no"}}'), "HTTP 429"),
        "500": (_status(500), "HTTP 500"),
        "503 once": (_first(Reply(status=503, body=b"down")), ""),
        "529 in HTML": (_status(529, b"<html>overloaded</html>"), "HTTP 529"),
        "400": (_status(400, b'{"error": {"message": "context length"}}'), "HTTP 400"),
        "401 with the key": (lambda asked: _like_a_key(401), "HTTP 401"),
        "404": (_status(404), "HTTP 404"),
        "redirect": (_status(307, b"", location="http://127.0.0.1:1/steal"), "HTTP 307"),
        "no answer": (lambda asked: Reply(no_answer=True), "provider"),
        "broken off": (lambda asked: replace(answer_well(asked), break_off=True), "broke off"),
        "another format": (lambda asked: Reply(body=b'{"hello": "world"}'), "not"),
        "HTML": (lambda asked: Reply(body=b"<html>Sign in</html>", content_type="text/html"), ""),
        "too much": (lambda asked: Reply(body=b"x" * 2_000_000), "too long"),
        "bomb": (_bomb, "too long"),
        "refusal": (lambda asked: Reply("", finish="content_filter", refusal="I cannot help"), "refused"),
        "cut off": (lambda asked: Reply('{"label": "Lost lugg', finish="length"), "cut off"),
        "empty": (_text(""), "was"),
        "no JSON": (_text("The label is: lost luggage"), "was not"),
        "nested": (_text(nested), "answer"),
        "no object": (_text('"lost luggage"'), "was not"),
        "two names": (_text('[{"label": "Lost"}, {"label": "Luggage"}]'), "was"),
        "no label": (_text('{"evidence": ["d1"]}'), "no label"),
        "label of a wrong type": (_with(label=42), "not a text"),
        "label too long": (_with(label="lost luggage " * 30), "longer"),
        "vague label": (_with(label="Cluster 3"), "says nothing"),
        "empty label": (_with(label="<b></b> ** "), "no word"),
        "too many keywords": (_with(keywords=["luggage"] * 100), "keywords"),
        "another script": (_with(label="Потерянный багаж"), "Cyrillic"),
        "not grounded": (_with(label="Quantum bananas", keywords=["quantum"]), "shares no word"),
        "no evidence": (_with(evidence=[]), "no document"),
        "invented evidence": (_with(evidence=["d999", "x1"]), "not in the group"),
        "the same label": (_with(label="Lost declined flight forecast hotel jazz"), "another"),
        "better at the second try": (_first(Reply("nonsense")), ""),
    }


KINDS: Final = tuple(kinds())


def check_names(names: list[list[Name]], clusters: int) -> None:
    """Check what must hold whatever a provider does."""
    labels = labels_of(names)
    assert len(labels) == clusters
    assert all(0 < len(label) <= 80 and label.isprintable() for label in labels), labels
    assert len({label.casefold() for label in labels}) == clusters, labels
    assert all((name.error is None) == (name.source == "model") for layer in names for name in layer)
    assert KEY not in repr(names)


def check_run(kind: str, model: str, *, stream: bool) -> None:
    """Name clusters by a fake that misbehaves."""
    behave, expected = kinds()[kind]
    with FakeProvider(behave) as fake:
        connection = connect(fake, model, stream=stream, timeout=0.3 if "in time" in kind else 10.0)
        namer = ModelNamer(connection)
        names = namer.name(brief_of(), Budget(cost=1.0))
        fake_usage = fake.usage
    check_names(names, 6)
    errors = [name.error for layer in names for name in layer if name.error]
    if expected:
        assert len(errors) >= 5 and all(expected in error for error in errors), (kind, errors)
    else:
        assert kind == "HTML" or not errors, (kind, errors)
    assert KEY not in repr((names, namer.usage, connection))
    if kind not in _UNREPORTED:
        used = namer.usage
        assert (used.input_tokens, used.output_tokens) == fake_usage, (kind, used, fake_usage)
        assert namer.usage.picodollars == fake_usage[0] * 1_500_000 + fake_usage[1] * 6_000_000


_UNREPORTED: Final = frozenset({"no answer in time", "too much"})
"""The fake reports tokens that the client does not wait for."""


def main() -> None:
    """Run every kind so many times on every wire, plain and streamed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    runs, count, started = parser.parse_args().runs, 0, time.monotonic()
    order = random.Random(0)
    cases = [(kind, model, stream) for kind in KINDS for model in MODELS for stream in (False, True)]
    for kind in KINDS:
        for number in range(runs):
            _, model, stream = order.choice([case for case in cases if case[0] == kind])
            check_run(kind, model, stream=stream)
            count += 1
            print(f"\r{kind} {number + 1}/{runs}   ", end="", flush=True)
    print(f"\r{count:,} runs of {len(KINDS)} kinds without a failure, in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
