"""Files of others, read in a process of their own that may take so much memory and so much time and no more.

Whatever a file does to its reader, the process that asked goes on and gets one sentence about it:

    readers = FileReaders(limits)
    with readers.reading(path, how, organization_id) as file:
        file.info                       # SourceInfo
        for batch in file.batches():    # DocumentBatch
            ...
"""

from shoal.intake.readers import READERS, FileReaders, ForeignFile, readers_for
from shoal.intake.request import How, Limits

__all__ = ["READERS", "FileReaders", "ForeignFile", "How", "Limits", "readers_for"]
