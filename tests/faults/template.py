"""A prepared data folder, made once and copied for each case; the copy of a case that failed is kept for a look."""

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
FEW: Final = {"FAULTS_SOURCE_BATCH": "150"}
"""Sizes for forked victims: what is looked for does not depend on them, and a case takes a second."""


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

    def act(self, **how: Any) -> tuple[int, Json]:
        """Follow the script in a fork (see `inside.act`). Returns its exit code and what it told."""
        told = self.root / "told"
        told.unlink(missing_ok=True)
        given = {"data": str(self.data), "ledger": str(self.ledger), "key": self.template.tenants.key}
        code = self.template.zygote.fork("faults.inside:act", {**given, "told": str(told), **how})
        return code, orjson.loads(told.read_bytes()) if told.exists() else {}

    def recover(self, *, go_on: bool = True) -> Json:
        """Open the folder again and check everything (see `inside.recover`). Raises Violated."""
        given = {"tenants": asdict(self.template.tenants), "since": self.template.operations, "go_on": go_on}
        return self._ask("faults.inside:recover", given)

    def _ask(self, function: str, given: Json) -> Json:
        told = self.root / "answer"
        told.unlink(missing_ok=True)
        about = {"data": str(self.data), "ledger": str(self.ledger), "told": str(told)}
        code = self.template.zygote.fork(function, about | given)
        if code != 0:
            raise Violated("I7", f"{function} ended with {code}; the log has the traceback")
        answer: Json = orjson.loads(told.read_bytes())
        if answer["violated"]:
            raise Violated(**answer["violated"])
        return answer

    def zombie(self) -> None:
        """A worker is taken over in the middle of a run and goes on (see `inside.zombie`). Raises Violated."""
        self._ask("faults.inside:zombie", {"key": self.template.tenants.key})

    def entries(self) -> Ledger:
        return Ledger(self.ledger)


class Template:
    """A data folder with two tenants, the documents and the clusters of the workload. `environ` is that of the victims
    alone: a bug that is planted there had no part in the set-up. `like` is one whose set-up is taken over; `scratch`
    asks for a namespace that is there to be deleted."""

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
        self.zygote = Zygote(log=self.log, **{**FEW, **environ})

    def _prepare(self, root: Path, scratch: bool) -> None:
        self.tenants = make_tenants(root / "template")
        given = {
            "data": str(root / "template"),
            "ledger": str(root / "ledger"),
            "tenants": asdict(self.tenants),
            "scratch": scratch,
        }
        with Zygote(log=self.log, **FEW) as plain:
            code = plain.fork("faults.inside:prepare", given)
        if code != 0:
            raise RuntimeError(f"The set-up ended with {code}: {self.log.read_text()[-3000:]}")
        book = Ledger(root / "ledger")
        self.operations = len(book.entries)
        book.close()

    @contextmanager
    def case(self) -> Iterator[Case]:
        """A copy; removed afterwards unless the block raised."""
        root = Path(tempfile.mkdtemp(prefix="case-", dir=self.root))
        shutil.copytree(self.root / "template", root / "data")
        shutil.copy(self.root / "ledger", root / "ledger")
        yield Case(root, self)
        shutil.rmtree(root)

    def last_pass(self, failpoint: str) -> int:
        """How often the script passes a failpoint."""
        with self.case() as case:
            _, told = case.act()
        return int(told["passed"][failpoint])

    def close(self) -> None:
        self.zygote.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
