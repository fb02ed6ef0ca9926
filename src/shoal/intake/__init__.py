"""Reads untrusted files in a process of their own, within limits of memory and time.

Whatever a file does to its reader, the calling process survives and gets one sentence about it:

    readers = FileReaders(limits)
    with readers.reading(path, options, organization_id) as file:
        file.info                       # SourceInfo
        for batch in file.batches():    # DocumentBatch
            ...
"""

from shoal.intake.readers import READERS, FileReaders, ForeignFile, readers_needed
from shoal.intake.request import Limits, ReadOptions

__all__ = ["READERS", "FileReaders", "ForeignFile", "Limits", "ReadOptions", "readers_needed"]
