"""Files of documents, read as columns: Parquet, Arrow, CSV, JSON lines, and NPY with a sidecar.

source = open_source("reviews.parquet", vector_columns=["embedding"])
for batch in source.batches():      # DocumentBatch: what a store takes
    ...
table = source.read()               # FileTable: what the engine takes
"""

from shoal.files.formats import Format
from shoal.files.source import FileTable, Source, SourceInfo, open_source

__all__ = ["FileTable", "Format", "Source", "SourceInfo", "open_source"]
