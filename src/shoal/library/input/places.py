"""Paths and addresses of files as the data of a call: `shoal.cluster("tickets.csv")`."""

import os
from pathlib import Path
from typing import Final

from shoal.files.paths.addresses import Places, is_address, parse_place

__all__ = ["parse_places"]

_LONGEST_PATH: Final = 255


def parse_places(data: object) -> Places | None:
    """Return the paths and addresses that `data` names; None for anything else."""
    if isinstance(data, (str, os.PathLike)):
        return parse_place(data)
    if isinstance(data, (list, tuple)) and data and all(map(_is_place, data)):
        return [parse_place(place) for place in data]
    return None


def _is_place(item: object) -> bool:
    """Whether an item of a list names a file; a text that does is taken for a file, not for a text to cluster."""
    if isinstance(item, os.PathLike) or is_address(item):
        return True
    return isinstance(item, str) and len(item) <= _LONGEST_PATH and "\0" not in item and Path(item).exists()
