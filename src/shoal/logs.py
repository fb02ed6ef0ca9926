"""Log lines: one event a line, with the request and the run it belongs to, and never with a secret.

What a line is made of is decided by the format, what it must not hold by `redacted`, through which every part of it
goes last: nothing that a caller or a library puts into a message, an argument or an exception gets around it. Line
breaks and control characters are escaped, so nobody can write a line that looks like ours.
"""

import logging
import os
import re
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO

import orjson

from shoal.errors import InvalidField

__all__ = ["FORMATS", "LEVELS", "configure", "redacted", "request_id", "run_id"]

FORMATS: Final = ("text", "json")
LEVELS: Final = ("debug", "info", "warning", "error")

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that this thread or task works for."""
run_id: ContextVar[str | None] = ContextVar("run_id", default=None)
"""The run that this process or thread works for."""

_HIDDEN: Final = "[hidden]"
_SEPARATOR: Final = r"""\\*["']?\s*(?:[:=]\s*b?\\*["']?|,\s*b?\\*["'])"""
_SECRETS: Final = (
    # A key of ours or of anybody with the same habit, whole or cut.
    (re.compile(r"\b(sk|pk|rk|ghp|xox[a-z])[_-][A-Za-z0-9_-]{6,}"), _HIDDEN),
    (re.compile(r"(?i)\b(bearer)[ +:]+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {_HIDDEN}"),
    # Headers whose whole value is a secret, whatever its scheme.
    (re.compile(rf"(?i)([\w-]*(?:authorization|cookie){_SEPARATOR})[^\r\n\"',)}}]+"), rf"\1{_HIDDEN}"),
    # name: value, name=value, "name": "value", (b"name", b"value"): headers, queries, bodies and their reprs.
    (
        re.compile(rf"(?i)([\w-]*(?:api[_-]?key|token|secret|password|passwd){_SEPARATOR})(?:[^\s\"',;&)}}\]\\]+)"),
        rf"\1{_HIDDEN}",
    ),
    (re.compile(r"(?i)(://)[^/\s:@]+:[^/\s@]+@"), rf"\1{_HIDDEN}@"),
)
_SECRET_VARIABLE: Final = re.compile(r"(?i)(key|token|secret|password|passwd|credential)s?$")
_SHORTEST_SECRET: Final = 8
_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(128, 160))} | {
    ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t", 0x2028: "\\u2028", 0x2029: "\\u2029",
}  # fmt: skip
_CONTROL_IN_JSON: Final = {code: f"\\u{code:04x}" for code in (*range(127, 160), 0x2028, 0x2029)}
"""Those that JSON itself leaves as they are."""
_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


def configure(level: str, format: str, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> None:
    """Send every log line of this process to `stream` (standard error). Raises InvalidField for an unknown word.

    Values of environment variables that are named like secrets never appear in a line.
    """
    if level.lower() not in LEVELS:
        raise InvalidField("log_level", "is unknown", value=level, remedy=f"Use one of {', '.join(LEVELS)}.")
    if format not in FORMATS:
        raise InvalidField("log_format", "is unknown", value=format, remedy=f"Use one of {', '.join(FORMATS)}.")
    known = [v for k, v in environ.items() if _SECRET_VARIABLE.search(k) and len(v) >= _SHORTEST_SECRET]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json(known) if format == "json" else _Text(known))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # Their debug lines hold whole headers, and nobody who asks for ours wants them.
    for noisy in ("httpx", "httpcore", "asyncio", "multipart"):
        logging.getLogger(noisy).setLevel(max(logging.INFO, root.level))
    logging.captureWarnings(True)
    # What nobody caught is printed by the interpreter itself otherwise, past everything above.
    sys.excepthook = _uncaught
    threading.excepthook = lambda told: _uncaught(told.exc_type, told.exc_value, told.exc_traceback)


def redacted(text: str, known: list[str] | None = None) -> str:
    """A text without secrets: keys and tokens by their form, values by the name before them, `known` ones anywhere."""
    for secret in known or ():
        text = text.replace(secret, _HIDDEN)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None, /) -> None:
    if error is not None and not issubclass(kind, (KeyboardInterrupt, SystemExit)):
        logging.getLogger("shoal").critical("Nobody caught this.", exc_info=(kind, error, trace))


class _Line(logging.Formatter, ABC):
    def __init__(self, known: list[str]) -> None:
        super().__init__()
        self._known = known

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: value for name, value in vars(record).items() if name not in _USUAL}
        # Jobs of the queue carry the id of their run.
        ids = {"request_id": request_id.get(), "run_id": run_id.get() or fields.pop("job_id", None)}
        about = {name: value for name, value in (ids | fields).items() if value is not None}
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        return self.line(record, about, trace)

    @abstractmethod
    def line(self, record: logging.LogRecord, about: Mapping[str, Any], trace: str) -> str:
        """The whole line of a record."""

    def _clean(self, value: object) -> str:
        return redacted(str(value), self._known)


class _Json(_Line):
    """One JSON object a line."""

    def line(self, record: logging.LogRecord, about: Mapping[str, Any], trace: str) -> str:
        told = {"time": _moment(record), "level": record.levelname.lower(), "logger": record.name}
        told |= {"message": self._clean(record.getMessage())}
        plain = {name: v if isinstance(v, (int, float, bool)) else self._clean(v) for name, v in about.items()}
        whole = {**plain, **told} | ({"trace": self._clean(trace)} if trace else {})
        return orjson.dumps(whole, option=orjson.OPT_NON_STR_KEYS).decode().translate(_CONTROL_IN_JSON)


class _Text(_Line):
    """`time level logger message name=value …`; a trace follows, indented."""

    def line(self, record: logging.LogRecord, about: Mapping[str, Any], trace: str) -> str:
        message = self._clean(record.getMessage()).translate(_CONTROL)
        fields = "".join(f" {name}={self._clean(value).translate(_CONTROL)}" for name, value in about.items())
        shown = "".join(f"\n    {part.translate(_CONTROL)}" for part in self._clean(trace).split("\n")) if trace else ""
        return f"{_moment(record)} {record.levelname:<7} {record.name} {message}{fields}{shown}"


def _moment(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
