"""Real questions with their vectors, for `shoal demo`. Where they come from: ATTRIBUTION.md beside this file."""

from pathlib import Path
from typing import Final

__all__ = ["QUESTIONS"]

QUESTIONS: Final = Path(__file__).parent / "clinc150-sample.parquet"
"""2,280 questions to a voice assistant: id, text, intent, domain, embedding (float16, 384 numbers of unit length)."""
