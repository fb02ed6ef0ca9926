"""The reviewed description of the API and the one that is served now.

`make openapi` writes the served one over the reviewed one, after it has told what changed.
"""

import json
import tempfile
from pathlib import Path
from typing import Any, Final, TypeAlias

from contract.breaking import added, broken
from shoal.api.app import create_app
from shoal.assemble import assemble
from shoal.settings import Settings

__all__ = ["REVIEWED", "Json", "canonical", "reviewed", "served"]

Json: TypeAlias = dict[str, Any]
REVIEWED: Final = Path(__file__).with_name("openapi.json")


def reviewed() -> Json:
    """The description that people have looked at."""
    found: Json = json.loads(REVIEWED.read_bytes())
    return found


def served() -> Json:
    """What `GET /v1/openapi.json` answers, but for the version of the package."""
    with tempfile.TemporaryDirectory() as folder:
        services = assemble(Settings(data=Path(folder) / "data", workers=0))
        try:
            described: Json = json.loads(json.dumps(create_app(services).openapi()))
        finally:
            services.close()
    described["info"]["version"] = "0"
    return described


def canonical(described: Json) -> str:
    """The same text for the same description."""
    return json.dumps(described, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def renew() -> None:
    """Tell what changed and write the served description."""
    new = served()
    old = reviewed() if REVIEWED.exists() else new
    for title, found in (("Breaks clients", broken(old, new)), ("New", added(old, new))):
        for line in found:
            print(f"{title}: {line}")  # noqa: T201  # this is a command
    REVIEWED.write_text(canonical(new))


if __name__ == "__main__":
    renew()
