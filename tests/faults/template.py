"""A prepared data folder, created once and copied for each case; the copy of a failed case is kept for inspection."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import orjson

from faults.invariants import Violated
from faults.ledger import Ledger
from faults.workload import Tenants, make_tenants
from faults.zygote import Zygote

__all__ = ["Case", "Template"]

Json = dict[str, Any]
_PLAIN: Final[Mapping[str, str]] = {}
SMALL: Final = {"FAULTS_SOURCE_BATCH": "150"}
"""Small sizes for forked victims: the results do not depend on them, and a case takes a second."""


@dataclass(frozen=True, slots=True)
class Case:
    """A copy of the prepared folder, and the files around it."""

    root: Path
    template: "Template"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger"

    def act(self, **arguments: Any) -> tuple[int, Json]:
        """Follow the script in a fork (see `inside.act`). Returns its exit code and its report."""
        report = self.root / "report"
        report.unlink(missing_ok=True)
        paths = {"data": str(self.data), "ledger": str(self.ledger), "key": self.template.tenants.key}
        code = self.template.zygote.fork("faults.inside:act", {**paths, "report": str(report), **arguments})
        return code, orjson.loads(report.read_bytes()) if report.exists() else {}

    def recover(self, *, keep_working: bool = True) -> Json:
        """Open the folder again and check everything (see `inside.recover`). Raises Violated."""
        arguments = {
            "tenants": asdict(self.template.tenants),
            "since": self.template.operations,
            "keep_working": keep_working,
        }
        return self._check("faults.inside:recover", arguments)

    def _check(self, function: str, arguments: Json) -> Json:
        report = self.root / "answer"
        report.unlink(missing_ok=True)
        paths = {"data": str(self.data), "ledger": str(self.ledger), "report": str(report)}
        code = self.template.zygote.fork(function, paths | arguments)
        if code != 0:
            raise Violated("I7", f"{function} ended with {code}; the log has the traceback")
        answer: Json = orjson.loads(report.read_bytes())
        if answer["violated"]:
            raise Violated(**answer["violated"])
        return answer

    def zombie(self) -> None:
        """Let a worker continue after its run was taken over (see `inside.zombie`). Raises Violated."""
        self._check("faults.inside:zombie", {"key": self.template.tenants.key})

    def entries(self) -> Ledger:
        return Ledger(self.ledger)


class Template:
    """A data folder with two tenants, the documents and the clusters of the workload. `environ` applies to the
    victims only: a bug planted there had no part in the set-up. `like` is a template whose set-up is copied; `scratch`
    adds a namespace to delete."""

    def __init__(
        self, root: Path, environ: Mapping[str, str] = _PLAIN, *, like: "Template | None" = None, scratch: bool = False
    ) -> None:
        self.root = root
        self.log = root / "log"
        self.tenants: Tenants
        self.operations: int
        if like is None:
            self._prepare(root, scratch)
        else:
            shutil.copytree(like.root / "template", root / "template")
            shutil.copy(like.root / "ledger", root / "ledger")
            self.tenants, self.operations = like.tenants, like.operations
        self.zygote = Zygote(log=self.log, **{**SMALL, **environ})

    def _prepare(self, root: Path, scratch: bool) -> None:
        self.tenants = make_tenants(root / "template")
        arguments = {
            "data": str(root / "template"),
            "ledger": str(root / "ledger"),
            "tenants": asdict(self.tenants),
            "scratch": scratch,
        }
        with Zygote(log=self.log, **SMALL) as zygote:
            code = zygote.fork("faults.inside:prepare", arguments)
        if code != 0:
            raise RuntimeError(f"The set-up ended with {code}: {self.log.read_text()[-3000:]}")
        book = Ledger(root / "ledger")
        self.operations = len(book.entries)
        book.close()

    @contextmanager
    def case(self) -> Iterator[Case]:
        """Copy the folder; the copy is removed afterwards unless the block raised."""
        root = Path(tempfile.mkdtemp(prefix="case-", dir=self.root))
        shutil.copytree(self.root / "template", root / "data")
        shutil.copy(self.root / "ledger", root / "ledger")
        yield Case(root, self)
        shutil.rmtree(root)

    def last_pass(self, failpoint: str) -> int:
        """Count how often the script passes a failpoint."""
        with self.case() as case:
            _, report = case.act()
        return int(report["passed"][failpoint])

    def close(self) -> None:
        self.zygote.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
