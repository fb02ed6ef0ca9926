"""Log lines: one event a line, with the request and the run it belongs to, and never with a secret.

The formatter decides the layout of a line; every part of it then passes through `redact`, so that no secret in a
message, an argument or an exception gets out. Line breaks and control characters are escaped, so that no input can
forge a log line.
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

__all__ = ["FORMATS", "LEVELS", "configure", "redact", "request_id", "run_id"]

FORMATS: Final = ("text", "json")
LEVELS: Final = ("debug", "info", "warning", "error")

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that this thread or task works for."""
run_id: ContextVar[str | None] = ContextVar("run_id", default=None)
"""The run that this process or thread works for."""

_HIDDEN: Final = "[hidden]"
_SEPARATOR: Final = r"""\\*["']?\s*(?:[:=]\s*b?\\*["']?|,\s*b?\\*["'])"""
_SECRETS: Final = (
    # A key of Shoal, or of a service with the same convention, whole or cut.
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
    """Send every log line of this process to `stream`, by default standard error.

    Values of environment variables whose names look like secrets never appear in a line. Raises InvalidField for an
    unknown level or format.
    """
    if level.lower() not in LEVELS:
        raise InvalidField("log_level", "is unknown", value=level, remedy=f"Use one of {', '.join(LEVELS)}.")
    if format not in FORMATS:
        raise InvalidField("log_format", "is unknown", value=format, remedy=f"Use one of {', '.join(FORMATS)}.")
    secrets = [v for k, v in environ.items() if _SECRET_VARIABLE.search(k) and len(v) >= _SHORTEST_SECRET]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json(secrets) if format == "json" else _Text(secrets))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # Their debug lines contain whole headers; `debug` is meant for Shoal's own lines.
    for noisy in ("httpx", "httpcore", "asyncio", "multipart"):
        logging.getLogger(noisy).setLevel(max(logging.INFO, root.level))
    logging.captureWarnings(True)
    # The interpreter would print uncaught exceptions itself, bypassing everything above.
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def redact(text: str, secrets: list[str] | None = None) -> str:
    """Hide secrets in a text: keys and tokens by their form, values by the name before them, `secrets` anywhere."""
    for secret in secrets or ():
        text = text.replace(secret, _HIDDEN)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None, /) -> None:
    if error is not None and not issubclass(kind, (KeyboardInterrupt, SystemExit)):
        logging.getLogger("shoal").critical("Uncaught exception.", exc_info=(kind, error, trace))


class _Line(logging.Formatter, ABC):
    def __init__(self, secrets: list[str]) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: value for name, value in vars(record).items() if name not in _USUAL}
        # Jobs of the queue carry the id of their run.
        ids = {"request_id": request_id.get(), "run_id": run_id.get() or fields.pop("job_id", None)}
        about = {name: value for name, value in (ids | fields).items() if value is not None}
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        return self.format_line(record, about, trace)

    @abstractmethod
    def format_line(self, record: logging.LogRecord, about: Mapping[str, Any], trace: str) -> str:
        """Format the whole line of a record."""

    def _clean(self, value: object) -> str:
        return redact(str(value), self._secrets)


class _Json(_Line):
    """One JSON object a line."""

    def format_line(self, record: logging.LogRecord, about: Mapping[str, Any], trace: str) -> str:
        header = {"time": _format_time(record), "level": record.levelname.lower(), "logger": record.name}
        header |= {"message": self._clean(record.getMessage())}
        plain = {name: v if isinstance(v, (int, float, bool)) else self._clean(v) for name, v in about.items()}
        whole = {**plain, **header} | ({"trace": self._clean(trace)} if trace else {})
        return orjson.dumps(whole, option=orjson.OPT_NON_STR_KEYS).decode().translate(_CONTROL_IN_JSON)


class _Text(_Line):
    """`time level logger message name=value …`; a trace follows, indented."""

    def format_line(self, record: logging.LogRecord, about: Mapping[str, Any], trace: str) -> str:
        message = self._clean(record.getMessage()).translate(_CONTROL)
        fields = "".join(f" {name}={self._clean(value).translate(_CONTROL)}" for name, value in about.items())
        shown = "".join(f"\n    {part.translate(_CONTROL)}" for part in self._clean(trace).split("\n")) if trace else ""
        return f"{_format_time(record)} {record.levelname:<7} {record.name} {message}{fields}{shown}"


def _format_time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
