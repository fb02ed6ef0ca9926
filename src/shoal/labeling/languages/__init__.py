"""Function words of the languages that Shoal recognises by them.

The lists are short on purpose: words that are common in a set and spread evenly over its clusters are left out in any
language (`common_words`), and a list that is much longer than the others would attract the texts of other languages.
"""

from shoal.labeling.languages.asian import (
    BURMESE,
    CHINESE,
    HINDI,
    INDONESIAN,
    JAPANESE,
    KHMER,
    KOREAN,
    LAO,
    MALAY,
    THAI,
    VIETNAMESE,
)
from shoal.labeling.languages.english import ACRONYMS, ENGLISH, LOST_APOSTROPHES
from shoal.labeling.languages.european import ESTONIAN, FINNISH, GREEK, HUNGARIAN, LATVIAN, LITHUANIAN, TURKISH
from shoal.labeling.languages.germanic import AFRIKAANS, DANISH, DUTCH, GERMAN, NORWEGIAN, SWEDISH
from shoal.labeling.languages.language import Language
from shoal.labeling.languages.listed import BENGALI, GUJARATI, MARATHI, SWAHILI, TAGALOG, URDU
from shoal.labeling.languages.romance import CATALAN, FRENCH, GALICIAN, ITALIAN, PORTUGUESE, ROMANIAN, SPANISH
from shoal.labeling.languages.semitic import ARABIC, HEBREW, PERSIAN
from shoal.labeling.languages.slavic import (
    BULGARIAN,
    CROATIAN,
    CZECH,
    POLISH,
    RUSSIAN,
    SLOVAK,
    SLOVENIAN,
    UKRAINIAN,
)

__all__ = ["ACRONYMS", "ENGLISH", "LANGUAGES", "LOST_APOSTROPHES", "Language"]

LANGUAGES: tuple[Language, ...] = (
    *(ENGLISH, GERMAN, FRENCH, SPANISH, ITALIAN, PORTUGUESE, DUTCH, RUSSIAN, JAPANESE, CHINESE, ARABIC, HINDI),
    *(SWEDISH, DANISH, NORWEGIAN, FINNISH, POLISH, CZECH, HUNGARIAN, ROMANIAN, TURKISH, GREEK, INDONESIAN, CATALAN),
    *(UKRAINIAN, KOREAN, VIETNAMESE, THAI, HEBREW, PERSIAN, BULGARIAN, SLOVAK, CROATIAN, SLOVENIAN, ESTONIAN),
    *(LATVIAN, LITHUANIAN, AFRIKAANS, GALICIAN, MALAY, KHMER, LAO, BURMESE),
    *(BENGALI, MARATHI, GUJARATI, URDU, SWAHILI, TAGALOG),
)
"""In the order in which a tie is decided."""
