"""Function words of all languages that Shoal knows, as `words_of` cuts words."""

from typing import Final

from shoal.labeling.languages import LANGUAGES
from shoal.labeling.providers.plain_text import words_of

__all__ = ["STOP_WORDS"]

STOP_WORDS: Final = frozenset(cut for language in LANGUAGES for word in language.function for cut in words_of(word))
