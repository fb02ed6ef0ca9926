"""Files of documents, read as columns: Parquet, Arrow, CSV, JSON, JSON Lines, NPZ, and NPY with a sidecar.

source = open_source("reviews.parquet", vector_columns=["embedding"])
for batch in source.batches():      # DocumentBatch: what a store takes
    ...
table = source.read()               # FileTable: ids, vectors and documents, aligned
"""

from shoal.files.documents import Documents
from shoal.files.formats import Format
from shoal.files.source import FileTable, Selection, Source, SourceInfo, open_source

__all__ = ["Documents", "FileTable", "Format", "Selection", "Source", "SourceInfo", "open_source"]
