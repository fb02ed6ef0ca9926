"""What was asked of the server and what it answered, line by line in a file that the server does not know.

An operation is written down before it is sent (`intent`), and afterwards what is known of it: `ack` once a whole 2xx
answer was read, `refused` for an answer that says nothing was done, `unknown` for anything else. An acknowledged
operation must be found; an unknown one may be found, whole.
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
"""`open` is an operation under way, or one whose sender died with the server: as good as unknown."""


@dataclass(slots=True)
class Entry:
    """One operation."""

    op: int
    kind: str
    detail: Json
    fate: Fate = "open"
    reply: Json = field(default_factory=dict)

    @property
    def may_be_there(self) -> bool:
        return self.fate != "refused"


class Ledger:
    """Append-only. Safe to use from several threads; each line is one write, so a killed writer leaves whole lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[int, Entry] = {}
        self._guard = threading.Lock()
        for line in path.read_bytes().splitlines() if path.exists() else ():
            self._take(orjson.loads(line))
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def intend(self, kind: str, **detail: Any) -> int:
        """Write down what will be sent. Returns the operation's number."""
        with self._guard:
            op = len(self.entries) + 1
            self._append({"op": op, "kind": kind, "detail": detail})
        return op

    def settle(self, op: int, fate: Fate, **reply: Any) -> None:
        """Write down how it ended."""
        with self._guard:
            self._append({"op": op, "fate": fate, "reply": reply})

    def of_kind(self, *kinds: str) -> Iterator[Entry]:
        """The operations of these kinds, in the order in which they were intended."""
        return (entry for entry in list(self.entries.values()) if entry.kind in kinds)

    def counts(self) -> dict[str, int]:
        """How many operations ended how."""
        fates = [entry.fate for entry in self.entries.values()]
        return {fate: fates.count(fate) for fate in ("ack", "refused", "unknown", "open")}

    def close(self) -> None:
        os.close(self._file)

    def _append(self, line: Json) -> None:
        os.write(self._file, orjson.dumps(line) + b"\n")
        self._take(line)

    def _take(self, line: Json) -> None:
        if "kind" in line:
            self.entries[line["op"]] = Entry(line["op"], line["kind"], line["detail"])
        else:
            entry = self.entries[line["op"]]
            entry.fate, entry.reply = line["fate"], line["reply"]
