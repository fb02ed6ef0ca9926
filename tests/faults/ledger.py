"""Requests to the server and their answers, line by line in a file that the server does not use.

An operation is recorded before it is sent (`intent`), and afterwards its fate: `ack` once a complete 2xx answer was
read, `refused` for an answer that says nothing was done, `unknown` for anything else. An acknowledged operation must be
stored; an unknown one may be, and then completely.
"""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

__all__ = ["Entry", "Fate", "Ledger"]

Json = dict[str, Any]
Fate = Literal["ack", "refused", "unknown", "open"]
"""`open` is an operation in progress, or one whose sender died with the server; treated as unknown."""


@dataclass(slots=True)
class Entry:
    """One operation."""

    op: int
    kind: str
    detail: Json
    fate: Fate = "open"
    reply: Json = field(default_factory=dict)

    @property
    def may_be_stored(self) -> bool:
        return self.fate != "refused"


class Ledger:
    """Append-only record of operations. Thread-safe; each line is one write, so a killed writer leaves whole lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[int, Entry] = {}
        self._guard = threading.Lock()
        for line in path.read_bytes().splitlines() if path.exists() else ():
            self._read(orjson.loads(line))
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def intend(self, kind: str, **detail: Any) -> int:
        """Record what will be sent and return the operation's number."""
        with self._guard:
            op = len(self.entries) + 1
            self._append({"op": op, "kind": kind, "detail": detail})
        return op

    def settle(self, op: int, fate: Fate, **reply: Any) -> None:
        """Record the outcome."""
        with self._guard:
            self._append({"op": op, "fate": fate, "reply": reply})

    def of_kind(self, *kinds: str) -> Iterator[Entry]:
        """Iterate over the operations of these kinds in sending order."""
        return (entry for entry in list(self.entries.values()) if entry.kind in kinds)

    def counts(self) -> dict[str, int]:
        """Count the operations by fate."""
        fates = [entry.fate for entry in self.entries.values()]
        return {fate: fates.count(fate) for fate in ("ack", "refused", "unknown", "open")}

    def close(self) -> None:
        os.close(self._file)

    def _append(self, line: Json) -> None:
        os.write(self._file, orjson.dumps(line) + b"\n")
        self._read(line)

    def _read(self, line: Json) -> None:
        if "kind" in line:
            self.entries[line["op"]] = Entry(line["op"], line["kind"], line["detail"])
        else:
            entry = self.entries[line["op"]]
            entry.fate, entry.reply = line["fate"], line["reply"]
