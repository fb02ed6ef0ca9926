"""What a process is asked to read, and within which limits."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from shoal.files.layout import COMMAND, Chosen, Known, Options
from shoal.files.shards import Files
from shoal.settings import Settings

__all__ = ["How", "Limits", "Request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How to read a file: the parameters of `open_source`."""

    format: str | None = None
    id_column: str | None = None
    vector_columns: Chosen = None
    sidecar: Path | None = None
    label: str | None = None
    known_vectors: Known = field(default_factory=dict)
    needs_vectors: bool = True
    max_dimension: int = 65_536
    temporary: Path | None = None
    delimiter: str | None = None
    options: Options = COMMAND
    makes_ids: bool = False
    encoding: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    """What folders stand for that hold what was fetched from elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the process of one file may use.

    Parameters
    ----------
    memory_mib
        Memory of its own, in MiB, beside what it has when it begins.
    seconds
        Processor time; a second more for each MiB of the file.
    unfolded_mib
        What a small file may unfold to, in MiB; see `Bounds.free_bytes`.
    """

    memory_mib: int = 512
    seconds: float = 60.0
    unfolded_mib: int = 256

    @staticmethod
    def of(settings: Settings) -> "Limits":
        """Those of an installation; a setting of 0 stands for what is usual here."""
        usual = Limits()
        return Limits(
            memory_mib=settings.import_memory_mib or usual.memory_mib,
            seconds=settings.import_seconds,
            unfolded_mib=settings.import_unfolded_mib or usual.unfolded_mib,
        )

    def halved(self) -> "Limits":
        """With half of the memory, for a small file."""
        return replace(self, memory_mib=max(1, self.memory_mib // 2))

    def seconds_for(self, file_bytes: int) -> float:
        """The processor time for a file of so many bytes."""
        return self.seconds + file_bytes / 2**20


@dataclass(frozen=True, slots=True)
class Request:
    """One file to read."""

    path: Files
    how: How
    limits: Limits

    def encoded(self) -> bytes:
        """As JSON."""
        paths = [self.path] if isinstance(self.path, Path) else list(self.path)
        return orjson.dumps({"paths": paths, "how": asdict(self.how), "limits": asdict(self.limits)}, str)

    @staticmethod
    def decoded(sent: bytes) -> "Request":
        """The inverse of `encoded`."""
        told: Mapping[str, Any] = orjson.loads(sent)
        how = dict(told["how"])
        how |= {name: Path(how[name]) if how[name] else None for name in ("sidecar", "temporary")}
        how["options"] = Options(**how["options"])
        paths = [Path(path) for path in told["paths"]]
        return Request(paths[0] if len(paths) == 1 else paths, How(**how), Limits(**told["limits"]))
