"""Settings, read from the environment. Every setting has a line in `docs/settings.md`; a test checks it."""

import difflib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from shoal.errors import InvalidField

__all__ = ["Settings", "default_data_folder", "is_loopback", "unknown_names"]

_MOST: Final = 2**40
_MOST_SECONDS: Final = 1e9
"""About 30 years, so that adding it to a time does not overflow."""
_BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "port": (0, 65_535), "metrics_port": (0, 65_535), "workers": (0, 1024), "threads": (0, 1024),
    "max_body_mib": (1, _MOST), "max_upload_mib": (1, _MOST), "max_bodies_mib": (1, _MOST), "max_requests": (1, 10_000),
    "max_connections": (0, 1_000_000),
    "fetch_mib": (1, _MOST), "max_dimension": (1, _MOST),
    "body_timeout_seconds": (0.1, _MOST_SECONDS), "lease_seconds": (0.1, _MOST_SECONDS),
    "checkpoint_seconds": (0, _MOST_SECONDS), "output_grace_seconds": (0, _MOST_SECONDS),
    "request_seconds": (0, _MOST_SECONDS), "import_seconds": (1, _MOST_SECONDS),
    "run_seconds": (0, _MOST_SECONDS), "drain_seconds": (0, _MOST_SECONDS),
    "audit_days": (0, 10_000), "disk_reserve_mib": (-1, _MOST),
}  # fmt: skip
"""The bounds of numbers; all others are at least 0."""
_OTHER_NAMES: Final = frozenset(
    {"API_KEY", "FAILPOINTS", "FAILPOINTS_ONCE", "INSTRUCTIONS", "KERNELS", "NATIVE", "PLANTED"}
    | {f"{name}_{kind}" for name in ("OPENAI", "GOOGLE", "ANTHROPIC") for kind in ("KEY", "KEY_FILE", "URL")}
    | {"LLM_KEY", "LLM_KEY_FILE"}
)
"""Variables that are not settings of a server."""


def default_data_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return `$XDG_DATA_HOME/shoal`, else `~/.local/share/shoal`."""
    base = environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "shoal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. Read from `SHOAL_<NAME IN CAPITALS>`; command-line options win."""

    data: Path
    """The folder that holds everything: metadata, documents, vectors, artifacts, the local key."""
    host: str = "127.0.0.1"
    """The address the server listens on; loopback by default."""
    port: int = 8000
    """The server's port; 0 takes a free one."""
    public_url: str = ""
    """The address under which clients reach the server, for links in answers; empty takes the one it listens on."""
    trusted_proxies: str = ""
    """Addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are trusted, separated by commas."""
    workers: int = 1
    """Worker processes that the server starts; 0 if workers run elsewhere."""
    max_body_mib: int = 64
    """Largest JSON body, in MiB."""
    max_upload_mib: int = 16384
    """Largest Arrow, Parquet or NDJSON upload of the bulk route, in MiB."""
    max_bodies_mib: int = 256
    """JSON bodies in memory at once, in MiB; more is refused with 503."""
    body_timeout_seconds: float = 60.0
    """Seconds a body may take, or pause, before the request is refused with 408; large ones may take longer."""
    max_connections: int = 0
    """Open connections; 0 takes what the operating system allows, at most 8,192."""
    max_requests: int = 32
    """Requests processed at once; four times as many may wait in line, more are refused with 503."""
    request_seconds: float = 60.0
    """Time limit of a request, which then ends with 503; 0 for no limit. Uploads have none."""
    rate_limit_per_minute: int = 0
    """Requests a minute for each API key; 0 for no limit."""
    organization_rate_limit_per_minute: int = 0
    """Requests a minute for all keys of an organisation together; 0 for no limit."""
    failed_logins_per_minute: int = 0
    """Requests a minute with an invalid key from one address, before it is blocked for a while; 0 for no limit."""
    max_dimension: int = 65_536
    """Maximum number of dimensions of a vector."""
    lease_seconds: float = 30.0
    """How long a worker may miss heartbeats before its run is given to another."""
    checkpoint_seconds: float = 1.0
    """A stage of a run that took at least this long is checkpointed, so that a crash does not repeat it."""
    keep_runs: int = 0
    """Earlier runs of a cluster whose results are kept besides the visible one; 0 keeps all."""
    output_grace_seconds: float = 300.0
    """How long replaced documents of an output collection stay readable for clients that are paging through them."""
    max_queued_runs: int = 1000
    """Maximum number of waiting runs of one organisation; 0 for no limit."""
    run_memory_mib: int = 0
    """Memory limit of a run, in MiB; 0 takes four fifths of the machine's memory, divided by the workers."""
    run_seconds: float = 86_400.0
    """Time limit of any attempt of a run; each has 20 times its plan, at least 15 minutes. 0 for no limit."""
    import_memory_mib: int = 0
    """Memory limit of the process that reads a file, in MiB; 0 takes 512 in a server, and four fifths of the machine's
    memory for `shoal import`."""
    import_unfolded_mib: int = 0
    """Decompressed size limit of a small file, in MiB; 0 takes 256. A large file may expand to 200 times its size."""
    fetch_mib: int = 65_536
    """Size limit of a file that `shoal cluster` and `shoal import` fetch from an address, in MiB."""
    import_seconds: float = 60.0
    """Processor time for reading a file, plus a second for each MiB of it."""
    llm: str = ""
    """Language models that may name clusters: `provider:model` or `provider:*`, separated by commas; empty for none."""
    models: str = ""
    """A TOML file with servers of models, prices and limits."""
    llm_run_budget: float = 5.0
    """The most that naming may cost in a run, in US dollars; 0 for no limit."""
    llm_month_budget: float = 0.0
    """The most that naming may cost an organisation in a month (UTC), in US dollars; 0 for no limit."""
    threads: int = 0
    """Threads of a run; 0 takes all cores."""
    stop_words: str = ""
    """A file of words that no name of a cluster contains, beside the function words of each language."""
    encoders: str = "static,corpus"
    """Encoders of texts that collections may name, separated by commas, the default first; empty permits none."""
    audit_days: int = 90
    """How long rows of the audit log are kept, in days."""
    audit_rows: int = 1_000_000
    """Rows of the audit log that are kept for each organisation."""
    log_level: str = "info"
    """debug, info, warning or error."""
    log_format: str = "text"
    """text, or json for one JSON object a line."""
    metrics_port: int = 0
    """A separate port for Prometheus metrics; 0 for none."""
    metrics_host: str = "127.0.0.1"
    """The address of the metrics port."""
    drain_seconds: float = 0.0
    """How long the server keeps serving after SIGTERM while /readyz answers 503."""
    disk_reserve_mib: int = -1
    """New data is rejected while less is free; -1 for 1 GiB or 5 % of the disk, whichever is more, at most 10 GiB."""
    ballast_mib: int = 96
    """Size of a file that is removed when the disk is full, so that deleting still works; 0 for none."""

    @staticmethod
    def read(environ: Mapping[str, str] = os.environ, **overrides: object) -> "Settings":
        """Read the settings from the environment; `overrides` that are not None win. Raises InvalidField."""
        values: dict[str, object] = {"data": default_data_folder(environ)}
        for field in fields(Settings):
            variable = f"SHOAL_{field.name.upper()}"
            if environ.get(variable):
                values[field.name] = _convert(variable, environ[variable], str(field.type))
                _check(variable, field.name, values[field.name])
        for name, value in overrides.items():
            if value is not None:
                values[name] = value
                _check(f"--{name.replace('_', '-')}", name, value)
        values["data"] = Path(str(values["data"])).expanduser().resolve()
        settings = Settings(**values)  # type: ignore[arg-type]  # converted field by field above
        settings.proxies()
        _check_url(settings.public_url)
        return settings

    def proxies(self) -> list[str]:
        """Return the addresses and networks of `trusted_proxies`. Raises InvalidField."""
        networks = [text.strip() for text in self.trusted_proxies.split(",") if text.strip()]
        for text in networks:
            try:
                ip_network(text)
            except ValueError:
                raise InvalidField(
                    "SHOAL_TRUSTED_PROXIES", "must be addresses or networks", value=text, remedy="Like 10.0.0.0/8, ::1."
                ) from None
        return networks

    def encoder_uris(self) -> list[str]:
        """Return the URIs of `encoders`, without duplicates."""
        return list(dict.fromkeys(text.strip() for text in self.encoders.split(",") if text.strip()))

    def environ(self, base: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return an environment from which `read` restores these settings, for child processes."""
        return {**base, **{f"SHOAL_{field.name.upper()}": str(getattr(self, field.name)) for field in fields(self)}}


def is_loopback(host: str) -> bool:
    """Whether an address is a loopback address or localhost."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def unknown_names(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return a sentence for each variable that looks like a setting but is not one."""
    variables = {f"SHOAL_{field.name.upper()}" for field in fields(Settings)}
    others = variables | {f"SHOAL_{name}" for name in _OTHER_NAMES}
    sentences = []
    if environ.get("SHOAL_API_KEY"):
        sentences.append(
            "SHOAL_API_KEY is for clients: a server takes no key from it, and keeps its first one in DATA/key."
        )
    for name in sorted(name for name in environ if name.startswith("SHOAL_") and name not in others):
        near = difflib.get_close_matches(name, variables, 1, cutoff=0.8)
        sentences.append(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else "."))
    return sentences


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise InvalidField("SHOAL_PUBLIC_URL", "must be an http or https address", value=url)


def _check(source: str, name: str, value: object) -> None:
    """Raise InvalidField for a number out of bounds; `source` is the variable or option it comes from."""
    if not isinstance(value, (int, float)):
        return
    least, most = _BOUNDS.get(name, (0, _MOST))
    if not math.isfinite(value) or not least <= value <= most:
        bounds = f"from {least:g} on" if most == _MOST else f"from {least:g} to {most:,.0f}"
        raise InvalidField(source, f"must be {bounds}", value=value)


def _convert(variable: str, text: str, kind: str) -> object:
    convert = {"int": int, "float": float}.get(kind.rpartition(".")[2].removeprefix("<class '").removesuffix("'>"))
    if convert is None:
        return text
    try:
        return convert(text)
    except ValueError:
        kind = "whole number" if convert is int else "number"
        raise InvalidField(variable, f"must be a {kind}", value=text) from None
