"""The reviewed description of the API and the currently served one.

`make openapi` writes the served one over the reviewed one, after printing the changes.
"""

import json
import tempfile
from pathlib import Path
from typing import Any, Final, TypeAlias

from contract.breaking import find_additions, find_breaks
from shoal.api.app import create_app
from shoal.assemble import assemble
from shoal.settings import Settings

__all__ = ["REVIEWED", "Json", "build_served", "load_reviewed", "to_canonical"]

Json: TypeAlias = dict[str, Any]
REVIEWED: Final = Path(__file__).with_name("openapi.json")


def load_reviewed() -> Json:
    """Load the reviewed description."""
    description_: Json = json.loads(REVIEWED.read_bytes())
    return description_


def build_served() -> Json:
    """Build the answer of `GET /v1/openapi.json`, without the package version."""
    with tempfile.TemporaryDirectory() as folder:
        services = assemble(Settings(data=Path(folder) / "data", workers=0))
        try:
            description: Json = json.loads(json.dumps(create_app(services).openapi()))
        finally:
            services.close()
    description["info"]["version"] = "0"
    return description


def to_canonical(description: Json) -> str:
    """Serialize a description to canonical text."""
    return json.dumps(description, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def renew() -> None:
    """Print the changes and write the served description."""
    new = build_served()
    old = load_reviewed() if REVIEWED.exists() else new
    for title, changes in (("Breaks clients", find_breaks(old, new)), ("New", find_additions(old, new))):
        for line in changes:
            print(f"{title}: {line}")  # noqa: T201  # this is a command
    REVIEWED.write_text(to_canonical(new))


if __name__ == "__main__":
    renew()
