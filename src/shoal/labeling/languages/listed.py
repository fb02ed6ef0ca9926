"""Languages known by their lists of stop words in the package stopwordsiso, and by the negations among them."""

import stopwordsiso

from shoal.labeling.languages.language import Language, words

__all__ = ["BENGALI", "GUJARATI", "MARATHI", "SWAHILI", "TAGALOG", "URDU"]


def _list_words(code: str, negations: str, trailing: str = "", stemmer: str = "") -> Language:
    reversing = words(f"{negations} {trailing}")
    return Language(
        code=code,
        stemmer=stemmer,
        function=frozenset(word.casefold() for word in stopwordsiso.stopwords(code)) - reversing,
        negations=words(negations),
        trailing_negations=words(trailing),
    )


BENGALI = _list_words("bn", "না", trailing="নেই নয় নি")
MARATHI = _list_words("mr", "न", trailing="नाही नका नको")
GUJARATI = _list_words("gu", "ન", trailing="નથી નહીં")
URDU = _list_words("ur", "نہ بغیر", trailing="نہیں")
SWAHILI = _list_words("sw", "si bila hapana hakuna")
TAGALOG = _list_words("tl", "hindi wala huwag")
