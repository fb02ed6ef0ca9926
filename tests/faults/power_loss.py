"""D5: what may be on the disk after the power went, from a record of every call, and whether Shoal opens it.

The model is that of POSIX on a journaling file system:

- what was written to a file before a sync of that file is there; of what was written or cut since, any part may be:
  whole writes are dropped, or torn at 512 bytes;
- new names, renames and removals in a folder are there once the folder was synced; of those since, any number of the
  first ones is (a journal keeps their order);
- a file may have its new name and none of its data.

Killing a process shows none of this, because the system keeps what it was told. `states` rebuilds folders from a
record: cut at any call, with the choices above. Every operation that was acknowledged before the cut has to be found.
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

__all__ = ["Call", "Loss", "cuts", "lose_power", "read_record", "rebuild", "recorded", "sweep"]

_SECTOR: Final = 512
Kind = Literal["write", "sync", "rename", "truncate", "create", "unlink", "mkdir", "rmdir", "mark"]
_KINDS: Final[dict[str, Kind]] = {
    "w": "write", "s": "sync", "r": "rename", "t": "truncate", "o": "create", "u": "unlink", "m": "mkdir", "d": "rmdir",
    "k": "mark",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it took effect. `offset` is the new length of a truncation, `data` the new path of a rename."""

    kind: Kind
    path: str
    data: bytes
    offset: int
    file: "_File | None" = None
    """Of a creation that is replayed: the file, which keeps its identity whatever it is called later."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Where the power went: after the first `cut` calls. `seed` None keeps all that is not synced, -1 nothing of it,
    any other draws."""

    cut: int
    seed: int | None

    def __str__(self) -> str:
        kept = {None: "all", -1: "none"}.get(self.seed, f"a draw (seed {self.seed})")
        return f"power lost after call {self.cut}, {kept} of what was not synced"


def read_record(log: Path) -> list[Call]:
    """The calls of a record, in order."""
    raw, at, calls = log.read_bytes(), 0, []
    while at < len(raw):
        end = raw.index(b"\n", at)
        letter, path, data, offset = raw[at:end].split()
        start, middle = end + 1, end + 1 + int(path)
        at = middle + int(data) + 1
        calls.append(Call(_KINDS[letter.decode()], raw[start:middle].decode(), raw[middle : at - 1], int(offset)))
    return calls


def recorded(case: Case) -> list[Call]:
    """Follow the script in a preloaded victim and return every call it made below its data folder."""
    log = case.root / "record"
    code, _ = case.act(record=str(log))
    if code != 0:
        raise RuntimeError(f"The script ended with {code} while it was recorded; see {case.template.log}")
    return read_record(log)


def cuts(calls: Sequence[Call], count: int, seed: int) -> list[Loss]:
    """Where to cut: after every acknowledgement with nothing kept that was not synced, and `count` more at random."""
    rng = random.Random(seed)
    after_marks = [Loss(number + 1, -1) for number, call in enumerate(calls) if call.kind == "mark"]
    drawn = [Loss(rng.randrange(1, len(calls) + 1), rng.choice((None, -1, *range(8)))) for _ in range(count)]
    return after_marks + drawn


def lose_power(template: Template, before: Path, calls: Sequence[Call], ledger: Path, loss: Loss) -> None:
    """Rebuild the folder `before` as it may be after the loss, open it and check. Raises Violated."""
    with template.case() as case:
        shutil.rmtree(case.data)
        shutil.copytree(before, case.data)
        rebuild(case.data, calls, loss)
        _shorten(ledger, case.ledger, calls[: loss.cut])
        case.recover(go_on=loss.cut % 4 == 0)


def rebuild(root: Path, calls: Sequence[Call], loss: Loss) -> None:
    """Make the folder, as it was before the first call, what the disk holds after the loss."""
    _Disk(root, calls[: loss.cut], loss.seed).write()


def _shorten(ledger: Path, into: Path, calls: Sequence[Call]) -> None:
    """The ledger as it was at the cut: later acknowledgements were never sent, and nobody knows of what was open."""
    known = {int(call.path.partition(" ")[2]) for call in calls if call.kind == "mark"}
    whole = Ledger(ledger)
    into.unlink()
    cut = Ledger(into)
    recorded_from = min((int(c.path.partition(" ")[2]) for c in calls if c.kind == "mark"), default=None)
    for entry in whole.entries.values():
        op = cut.intend(entry.kind, **entry.detail)
        before = recorded_from is not None and op < recorded_from
        if op in known or before or (recorded_from is None and entry.op <= _prepared(whole)):
            cut.settle(op, entry.fate, **entry.reply)
    for book in (whole, cut):
        book.close()


def _prepared(ledger: Ledger) -> int:
    """How many operations belong to the set-up: all up to the second cluster."""
    return max(entry.op for entry in ledger.of_kind("create"))


# ── a disk that forgets ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _File:
    """A file's content, and what was done to it since it was last synced."""

    content: bytearray = field(default_factory=bytearray)
    pending: list[Call] = field(default_factory=list)


@dataclass(slots=True)
class _Disk:
    """The folder after the calls, as far as it was synced and as the draw decides about the rest."""

    root: Path
    calls: Sequence[Call]
    seed: int | None
    now: dict[str, _File | None] = field(default_factory=dict)
    """What a running process sees: path → file, None for a folder."""
    kept: dict[str, _File | None] = field(default_factory=dict)
    """The names that are on disk."""
    unsynced: dict[str, list[Call]] = field(default_factory=dict)
    """For each folder the changes of its names since it was synced."""

    def write(self) -> None:
        """Make the root what the disk holds."""
        rng = random.Random(self.seed)
        origin = self._load()
        for call in self.calls:
            self._do(call, origin)
        for folder in list(self.unsynced):
            changes = self.unsynced[folder]
            for change in changes[: self._how_many(rng, len(changes))]:
                self._change(self.kept, change)
        shutil.rmtree(self.root)
        self.root.mkdir(mode=0o700)
        for path in sorted(self.kept):
            self._put(rng, Path(path), self.kept[path])

    def _load(self) -> str:
        """The folder before the first call. Returns where it lay then."""
        # The record holds the paths of the recorded folder, which is called `data` as well.
        above = (place for call in self.calls for place in (Path(call.path), *Path(call.path).parents))
        origin = next((str(place) for place in above if place.name == "data"), str(self.root))
        for path in sorted(self.root.rglob("*")):
            file = None if path.is_dir() else _File(bytearray(path.read_bytes()))
            self.now[str(path)] = self.kept[str(path)] = file
        return origin

    def _do(self, call: Call, origin: str) -> None:
        if call.kind == "mark":
            return
        there = Call(call.kind, self._moved(call.path, origin), call.data, call.offset)
        if call.kind == "rename":
            there = Call(call.kind, there.path, self._moved(call.data.decode(), origin).encode(), 0)
        if call.kind == "sync":
            self._sync(there.path)
        elif call.kind in ("write", "truncate"):
            file = self.now.get(there.path)
            if file is not None:  # else it was unlinked meanwhile: its bytes go nowhere
                file.pending.append(there)
        else:
            if call.kind == "create":
                there = replace(there, file=_File())
            self._change(self.now, there)
            self.unsynced.setdefault(str(Path(there.path).parent), []).append(there)

    def _moved(self, path: str, origin: str) -> str:
        return str(self.root) + path.removeprefix(origin)

    def _sync(self, path: str) -> None:
        file = self.now.get(path)
        if file is not None:
            for call in file.pending:
                _apply(file.content, call)
            file.pending.clear()
            return
        for change in self.unsynced.pop(path, ()):
            self._change(self.kept, change)

    def _change(self, names: dict[str, _File | None], call: Call) -> None:
        """A change of names, as the running process sees it or as it reaches the disk."""
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
                moved = [self._under(call, old, new) for call in self.unsynced.pop(path)]
                self.unsynced.setdefault(new + path.removeprefix(old), []).extend(moved)

    def _under(self, call: Call, old: str, new: str) -> Call:
        data = call.data
        if call.kind == "rename":
            data = (new + data.decode().removeprefix(old)).encode()
        return replace(call, path=new + call.path.removeprefix(old), data=data)

    def _how_many(self, rng: random.Random, count: int) -> int:
        return count if self.seed is None else 0 if self.seed == -1 else rng.randint(0, count)

    def _put(self, rng: random.Random, path: Path, file: _File | None) -> None:
        if not path.parent.is_dir():  # the name of a folder above it did not reach the disk
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
    """The whole call, none of it, or some of its sectors."""
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
    """Record the script once, lose power at the cuts (the first `most`). Returns how many states were opened, and what
    was violated."""
    violations = []
    with template.case() as case:
        before = case.root / "before"
        shutil.copytree(case.data, before)
        calls = recorded(case)
        losses = cuts(calls, count, seed)[:most]
        for loss in losses:
            try:
                lose_power(template, before, calls, case.ledger, loss)
            except (Violated, TimeoutError) as problem:
                violations.append(f"{loss}: {problem}")
    return len(losses), violations


def walk(calls: Sequence[Call]) -> Iterator[str]:
    """The record in words, for a look at what happened before a cut."""
    for number, call in enumerate(calls, 1):
        yield f"{number:5d} {call.kind:8s} {call.path} {call.offset or ''} {len(call.data) or ''}"
