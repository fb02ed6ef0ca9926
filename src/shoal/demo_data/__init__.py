"""Real questions and garments with their vectors, for `shoal demo` and the tutorials.

Where they come from: ATTRIBUTION.md beside this file.
"""

from pathlib import Path
from typing import Final

__all__ = ["GARMENTS", "QUESTIONS"]

QUESTIONS: Final = Path(__file__).parent / "clinc150-sample.parquet"
"""2,280 questions to a voice assistant: id, text, intent, domain, embedding (float16, 384 numbers of unit length)."""

GARMENTS: Final = Path(__file__).parent / "garments.parquet"
"""400 pieces of clothing: sku, kind, and two vectors, picture (float16, 64) and shape (float16, 56)."""
