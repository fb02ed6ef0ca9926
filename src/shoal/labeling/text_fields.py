"""Choice of the fields of documents that describe their topic: titles and bodies before lists, names and categories.

Fields are classified by their values: prose by function words, sentences or lower-case letters, names of people or
places by capitals alone, lists by short items, categories by few distinct values, data by their format. The name of a
field decides only if the values do not.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from shoal.labeling.languages import LANGUAGES
from shoal.labeling.text import clean, excerpt
from shoal.scripts import UNSPACED

__all__ = ["MOST_FIELDS", "choose_text_fields", "text_parts"]

MOST_FIELDS: Final = 5
_DEEPEST: Final = 4
_LOOKED_AT: Final = 2_000
"""Characters read of a value."""
_PROSE_WORDS: Final = 6.0
"""Average number of words from which a field is prose rather than a title."""
_VARIED: Final = 0.5
"""Share of distinct values from which a field is descriptive rather than categorical."""
_FEW_WORDS: Final = 1.5
_DATA_SHARE: Final = 0.5
_FUNCTION_SHARE: Final = 0.08
_NAME_FUNCTION_SHARE: Final = 0.3
"""Place names contain some: "New York", "São Paulo"."""
_SMALL_SHARE: Final = 0.5
"""Share of lower-case words, among those that could be capitalised, in running text."""
_NAME_SMALL_SHARE: Final = 0.12
_SYMBOL_SHARE: Final = 0.08
"""Share of brackets and operators among the characters from which a text is code."""
_ITEM_WORDS: Final = 3.0
_SEVERAL: Final = 3
"""Documents from which a single value in all of them is a constant."""
_CONSTANT_WORDS: Final = 3.0
"""Words from which a repeated value may be text that people wrote."""
_RARE: Final = 0.02
"""Minimum share of documents that have a field."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FUNCTION: Final = frozenset(word for language in LANGUAGES for word in language.function | language.negations)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_UNSPACED = re.compile(f"[{UNSPACED}]")
_SYMBOLS = re.compile(r"[{}<>=\[\]\\|;()$]")
_SEPARATOR = re.compile(r"\s*[,;|\n、，；]\s*")
_DATA = re.compile(
    r"""(?xi)
    [a-z][a-z0-9+.-]*:[^\s]\S*                              # URL, URN, data:
    | www\.\S+ | <?[\w.+-]+@[\w-]+\.[\w.-]+>?               # mail address
    | [\w./\\-]*[/\\][\w./\\-]*                             # path
    | (?:[a-z]:\\|[a-z][a-z0-9+.-]{1,15}://|~?/(?=[^/\n]{1,200}/))[^\n]{1,1000}     # with blanks in it
    | [^\n]{1,300}\.(?:pdf|docx?|xlsx?|pptx?|od[tsp]|rtf|txt|md|csv|tsv|json[l]?|xml|ya?ml|html?|parquet|eml|msg|zip|
      tar|gz|7z|png|jpe?g|gif|webp|svg|tiff?|bmp|heic|mp[34]|m4a|wav|mov|avi|mkv|webm|pyc?|js|css)         # file
    | \d{4}[-/.]?\d\d[-/.]?\d\d(?:[T ]+[\d:.,]+\s*(?:Z|UTC|[ap]m|[+-][\d:]+)?)?      # ISO date
    | \d{1,2}[./-]\d{1,2}[./-]\d{2,4}(?:[T ,]+[\d:.]+\s*(?:[ap]m)?)?                # date
    | (?:[a-z]{3,9}\.?,?\s+)?(?:\d{1,2}\.?\s+[a-zä]{3,9}\.?|[a-z]{3,9}\.?\s+\d{1,2}),?\s+\d{4}
      (?:[\s,T]+[\d:]+\s*(?:[ap]m)?)?                      # date with the name of the month
    | \d{1,2}:\d\d(?::\d\d)?\s?(?:[ap]m)?                   # time
    | [-+]?[$€£¥₹]?\s?[-+]?[\d.,:%\s()]+ \s? [^\W\d_]{0,4}\.?[$€£¥₹%]?        # number with a unit, an amount
    | \+?[\d()][\d\s()./-]{5,}                              # telephone
    | \(?-?\d+[.,]\d+\s*[,;\s]\s*-?\d+[.,]\d+\)?            # coordinates
    | [0-9a-f-]{16,} | (?=\S*\d)[a-z0-9_+/=.-]{6,}               # hash, identifier, base64
    | [a-z]{1,5}[-_#]?\d+[a-z]? | \#\S+ | v?\d+(?:\.\d+)+\S*       # code, version
    | (?=\S{24,})(?=\S*\d)[a-z0-9_+/=-]+                   # token
    | true | false | null | none | nan | yes | no | n/?a
    """
)
_CODE = re.compile(r"(?i)[a-z]{2}(?:[-_][a-z]{2,4})?")
"""Of languages and countries."""
_VALUES: Final = _words(
    """low medium normal high urgent critical blocker minor major trivial severe open closed pending resolved solved
    new done todo active inactive enabled disabled draft published archived approved rejected cancelled canceled
    completed failed success error warning warn info debug trace fatal positive negative neutral mixed male female
    other unknown english german french spanish italian portuguese dutch russian chinese japanese korean arabic hindi
    turkish polish swedish deutsch français español italiano germany france spain italy china japan india brazil canada
    mexico australia usa uk niedrig mittel hoch dringend offen geschlossen erledigt neu"""
)
_IDENTIFIER_NAMES = re.compile(
    r"(?:^|[._-])(?:id|ids|uuid|guid|hash|sha\d*|md5|url|urls|uri|href|link|slug|key|etag|token|e-?mail|phone|tel|ip|sku|"
    r"isbn|ean|doi|zip|postcode|lat|lng|lon|timestamp|user_?agent|mime|locale|lang|language|currency|embedding_model)$"
)
_INTERNAL_NAMES = re.compile(r"(?:^|\.)_")
_RESULT_NAMES = re.compile(
    r"(?:^|\.)(?:cluster|shoal|label)[_.](?:id|ids|label|labels|name|names|keywords|summary|description|strength|probability|"
    r"score|coverage|evidence|layer|parent|path|model|source|error|details|examples?)$"
)
"""Fields that a clustering wrote."""
_TITLE_NAMES = re.compile(
    r"(?:^|[._-])(?:title|titel|titre|título|titolo|headline|subject|betreff|heading|caption|question|frage|标题|主题|题目|"
    r"タイトル|件名)$"
)
_TEXT_NAMES = re.compile(
    r"(?:^|[._-])(?:text|texts|body|content|contents|description|beschreibung|summary|abstract|message|messages|msg|comment|"
    r"comments|kommentar|review|note|notes|prompt|input|output|query|answer|response|transcript|details|inhalt|nachricht|"
    r"utterance|sentence|document|passage|chunk|post|tweet|feedback|内容|正文|描述|评论|文本|本文)$"
)
_PEOPLE_NAMES = re.compile(
    r"(?:^|[._-])(?:author|authors|autor|cast|actor|actors|director|directors|lead|artist|artists|singer|customer|client|"
    r"assignee|agent|owner|reporter|requester|creator|editor|sender|from|to|cc|bcc|user|username|user_?name|manager|"
    r"employee|person|people|contact|contact_?name|first_?name|last_?name|full_?name|surname|vorname|nachname|kunde|seller|"
    r"vendor|brand|manufacturer|company|organi[sz]ation|publisher|journal|city|country|state|region|street|address|"
    r"location|team|department|作者|姓名|演员|导演|客户)$"
)


class _Kind(IntEnum):
    """The kind of a field, best first."""

    PROSE = 0
    TITLE = 1
    CODE = 2
    LIST = 3
    NAME = 4
    CATEGORY = 5


@dataclass(frozen=True, slots=True)
class _Field:
    path: str
    kind: _Kind
    characters: float
    """Average over all sampled documents, so that a rare field counts less."""
    titled: bool
    """Whether it has the name of a title."""


def choose_text_fields(sample: Sequence[Mapping[str, object]], without: Collection[str] = ()) -> list[str]:
    """The fields that say what a document is about, titles first, then the longest text; none where no field holds
    words.

    `sample` are payloads, a few hundred of them do. The fields `without`, and those below them, are never taken. Fields
    are dotted paths (`metadata.title`). Prose is taken with the titles beside it; where there is none, titles; where
    there are none, code, lists of words, names, and at last categories. Identifiers, addresses, paths, hashes, dates,
    numbers and vectors are never taken, nor are fields whose name begins with an underscore, and results of a
    clustering.
    """
    values: dict[str, list[tuple[str, ...]]] = {}
    for payload in sample:
        for path, parts in _texts(payload):
            if not any(path == field or path.startswith(f"{field}.") for field in without):
                values.setdefault(path, []).append(parts)
    fields = [
        _measure(path, parts, len(sample))
        for path, parts in values.items()
        if _speaks(path, parts) and not _constant(parts)
    ]
    if not fields:
        return []
    best = min(field.kind for field in fields)
    taken = [field for field in fields if field.kind == best or (best == _Kind.PROSE and field.kind == _Kind.TITLE)]
    taken.sort(key=lambda field: (-field.characters, field.path))
    taken = taken[:MOST_FIELDS]
    taken.sort(key=lambda field: not (field.kind == _Kind.TITLE or field.titled))
    return [field.path for field in taken]


def text_parts(value: object) -> tuple[str, ...]:
    """The text of a field, or those of its list, without blanks around them; none for anything else."""
    if isinstance(value, str):
        return (text,) if (text := value.strip()) else ()
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
        return tuple(text for item in value if (text := str(item).strip()))
    return ()


def _texts(payload: Mapping[str, object], prefix: str = "", depth: int = 1) -> Iterator[tuple[str, tuple[str, ...]]]:
    for key, value in payload.items():
        if isinstance(value, Mapping) and depth < _DEEPEST:
            yield from _texts(value, f"{prefix}{key}.", depth + 1)
        elif parts := text_parts(value):
            yield f"{prefix}{key}", parts


def _speaks(path: str, values_of: Sequence[tuple[str, ...]]) -> bool:
    """Whether the values are words, not data, and no result of a clustering."""
    if _INTERNAL_NAMES.search(path) or _RESULT_NAMES.search(path.casefold()):
        return False
    if _IDENTIFIER_NAMES.search(path.casefold()) and not _is_long(values_of):
        return False
    values = [part[:_LOOKED_AT] for parts in values_of for part in parts[:20]]
    data = sum(1 for value in values if _DATA.fullmatch(value) or not any(c.isalpha() for c in value))
    return data < _DATA_SHARE * len(values)


def _constant(values: Sequence[tuple[str, ...]]) -> bool:
    """Whether all of several documents have the same short value, such as `object` in answers of an API."""
    first = values[0]
    return (
        len(values) >= _SEVERAL
        and _count(" ".join(first)) < _CONSTANT_WORDS
        and all(other == first for other in values)
    )


def _is_long(values: Sequence[tuple[str, ...]]) -> bool:
    """Whether a field with the name of an identifier, such as `link` or `key`, contains prose."""
    return sum(_count(" ".join(parts)[:_LOOKED_AT]) for parts in values) >= _PROSE_WORDS * len(values)


def _measure(path: str, values: Sequence[tuple[str, ...]], documents: int) -> _Field:
    name = path.casefold()
    texts = [" \n".join(parts) for parts in values]
    characters = sum(len(text) for text in texts) / documents
    kind = _kind(name, values, texts)
    if kind <= _Kind.TITLE and len(values) < _RARE * documents:
        kind = _Kind.CATEGORY
    return _Field(path, kind, characters, bool(_TITLE_NAMES.search(name)))


def _kind(name: str, values: Sequence[tuple[str, ...]], texts: Sequence[str]) -> _Kind:
    read = [clean(excerpt(text, _LOOKED_AT)) for text in texts]
    words = [_WORD.findall(text) for text in read]
    length = sum(_count(text) for text in read) / len(read)
    if not _are_varied(texts) or _are_codes(texts):
        return _Kind.CATEGORY
    if _symbols(texts) > _SYMBOL_SHARE:
        return _Kind.CODE
    flat = [word for own in words for word in own]
    function = sum(word.casefold() in _FUNCTION for word in flat) / max(len(flat), 1)
    small = _small_share(words)
    running = function >= _FUNCTION_SHARE or small is None or small >= _SMALL_SHARE
    if _is_list(values, texts, function):
        return _Kind.LIST
    people, has_text_name = (
        bool(_PEOPLE_NAMES.search(name)),
        bool(_TITLE_NAMES.search(name) or _TEXT_NAMES.search(name)),
    )
    if length < _FEW_WORDS and not has_text_name and small is not None:
        return _Kind.NAME
    if length >= _PROSE_WORDS and running and not (people and function < _FUNCTION_SHARE):
        return _Kind.PROSE
    if people and length < _PROSE_WORDS and function < _NAME_FUNCTION_SHARE:
        return _Kind.NAME
    if has_text_name or function >= _FUNCTION_SHARE / 2:
        return _Kind.TITLE
    if small is None:
        return _Kind.TITLE if length >= 2 else _Kind.NAME
    if small >= _NAME_SMALL_SHARE and length >= _FEW_WORDS:
        return _Kind.TITLE
    return _Kind.TITLE if length > _ITEM_WORDS + 0.5 else _Kind.NAME


def _are_varied(texts: Sequence[str]) -> bool:
    distinct = len({text.casefold() for text in texts})
    return distinct > _VARIED * len(texts) and (distinct > 1 or len(texts) == 1)


def _are_codes(texts: Sequence[str]) -> bool:
    """Whether most values are codes, for instance of languages, or words for a state."""
    codes = sum(1 for text in texts if _CODE.fullmatch(text.strip()) or text.strip().casefold() in _VALUES)
    return codes > _DATA_SHARE * len(texts)


def _symbols(texts: Sequence[str]) -> float:
    plain = [re.sub(r"<[^<>]{0,500}>", " ", text[:_LOOKED_AT]) for text in texts]
    return sum(len(_SYMBOLS.findall(text)) for text in plain) / max(sum(len(text) for text in plain), 1)


def _is_list(values: Sequence[tuple[str, ...]], texts: Sequence[str], function: float) -> bool:
    """Whether the values are short items, in a list or separated by commas."""
    items = [[item for part in parts for item in _SEPARATOR.split(part) if item] for parts in values]
    several = sum(len(own) > 1 for own in items)
    if several < 0.5 * len(items) or function >= _FUNCTION_SHARE:
        return False
    flat = [item for own in items for item in own]
    unspaced = sum(bool(_UNSPACED.search(item)) for item in flat) > len(flat) / 2
    most = _ITEM_WORDS / 2 if unspaced else _ITEM_WORDS
    return sum(_count(item) for item in flat) / max(len(flat), 1) <= most


def _small_share(words: Sequence[Sequence[str]]) -> float | None:
    """Return the share of lower-case words, the first of each text excluded; None if the script has no capitals.

    Texts all in upper case or all in lower case say nothing about names.
    """
    cased = [word for own in words for word in own[1:] if word[0].lower() != word[0].upper()]
    first = [own[0] for own in words if own and own[0][0].lower() != own[0][0].upper()]
    if not cased:
        return None if not first else 0.0
    if all(word.isupper() for word in [*cased, *first]):
        return 1.0
    return sum(word[0].islower() for word in cased) / len(cased)


def _count(text: str) -> float:
    """Count words; in scripts without spaces every third character."""
    if text.isascii():
        return float(len(text.split()))
    unspaced = len(_UNSPACED.findall(text))
    return len(_UNSPACED.sub(" ", text).split()) + unspaced / 3
