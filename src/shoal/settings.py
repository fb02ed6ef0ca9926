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
    threads: int = 0
    """Threads a run may use; 0 takes all cores."""
    audit_days: int = 90
    """How long rows of the audit log are kept, in days."""
    audit_rows: int = 1_000_000
    """How many rows of the audit log are kept, of each organisation."""
    log_level: str = "info"
    """debug, info, warning or error."""

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
