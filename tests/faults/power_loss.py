"""D5: possible disk states after a power loss, rebuilt from a record of every call, and whether Shoal opens them.

The model is that of POSIX on a journaling file system:

- data written to a file before a sync of that file is durable; of later writes and truncations any part may be:
  whole writes are dropped, or torn at 512 bytes;
- creations, renames and removals in a folder are durable once the folder was synced; of later ones, any prefix is
  (a journal keeps their order);
- a file may have its new name but none of its data.

Killing a process shows none of this, because the system keeps what was written. `rebuild` restores a folder from a
record: cut at any call, with the choices above. Every operation acknowledged before the cut must be stored.
"""

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from faults.invariants import Violated
from faults.ledger import Ledger
from faults.template import Case, Template

__all__ = ["Call", "Loss", "draw_losses", "lose_power", "read_record", "rebuild", "record_calls", "sweep"]

_SECTOR: Final = 512
Kind = Literal["write", "sync", "rename", "truncate", "create", "unlink", "mkdir", "rmdir", "mark"]
_KINDS: Final[dict[str, Kind]] = {
    "w": "write", "s": "sync", "r": "rename", "t": "truncate", "o": "create", "u": "unlink", "m": "mkdir", "d": "rmdir",
    "k": "mark",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """One call that took effect. `offset` is the new length of a truncation, `data` the new path of a rename."""

    kind: Kind
    path: str
    data: bytes
    offset: int
    file: "_File | None" = None
    """For a replayed creation: the file, which keeps its identity when it is renamed."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A power loss after the first `cut` calls. `seed` None keeps everything not synced, -1 nothing, any other value a
    random part."""

    cut: int
    seed: int | None

    def __str__(self) -> str:
        survivors = {None: "all", -1: "none"}.get(self.seed, f"a draw (seed {self.seed})")
        return f"power lost after call {self.cut}, {survivors} of what was not synced"


def read_record(log: Path) -> list[Call]:
    """Return the calls of a record, in order."""
    raw, at, calls = log.read_bytes(), 0, []
    while at < len(raw):
        end = raw.index(b"\n", at)
        letter, path, data, offset = raw[at:end].split()
        start, middle = end + 1, end + 1 + int(path)
        at = middle + int(data) + 1
        calls.append(Call(_KINDS[letter.decode()], raw[start:middle].decode(), raw[middle : at - 1], int(offset)))
    return calls


def record_calls(case: Case) -> list[Call]:
    """Follow the script in a preloaded victim and return every call it made below its data folder."""
    log = case.root / "record"
    code, _ = case.act(record=str(log))
    if code != 0:
        raise RuntimeError(f"The script ended with {code} while it was recorded; see {case.template.log}")
    return read_record(log)


def draw_losses(calls: Sequence[Call], count: int, seed: int) -> list[Loss]:
    """Choose losses: one after every acknowledgement that keeps only synced data, and `count` at random."""
    rng = random.Random(seed)
    after_marks = [Loss(number + 1, -1) for number, call in enumerate(calls) if call.kind == "mark"]
    drawn = [Loss(rng.randrange(1, len(calls) + 1), rng.choice((None, -1, *range(8)))) for _ in range(count)]
    return after_marks + drawn


def lose_power(template: Template, before: Path, calls: Sequence[Call], ledger: Path, loss: Loss) -> None:
    """Rebuild the folder `before` in a state possible after the loss, open it and check. Raises Violated."""
    with template.case() as case:
        shutil.rmtree(case.data)
        shutil.copytree(before, case.data)
        rebuild(case.data, calls, loss)
        _shorten(ledger, case.ledger, calls[: loss.cut])
        case.recover(keep_working=loss.cut % 4 == 0)


def rebuild(root: Path, calls: Sequence[Call], loss: Loss) -> None:
    """Turn the folder from its state before the first call into what the disk holds after the loss."""
    _Disk(root, calls[: loss.cut], loss.seed).write()


def _shorten(ledger: Path, into: Path, calls: Sequence[Call]) -> None:
    """Write the ledger as of the cut: later acknowledgements were never sent, and open operations have no outcome."""
    answered = {int(call.path.partition(" ")[2]) for call in calls if call.kind == "mark"}
    whole = Ledger(ledger)
    into.unlink()
    cut = Ledger(into)
    first_recorded = min((int(c.path.partition(" ")[2]) for c in calls if c.kind == "mark"), default=None)
    for entry in whole.entries.values():
        op = cut.intend(entry.kind, **entry.detail)
        before = first_recorded is not None and op < first_recorded
        if op in answered or before or (first_recorded is None and entry.op <= _count_setup(whole)):
            cut.settle(op, entry.fate, **entry.reply)
    for book in (whole, cut):
        book.close()


def _count_setup(ledger: Ledger) -> int:
    """Count the operations of the set-up: all up to the second cluster."""
    return max(entry.op for entry in ledger.of_kind("create"))


# ── disk model ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _File:
    """A file's synced content and the calls since its last sync."""

    content: bytearray = field(default_factory=bytearray)
    pending: list[Call] = field(default_factory=list)


@dataclass(slots=True)
class _Disk:
    """The folder after the calls: what was synced, and the part of the rest that the seed selects."""

    root: Path
    calls: Sequence[Call]
    seed: int | None
    now: dict[str, _File | None] = field(default_factory=dict)
    """Files as a running process sees them: path → file, None for a folder."""
    durable: dict[str, _File | None] = field(default_factory=dict)
    """Names that are on disk."""
    unsynced: dict[str, list[Call]] = field(default_factory=dict)
    """Changes of names in each folder since its last sync."""

    def write(self) -> None:
        """Write what the disk holds to the root."""
        rng = random.Random(self.seed)
        origin = self._load()
        for call in self.calls:
            self._replay(call, origin)
        for folder in list(self.unsynced):
            changes = self.unsynced[folder]
            for change in changes[: self._draw_count(rng, len(changes))]:
                self._change(self.durable, change)
        shutil.rmtree(self.root)
        self.root.mkdir(mode=0o700)
        for path in sorted(self.durable):
            self._put(rng, Path(path), self.durable[path])

    def _load(self) -> str:
        """Read the folder as before the first call. Returns the path at which it was recorded."""
        # The record holds the paths of the recorded folder, which is called `data` as well.
        above = (place for call in self.calls for place in (Path(call.path), *Path(call.path).parents))
        origin = next((str(place) for place in above if place.name == "data"), str(self.root))
        for path in sorted(self.root.rglob("*")):
            file = None if path.is_dir() else _File(bytearray(path.read_bytes()))
            self.now[str(path)] = self.durable[str(path)] = file
        return origin

    def _replay(self, call: Call, origin: str) -> None:
        if call.kind == "mark":
            return
        moved = Call(call.kind, self._relocate(call.path, origin), call.data, call.offset)
        if call.kind == "rename":
            moved = Call(call.kind, moved.path, self._relocate(call.data.decode(), origin).encode(), 0)
        if call.kind == "sync":
            self._sync(moved.path)
        elif call.kind in ("write", "truncate"):
            file = self.now.get(moved.path)
            if file is not None:  # otherwise it was unlinked
                file.pending.append(moved)
        else:
            if call.kind == "create":
                moved = replace(moved, file=_File())
            self._change(self.now, moved)
            self.unsynced.setdefault(str(Path(moved.path).parent), []).append(moved)

    def _relocate(self, path: str, origin: str) -> str:
        return str(self.root) + path.removeprefix(origin)

    def _sync(self, path: str) -> None:
        file = self.now.get(path)
        if file is not None:
            for call in file.pending:
                _apply(file.content, call)
            file.pending.clear()
            return
        for change in self.unsynced.pop(path, ()):
            self._change(self.durable, change)

    def _change(self, names: dict[str, _File | None], call: Call) -> None:
        """Apply a change of names to the running process's view or to the disk."""
        if call.kind == "mkdir":
            names.setdefault(call.path, None)
        elif call.kind == "create":
            names[call.path] = call.file
        elif call.kind == "rename":
            self._rename(names, call.path, call.data.decode())
        else:
            names.pop(call.path, None)

    def _rename(self, names: dict[str, _File | None], old: str, new: str) -> None:
        if old not in names:
            return
        below = [path for path in names if path == old or path.startswith(old + "/")]
        for path in below:
            names[new + path.removeprefix(old)] = names.pop(path)
        if names is self.now:
            for path in [p for p in self.unsynced if p == old or p.startswith(old + "/")]:
                moved = [self._relocate_call(call, old, new) for call in self.unsynced.pop(path)]
                self.unsynced.setdefault(new + path.removeprefix(old), []).extend(moved)

    def _relocate_call(self, call: Call, old: str, new: str) -> Call:
        data = call.data
        if call.kind == "rename":
            data = (new + data.decode().removeprefix(old)).encode()
        return replace(call, path=new + call.path.removeprefix(old), data=data)

    def _draw_count(self, rng: random.Random, count: int) -> int:
        return count if self.seed is None else 0 if self.seed == -1 else rng.randint(0, count)

    def _put(self, rng: random.Random, path: Path, file: _File | None) -> None:
        if not path.parent.is_dir():  # the name of a parent folder did not reach the disk
            return
        if file is None:
            path.mkdir(mode=0o700, exist_ok=True)
            return
        content = bytearray(file.content)
        for call in file.pending:
            if self.seed is None:
                _apply(content, call)
            elif self.seed != -1:
                _apply_some(content, call, rng)
        path.write_bytes(content)
        path.chmod(0o600)


def _apply(content: bytearray, call: Call) -> None:
    if call.kind == "truncate":
        del content[call.offset :]
        content.extend(bytes(call.offset - len(content)))
        return
    content.extend(bytes(max(0, call.offset - len(content))))
    content[call.offset : call.offset + len(call.data)] = call.data


def _apply_some(content: bytearray, call: Call, rng: random.Random) -> None:
    """Apply the whole call, none of it, or some of its sectors."""
    fate = rng.random()
    if fate < 0.4:
        return
    if fate < 0.7 or call.kind == "truncate":
        _apply(content, call)
        return
    at = 0
    while at < len(call.data):
        piece = call.data[at : at + _SECTOR - (call.offset + at) % _SECTOR]
        if rng.random() < 0.5:
            _apply(content, Call("write", call.path, piece, call.offset + at))
        at += len(piece)


def sweep(template: Template, count: int, seed: int, *, most: int | None = None) -> tuple[int, list[str]]:
    """Record the script once and lose power at each cut (the first `most`). Returns the number of states opened and the
    violations."""
    violations = []
    with template.case() as case:
        before = case.root / "before"
        shutil.copytree(case.data, before)
        calls = record_calls(case)
        losses = draw_losses(calls, count, seed)[:most]
        for loss in losses:
            try:
                lose_power(template, before, calls, case.ledger, loss)
            except (Violated, TimeoutError) as problem:
                violations.append(f"{loss}: {problem}")
    return len(losses), violations


def walk(calls: Sequence[Call]) -> Iterator[str]:
    """Format the record for debugging."""
    for number, call in enumerate(calls, 1):
        yield f"{number:5d} {call.kind:8s} {call.path} {call.offset or ''} {len(call.data) or ''}"
