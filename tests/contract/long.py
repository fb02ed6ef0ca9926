"""Whether the long form was requested: `SHOAL_CONTRACT=long`, as `make contract` does."""

import os
from typing import Final

__all__ = ["LONG"]

LONG: Final = os.environ.get("SHOAL_CONTRACT") == "long"
