"""Which fields of a payload speak for a document, and what they say."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from shoal.labeling.tokens import LONGEST_READ, excerpt

__all__ = ["choose_text_fields", "document_text", "trimmed"]

MOST_FIELDS = 5
_DEEPEST = 4
_PROSE_WORDS = 6.0
"""Words on average from which a field is prose and not a name."""
_VARIED = 0.5
"""Share of distinct values from which a field describes and does not sort."""
_DATA_SHARE = 0.5

_TITLES = frozenset(
    {"title", "headline", "subject", "heading", "summary", "description", "caption", "question", "abstract", "text"}
    | {"content", "body"}
)
_DATA = re.compile(
    r"""(?xi)
    [a-z][a-z0-9+.-]*:\S+                                   # URL, URN, data:
    | www\.\S+ | [\w.+-]+@[\w-]+\.[\w.-]+                   # mail address
    | [\w./\\-]*[/\\][\w./\\-]*                             # path
    | \d{4}-?\d\d-?\d\d([T ][\d:.]+(Z|[+-][\d:]+)?)?        # ISO date
    | \d{1,2}[./]\d{1,2}[./]\d{2,4}                         # date
    | [-+]?[\d.,:%]+ \s? [^\W\d_]{0,4}                      # number with a unit
    | [0-9a-f-]{16,} | (?=\S*\d)[\w+/=.-]{6,}               # hash, identifier, base64
    | true | false | null | none | nan
    """
)
_IDENTIFIER_NAMES = re.compile(r"(?:^|[._-])(?:id|ids|uuid|guid|hash|sha\d*|md5|url|uri|href|slug|key|etag|token)$")


@dataclass(frozen=True, slots=True)
class _Field:
    path: str
    words: float
    """On average."""
    characters: float
    """On average over all sampled documents, so that a field few of them have counts less."""
    varied: bool


def choose_text_fields(sample: Sequence[Mapping[str, object]], without: Collection[str] = ()) -> list[str]:
    """The fields that say what a document is about, longest text first; none where no field holds words.

    `sample` are payloads, a few hundred of them do. The fields `without`, and those below them, are never taken. Fields
    are dotted paths (`metadata.title`). Text with many distinct values is taken, with titles beside it; where there is
    none, short varied fields; where there are none, categories. Identifiers, addresses, hashes, dates, numbers and
    vectors are never taken.
    """
    values: dict[str, list[str]] = {}
    for payload in sample:
        for path, text in _texts(payload):
            if any(path == field or path.startswith(f"{field}.") for field in without):
                continue
            values.setdefault(path, []).append(text)
    fields = [_measured(path, texts, len(sample)) for path, texts in values.items() if _speaks(path, texts)]
    fields.sort(key=lambda field: (-field.characters, field.path))
    varied = [field for field in fields if field.varied]
    if any(field.words >= _PROSE_WORDS for field in varied):
        varied = [field for field in varied if field.words >= _PROSE_WORDS or _is_title(field.path)]
    return [field.path for field in (varied or fields)[:MOST_FIELDS]]


def document_text(values: Sequence[object]) -> str:
    """The strings and lists of strings among `values` as one text, a line each; anything else is passed over. Of more
    than `LONGEST_READ` characters an excerpt is left, which is all that naming looks at."""
    return excerpt("\n".join(text for value in values if (text := _text(value))), LONGEST_READ)


def trimmed(payload: Mapping[str, object]) -> dict[str, object]:
    """The payload with an excerpt of each text and empty lists for lists of anything but text: the same fields are
    chosen of it, and they say the same."""
    return {key: _trimmed(value) for key, value in payload.items()}


def _trimmed(value: object) -> object:
    if isinstance(value, Mapping):
        return trimmed(value)
    if isinstance(value, (list, tuple)):
        return [text] if (text := _text(value)) else []
    return _text(value) if isinstance(value, str) else value


def _texts(payload: Mapping[str, object], prefix: str = "", depth: int = 1) -> Iterator[tuple[str, str]]:
    for key, value in payload.items():
        if isinstance(value, Mapping) and depth < _DEEPEST:
            yield from _texts(value, f"{prefix}{key}.", depth + 1)
        elif text := _text(value):
            yield f"{prefix}{key}", text


def _text(value: object) -> str:
    if isinstance(value, str):
        return excerpt(value.strip(), LONGEST_READ).strip()
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
        return excerpt("\n".join(str(item).strip() for item in value if str(item).strip()), LONGEST_READ).strip()
    return ""


def _speaks(path: str, texts: Sequence[str]) -> bool:
    """Whether the values are words rather than data."""
    if _IDENTIFIER_NAMES.search(path.casefold()):
        return False
    data = sum(1 for text in texts if _DATA.fullmatch(text[:2000]) or not any(c.isalpha() for c in text[:2000]))
    return data < _DATA_SHARE * len(texts)


def _measured(path: str, texts: Sequence[str], documents: int) -> _Field:
    distinct = len({text.casefold() for text in texts})
    return _Field(
        path=path,
        words=sum(_words(text) for text in texts) / len(texts),
        characters=sum(len(text) for text in texts) / documents,
        varied=distinct > _VARIED * len(texts) and (distinct > 1 or len(texts) == 1),
    )


def _words(text: str) -> float:
    """Words; in scripts without spaces every third character."""
    if text.isascii():
        return float(len(text.split()))
    return len(text.split()) + sum(1 for character in text if "\u0e00" <= character <= "\u9fff") / 3


def _is_title(path: str) -> bool:
    return path.casefold().rpartition(".")[2] in _TITLES
