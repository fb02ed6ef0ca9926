"""What a child process reads, how, and within which limits."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from shoal.files.layout import COMMAND, KnownVectors, OptionNames, VectorColumns
from shoal.files.paths.shards import Files
from shoal.settings import Settings

__all__ = ["Limits", "ReadOptions", "Request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How to read a file: the parameters of `open_source`."""

    format: str | None = None
    id_column: str | None = None
    vector_columns: VectorColumns = None
    sidecar: Path | None = None
    label: str | None = None
    known_vectors: KnownVectors = field(default_factory=dict)
    needs_vectors: bool = True
    max_dimension: int = 65_536
    temporary: Path | None = None
    delimiter: str | None = None
    options: OptionNames = COMMAND
    makes_ids: bool = False
    encoding: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    """The addresses of folders that hold downloaded files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the process of one file may use.

    Parameters
    ----------
    memory_mib
        Its own memory, in MiB, beyond what it has at the start.
    seconds
        Processor time, plus one second per MiB of the file.
    unfolded_mib
        The expanded size allowed for a small file, in MiB; see `Bounds.free_bytes`.
    """

    memory_mib: int = 512
    seconds: float = 60.0
    unfolded_mib: int = 256

    @staticmethod
    def of(settings: Settings) -> "Limits":
        """Return the limits of an installation; a setting of 0 stands for the default."""
        usual = Limits()
        return Limits(
            memory_mib=settings.import_memory_mib or usual.memory_mib,
            seconds=settings.import_seconds,
            unfolded_mib=settings.import_unfolded_mib or usual.unfolded_mib,
        )

    def halve(self) -> "Limits":
        """Return the same limits with half of the memory, for a small file."""
        return replace(self, memory_mib=max(1, self.memory_mib // 2))

    def seconds_for(self, file_bytes: int) -> float:
        """Return the processor time allowed for a file of this size."""
        return self.seconds + file_bytes / 2**20


@dataclass(frozen=True, slots=True)
class Request:
    """One file to read."""

    path: Files
    read_options: ReadOptions
    limits: Limits

    def to_json(self) -> bytes:
        """Serialize as JSON."""
        paths = [self.path] if isinstance(self.path, Path) else list(self.path)
        return orjson.dumps(
            {"paths": paths, "read_options": asdict(self.read_options), "limits": asdict(self.limits)}, str
        )

    @staticmethod
    def from_json(data: bytes) -> "Request":
        """Parse the output of `to_json`."""
        content: Mapping[str, Any] = orjson.loads(data)
        options = dict(content["read_options"])
        options |= {name: Path(options[name]) if options[name] else None for name in ("sidecar", "temporary")}
        options["options"] = OptionNames(**options["options"])
        paths = [Path(path) for path in content["paths"]]
        return Request(paths[0] if len(paths) == 1 else paths, ReadOptions(**options), Limits(**content["limits"]))
