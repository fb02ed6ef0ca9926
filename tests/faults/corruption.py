"""D6: bits flip, files are cut, zeroed, missing. Damage is told in words or made good, never served as if whole.

One folder with two runs of each cluster is damaged again and again, each time in one place, opened, and asked the same
questions as the whole one. An answer is `same`, a clean `error` (one that says that something is damaged),
`rebuilt` (same, and the file was made anew), or `silent`: another answer than before without a word. `crash` is a
process that ended.
"""

import random
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from faults.template import Case, Template

__all__ = ["KINDS", "Mutation", "Verdict", "corrupt", "kind_of", "mutations"]

Json = dict[str, Any]
Verdict = Literal["same", "error", "rebuilt", "silent", "crash"]
KINDS: Final = ("artifact", "manifest", "vectors", "payloads", "metadata", "wal", "commits", "checkpoint", "other")
WAYS: Final = ("flip", "flip", "flip", "truncate", "empty", "zero", "missing")
_TOLD: Final = ("corrupt", "Corrupt")
"""How the API and the start tell of damage."""
_PAGE: Final = 4096


@dataclass(frozen=True, slots=True)
class Mutation:
    """One damage to one file, `at` a byte."""

    path: str
    kind: str
    way: str
    at: int
    bit: int = 0

    def __str__(self) -> str:
        return f"{self.way} at {self.at} (bit {self.bit}) of {self.path}"

    def apply(self, root: Path) -> None:
        path = root / self.path
        if self.way == "missing":
            path.unlink()
            return
        content = bytearray(path.read_bytes())
        if self.way == "flip":
            content[self.at] ^= 1 << self.bit
        elif self.way in ("truncate", "empty"):
            del content[self.at if self.way == "truncate" else 0 :]
        else:
            start = self.at // _PAGE * _PAGE
            length = min(_PAGE, len(content) - start)
            content[start : start + length] = bytes(length)
        path.write_bytes(content)


@dataclass(slots=True)
class Corrupted:
    """What came of it: how often each verdict for each kind of file, and the damages that went unnoticed."""

    verdicts: dict[str, Counter[Verdict]] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    unclean: list[str] = field(default_factory=list)
    """Errors that do not speak of damage: of what is there, such a one says that it is not, or is somebody else's."""

    def silent_in(self, *kinds: str) -> int:
        return sum(self.verdicts.get(kind, Counter())["silent"] for kind in kinds)


def kind_of(path: Path) -> str:
    """The kind of a file by its name and place."""
    name, parts = path.name, path.parts
    if name.endswith("-wal"):
        return "wal"
    if name.endswith("-commits"):
        return "commits"
    if "checkpoints" in parts:
        return "checkpoint"
    if name == "manifest.json":
        return "manifest"
    by_suffix = {".parquet": "artifact", ".f32": "vectors"}
    if path.suffix in by_suffix:
        return by_suffix[path.suffix]
    return {"documents.sqlite": "payloads", "metadata.sqlite": "metadata"}.get(name, "other")


def mutations(root: Path, count: int, seed: int, kinds: Sequence[str] = KINDS) -> list[Mutation]:
    """Damages drawn evenly over the kinds of files that there are."""
    rng = random.Random(seed)
    files: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.stat().st_size and not path.name.endswith("-shm"):
            files.setdefault(kind_of(path.relative_to(root)), []).append(path)
    for paths in files.values():  # not by their names, which hold random ids: a seed means the same damages each time
        paths.sort(key=lambda path: path.stat().st_size)
    there = [kind for kind in kinds if kind in files and kind != "other"]
    drawn = []
    for number in range(count):
        kind = there[number % len(there)]
        path = rng.choice(files[kind])
        way, size = rng.choice(WAYS), path.stat().st_size
        drawn.append(Mutation(str(path.relative_to(root)), kind, way, rng.randrange(size), rng.randrange(8)))
    return drawn


def corrupt(template: Template, count: int, seed: int, kinds: Sequence[str] = KINDS) -> Corrupted:
    """Damage that often, and judge what is answered."""
    corrupted = Corrupted()
    with template.case() as case:
        # Killed at the last write, so that there is a journal that was not folded into its database.
        case.act(arm=f"ingest.committed=crash@{template.last_pass('ingest.committed')}")
        whole = case.root / "whole"
        shutil.copytree(case.data, whole)
        expected = _answers(case)
        for mutation in mutations(whole, count, seed, kinds):
            shutil.rmtree(case.data)
            shutil.copytree(whole, case.data)
            mutation.apply(case.data)
            _judge(case, whole, mutation, expected, corrupted)
    return corrupted


def _judge(case: Case, whole: Path, mutation: Mutation, expected: Json, corrupted: Corrupted) -> None:
    answers = _answers(case)
    counted = corrupted.verdicts.setdefault(mutation.kind, Counter())
    if "code" in answers:
        counted["crash"] += 1
        corrupted.crashes.append(f"{mutation}: the process ended with {answers['code']}")
        return
    told = {name: answer for name, answer in answers.items() if answer != expected.get(name)}
    errors = {name: answer for name, answer in told.items() if answer.get("error")}
    unclean = {name: answer for name, answer in errors.items() if answer["error"] not in _TOLD}
    if unclean:
        corrupted.unclean.append(f"{mutation}: {unclean}")
    if len(errors) < len(told):
        counted["silent"] += 1
        corrupted.silent.append(f"{mutation}: other answers to {sorted(set(told) - set(errors))}")
    elif errors:
        counted["error"] += 1
    else:
        path = case.data / mutation.path
        anew = mutation.way == "missing" and path.exists()
        counted["rebuilt" if anew else "same"] += 1


def _answers(case: Case) -> Json:
    """What the folder answers; `{"code": n}` where its process ended."""
    told = case.root / "answers"
    told.unlink(missing_ok=True)
    given = {"data": str(case.data), "key": case.template.tenants.key, "told": str(told)}
    try:
        code = case.template.zygote.fork("faults.inside:examine", given, timeout_s=60.0)
    except TimeoutError:
        code = 124
    if code != 0 or not told.exists():
        return {"code": code}
    answers: Json = orjson.loads(told.read_bytes())
    return answers
