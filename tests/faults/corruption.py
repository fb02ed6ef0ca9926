"""D6: bits flip, files are cut, zeroed, missing. Damage is reported or repaired, never served.

A folder with two runs of each cluster is damaged repeatedly, one place at a time, opened, and sent the same
requests as the intact folder. A verdict is `same`, `error` (it reports damage), `rebuilt` (same answers, file
recreated), `silent` (an answer changed without an error) or `crash` (the process ended).
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
METHODS: Final = ("flip", "flip", "flip", "truncate", "empty", "zero", "missing")
_DAMAGE_CODES: Final = ("corrupt", "Corrupt")
"""Error codes by which the API and the start-up report damage."""
_PAGE: Final = 4096


@dataclass(frozen=True, slots=True)
class Mutation:
    """One damage to one file, at byte `at`."""

    path: str
    kind: str
    method: str
    at: int
    bit: int = 0

    def __str__(self) -> str:
        return f"{self.method} at {self.at} (bit {self.bit}) of {self.path}"

    def apply(self, root: Path) -> None:
        path = root / self.path
        if self.method == "missing":
            path.unlink()
            return
        content = bytearray(path.read_bytes())
        if self.method == "flip":
            content[self.at] ^= 1 << self.bit
        elif self.method in ("truncate", "empty"):
            del content[self.at if self.method == "truncate" else 0 :]
        else:
            start = self.at // _PAGE * _PAGE
            length = min(_PAGE, len(content) - start)
            content[start : start + length] = bytes(length)
        path.write_bytes(content)


@dataclass(slots=True)
class CorruptionResult:
    """Number of verdicts for each kind of file, and the damages that went unnoticed."""

    verdicts: dict[str, Counter[Verdict]] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    """Errors that do not report damage, such as a 404 for something that exists."""

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
    """Draw damages evenly over the kinds of files present."""
    rng = random.Random(seed)
    files: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.stat().st_size and not path.name.endswith("-shm"):
            files.setdefault(kind_of(path.relative_to(root)), []).append(path)
    for paths in files.values():  # not by name: names hold random ids, and a seed must give the same damages each time
        paths.sort(key=lambda path: path.stat().st_size)
    present = [kind for kind in kinds if kind in files and kind != "other"]
    drawn = []
    for number in range(count):
        kind = present[number % len(present)]
        path = rng.choice(files[kind])
        method, size = rng.choice(METHODS), path.stat().st_size
        drawn.append(Mutation(str(path.relative_to(root)), kind, method, rng.randrange(size), rng.randrange(8)))
    return drawn


def corrupt(template: Template, count: int, seed: int, kinds: Sequence[str] = KINDS) -> CorruptionResult:
    """Damage the folder `count` times and judge the answers."""
    result = CorruptionResult()
    with template.case() as case:
        # Killed at the last write, so that a write-ahead log remains that was not checkpointed.
        case.act(arm=f"ingest.committed=crash@{template.last_pass('ingest.committed')}")
        whole = case.root / "whole"
        shutil.copytree(case.data, whole)
        expected = _examine(case)
        for mutation in mutations(whole, count, seed, kinds):
            shutil.rmtree(case.data)
            shutil.copytree(whole, case.data)
            mutation.apply(case.data)
            _judge(case, whole, mutation, expected, result)
    return result


def _judge(case: Case, whole: Path, mutation: Mutation, expected: Json, result: CorruptionResult) -> None:
    answers = _examine(case)
    verdicts = result.verdicts.setdefault(mutation.kind, Counter())
    if "code" in answers:
        verdicts["crash"] += 1
        result.crashes.append(f"{mutation}: the process ended with {answers['code']}")
        return
    changed = {name: answer for name, answer in answers.items() if answer != expected.get(name)}
    errors = {name: answer for name, answer in changed.items() if answer.get("error")}
    unclear = {name: answer for name, answer in errors.items() if answer["error"] not in _DAMAGE_CODES}
    if unclear:
        result.unclear.append(f"{mutation}: {unclear}")
    if len(errors) < len(changed):
        verdicts["silent"] += 1
        result.silent.append(f"{mutation}: other answers to {sorted(set(changed) - set(errors))}")
    elif errors:
        verdicts["error"] += 1
    else:
        path = case.data / mutation.path
        rebuilt = mutation.method == "missing" and path.exists()
        verdicts["rebuilt" if rebuilt else "same"] += 1


def _examine(case: Case) -> Json:
    """Open the folder and return its answers, or `{"code": n}` if the process ended."""
    report = case.root / "answers"
    report.unlink(missing_ok=True)
    arguments = {"data": str(case.data), "key": case.template.tenants.key, "report": str(report)}
    try:
        code = case.template.zygote.fork("faults.inside:examine", arguments, timeout_s=60.0)
    except TimeoutError:
        code = 124
    if code != 0 or not report.exists():
        return {"code": code}
    answers: Json = orjson.loads(report.read_bytes())
    return answers
