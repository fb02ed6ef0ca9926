"""Whether the metadata of a Parquet file can be looked at without ending the process that looks.

Arrow lets C++ exceptions of some accessors through (of a column chunk whose size statistics do not fit its schema, for
one), and these end the process. Files read in a process of their own need no such question.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

from shoal.errors import InvalidField

__all__ = ["check_metadata"]

_LOOK: Final = """
import sys
from pyarrow.parquet import read_metadata
try:
    found = read_metadata(sys.argv[1])
    for group in map(found.row_group, range(found.num_row_groups)):
        for at in range(group.num_columns):
            group.column(at)
except Exception:
    pass  # the caller meets it too, and says it better
"""


def check_metadata(path: Path, label: str) -> None:
    """Raises InvalidField where a look at the metadata ends a process."""
    looked = subprocess.run([sys.executable, "-I", "-c", _LOOK, str(path)], capture_output=True, check=False)
    if looked.returncode < 0:
        raise InvalidField(
            label, "is damaged: its metadata contradict each other", remedy="Write the file again, or convert it."
        )
