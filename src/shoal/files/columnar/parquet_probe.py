"""Checks in a subprocess that the metadata of a Parquet file can be read without crashing the process.

Some Arrow accessors let C++ exceptions escape (for a column chunk whose size statistics contradict its schema, for
example), which terminates the process. Files read in a process of their own need no such check.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from shoal.errors import InvalidField

__all__ = ["check_metadata"]

_LOOK: Final = """
import sys
from pyarrow.parquet import read_metadata
for path in sys.stdin.buffer.read().split(bytes(1)):
    print(flush=True)
    try:
        found = read_metadata(path.decode(errors="surrogateescape"))
        for group in map(found.row_group, range(found.num_row_groups)):
            for at in range(group.num_columns):
                group.column(at)
    except Exception:
        pass  # the caller runs into it too, with a better message
"""


def check_metadata(files: Sequence[tuple[Path, str]]) -> None:
    """Raise InvalidField for the first of several files, each with its name in errors, whose metadata crash a
    process."""
    paths = b"\0".join(os.fsencode(path) for path, _ in files)
    looked = subprocess.run([sys.executable, "-I", "-c", _LOOK], input=paths, capture_output=True, check=False)
    if looked.returncode < 0:
        label = files[max(looked.stdout.count(b"\n"), 1) - 1][1]
        raise InvalidField(
            label, "is damaged: its metadata contradict each other", remedy="Write the file again, or convert it."
        )
