"""Ordinary files, as people have them: no two alike in how vectors, ids and text are stored.

Each case writes one file (or folder) of the same 24 documents on three topics, and says how it is to be read, or which
words the one line that refuses it has. `test_corpus.py` runs the real command on all of them.
"""

from corpus import delimited, documents_as_json, others, typed  # noqa: F401  # each registers its cases
from corpus.cases import CASES, Case

__all__ = ["CASES", "Case"]
