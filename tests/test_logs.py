"""Log lines carry their fields, no secrets, and nothing that looks like another line."""

import io
import logging

import orjson
import pytest

from shoal import logs
from shoal.errors import InvalidField

CANARY = "cAnArY7f3a9b1c5d"


def log(format: str, *arguments: object, environ: dict[str, str] | None = None, **extra: object) -> str:
    stream = io.StringIO()
    logs.configure("info", format, stream, environ or {})
    try:
        if isinstance(arguments[0], BaseException):
            raise arguments[0]
        logging.getLogger("shoal.test").info(*arguments, extra=extra)
    except ValueError:
        logging.getLogger("shoal.test").exception("failed")
    return stream.getvalue()


@pytest.mark.parametrize("format", logs.FORMATS)
@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"Authorization: Token {CANARY}",
        f"authorization: Basic {CANARY}",
        f"{{'Authorization': 'Bearer {CANARY}'}}",
        f'{{"authorization": "{CANARY}", "x": 1}}',
        f"[(b'authorization', b'Bearer {CANARY}')]",
        f"[(b'x-api-key', b'{CANARY}'), (b'host', b'x')]",
        f"Headers({{'cookie': 'session={CANARY}; other={CANARY}'}})",
        f"sk_{CANARY}",
        f"the key sk_{CANARY}, of a user",
        f"/v1/clusters?api_key={CANARY}&limit=3",
        f"/v1/clusters?access_token={CANARY}",
        f'{{"api_key": "{CANARY}"}}',
        f'{{\\"password\\": \\"{CANARY}\\"}}',
        f"client_secret={CANARY}",
        f"https://user:{CANARY}@example.org/x",
        f"bearer {CANARY}",
    ],
)
def test_a_secret_is_hidden_anywhere(format: str, text: str) -> None:
    for line in (
        log(format, text),
        log(format, "said %s", text),
        log(format, "said", field=text),
        log(format, ValueError(text)),
        log(format, ValueError({"deep": [text]})),
    ):
        assert CANARY not in line, line
        assert "[hidden]" in line


@pytest.mark.parametrize("format", logs.FORMATS)
def test_values_of_variables_named_like_secrets_are_hidden(format: str) -> None:
    environ = {"OPENAI_API_KEY": CANARY, "HOME": "/home/user", "SHORT_KEY": "abc"}

    line = log(format, "it was %s in /home/user abc", CANARY, environ=environ)

    assert CANARY not in line
    assert "/home/user abc" in line


@pytest.mark.parametrize("format", logs.FORMATS)
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\x85", "\u2028", "\x1b[2K", "\x00"])
def test_a_log_line_cannot_be_forged(format: str, line_break: str) -> None:
    forged = f"x{line_break}2026-01-01T00:00:00.000Z ERROR   shoal.api all is lost"

    for line in (log(format, forged), log(format, "said", field=forged)):
        assert len(line.splitlines()) == 1, line
        assert line.isprintable() or line[:-1].isprintable()
    for line in log(format, ValueError(forged)).splitlines()[1:]:
        assert line.startswith("    ")


def test_a_json_line_carries_request_run_and_fields() -> None:
    tokens = logs.request_id.set("req-1"), logs.run_id.set("run_1")
    try:
        record = orjson.loads(log("json", "stage %s", "load", seconds=1.5, stage="load"))
    finally:
        logs.request_id.reset(tokens[0])
        logs.run_id.reset(tokens[1])

    assert record.pop("time").endswith("Z")
    assert record == {
        "level": "info", "logger": "shoal.test", "message": "stage load",
        "request_id": "req-1", "run_id": "run_1", "seconds": 1.5, "stage": "load",
    }  # fmt: skip


def test_a_job_of_the_queue_is_a_run() -> None:
    assert orjson.loads(log("json", "job.started", job_id="run_7"))["run_id"] == "run_7"


def test_a_traceback_stays_with_its_line() -> None:
    record = orjson.loads(log("json", ValueError("wrong")))
    text = log("text", ValueError("wrong"))

    assert "ValueError: wrong" in record["trace"] and record["level"] == "error"
    assert "\n    ValueError: wrong" in text


def test_ordinary_words_stay() -> None:
    text = "worker.restarted task sk_ 12 tokens of basic english in cluster sketch-2"

    assert text in log("text", text)


@pytest.mark.parametrize(("level", "format"), [("loud", "text"), ("info", "xml")])
def test_an_unknown_level_or_format_is_refused_with_the_remedy(level: str, format: str) -> None:
    with pytest.raises(InvalidField, match="Use one of"):
        logs.configure(level, format)
