"""Environment to one frozen Settings. Every setting has a line in `docs/settings.md`; a test checks it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from shoal.errors import InvalidField

__all__ = ["Settings", "default_data_folder"]


def default_data_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """`$XDG_DATA_HOME/shoal`, else `~/.local/share/shoal`."""
    base = environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "shoal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. Read from `SHOAL_<NAME IN CAPITALS>`; command-line options win."""

    data: Path
    """The folder that holds everything: metadata, documents, vectors, artifacts, the local key."""
    host: str = "127.0.0.1"
    """Where the server listens; loopback unless asked otherwise."""
    port: int = 8000
    """The server's port; 0 takes a free one."""
    workers: int = 1
    """Worker processes the server starts; 0 for a server whose workers run elsewhere."""
    max_body_mib: int = 64
    """Largest JSON body, in MiB."""
    max_upload_mib: int = 16384
    """Largest Arrow, Parquet or NDJSON upload of the bulk route, in MiB."""
    max_dimension: int = 65_536
    """Most dimensions a vector may have."""
    lease_seconds: float = 30.0
    """How long a worker may be silent before its run is given to another."""
    checkpoint_seconds: float = 1.0
    """A stage of a run that took at least so long is kept until the run is over, so that a crash does not repeat it."""
    keep_runs: int = 0
    """Runs of a cluster that keep their results beside the visible one; 0 keeps all."""
    output_grace_seconds: float = 300.0
    """How long the documents of an output collection stay readable for those who page through them, once others have
    taken their place."""
    max_queued_runs: int = 1000
    """Most runs of one organisation that may wait; 0 for no limit."""
    run_memory_mib: int = 0
    """Most memory of its own a run may use, in MiB; 0 takes four fifths of the machine's, divided by the workers."""
    run_seconds: float = 0.0
    """Longest an attempt of a run may take; 0 for no limit."""
    threads: int = 0
    """Threads a run may use; 0 takes all cores."""
    log_level: str = "info"
    """debug, info, warning or error."""
    log_format: str = "text"
    """text, or json for one JSON object a line."""
    metrics_port: int = 0
    """A port of its own for Prometheus; 0 for none."""
    metrics_host: str = "127.0.0.1"
    """Where the metrics port listens."""
    drain_seconds: float = 0.0
    """How long the server goes on serving after SIGTERM while /readyz says 503."""
    disk_reserve_mib: int = -1
    """New data are refused while less is free; -1 for 1 GiB or 5 % of the disk, whichever is more, at most 10 GiB."""
    ballast_mib: int = 96
    """A file that is given up when the disk is full, so that deleting works; 0 for none."""

    @staticmethod
    def read(environ: Mapping[str, str] = os.environ, **given: object) -> "Settings":
        """Settings from the environment; `given` (where not None) wins. Raises InvalidField."""
        values: dict[str, object] = {"data": default_data_folder(environ)}
        for field in fields(Settings):
            variable = f"SHOAL_{field.name.upper()}"
            if environ.get(variable):
                values[field.name] = _converted(variable, environ[variable], str(field.type))
        values |= {name: value for name, value in given.items() if value is not None}
        values["data"] = Path(str(values["data"])).expanduser().resolve()
        return Settings(**values)  # type: ignore[arg-type]  # converted field by field above


def _converted(variable: str, text: str, kind: str) -> object:
    convert = {"int": int, "float": float}.get(kind.rpartition(".")[2].removeprefix("<class '").removesuffix("'>"))
    if convert is None:
        return text
    try:
        return convert(text)
    except ValueError:
        raise InvalidField(variable, "must be a number", value=text) from None
