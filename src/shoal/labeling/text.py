"""Cleaning of text: markup, addresses and identifiers are removed, long texts are cut to excerpts."""

import html
import re
import unicodedata
from itertools import pairwise

from shoal.labeling.mails import strip_mail

__all__ = [
    "ESCAPE",
    "GAP",
    "LONGEST_READ",
    "LONGEST_TEXT",
    "MOST_WORDS",
    "SENTENCE",
    "clean",
    "compose",
    "condense",
    "excerpt",
    "readable",
    "strip_markup",
]

LONGEST_TEXT = 200
"""Words read of one text where there are many texts."""
MOST_WORDS = 4_000
"""Words read of one text where there are few."""
_CHARACTERS = 8
"""Characters per word in these limits, spaces and all."""
LONGEST_READ = 20_000
"""Characters of a text that are searched for these, without markup; much of them may be boilerplate."""
_LONGEST_SOURCE = 1_000_000
"""Characters of a text that are searched for these, with markup."""
_PAUSE, _BREAK = " . ", " .\n"
"""The replacements for text between excerpts, and for markup."""
GAP = "\x1a"
"""What stands for a number, an identifier or an address that was removed from within a sentence."""

SENTENCE = re.compile(r"[^.!?\n。！？]+[.!?\n。！？]*")
_EMBEDDED = re.compile(r"(?is)<(script|style|head|svg|noscript)\b[^<>]{0,500}>.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)")
_ASIDE = re.compile(
    r"(?is)<(nav|footer|aside|menu|button|select|template|iframe)\b[^<>]{0,500}>"
    r"(?:(?!<(?:nav|footer|aside|menu|button|select|template|iframe)\b).)*?</\1\s*>"
)
_LINKS = re.compile(r"(?i)(?:<li\b[^<>]{0,500}>\s{0,20}<a\b[^<>]{0,500}>[^<>]{0,60}</a>\s{0,20}</li>\s{0,20}){3,}")
"""Elements, and lists of links, that lead to other pages."""
_HINT_OF_MARKUP = re.compile(r"[<&{]|```|~~~")
_MARKUP = re.compile(r"(?is)</?[a-z!][^<>]{0,500}>")
_BRACES = re.compile(r"\{[^{}\"]*\}")
"""The rules of a style sheet, if there is a colon inside; JSON has quotes."""
_LONGEST_SELECTOR = 200
_FENCE = re.compile(r"(?ms)^[ \t]{0,3}(```|~~~)[^\n]*\n.*?(?:^[ \t]{0,3}\1[ \t]*$|\Z)")
_ADDRESS = re.compile(r"(?i)\b[a-z][a-z0-9+.-]{1,15}://\S+|\bwww\.\S+|[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]+|&#?\w{2,8};")
_PATH = re.compile(r"(?<![\w./\\])(?:[A-Za-z]:[\\/]|~?/|\.{1,2}[\\/])(?:[\w.@-]+[\\/])+[\w.@-]*")
_HINT_OF_PATH = re.compile(r"[\\/][\w.@-]+[\\/]")
_RUN = re.compile(r"(?a)(?<![\w-])[A-Za-z_-]*\d[\w-]*")
"""Letters, digits and hyphens in a row, with a digit: tried from its beginning alone, or time grows as its square."""
_IDENTIFIER = re.compile(r"(?a)\b(?![A-Za-z]+-?\d{1,2}\b)(?:[\w-]{6,}|[A-Za-z_][\w-]*\d{3,}[\w-]*)(?!\w)")
"""In such a run."""
_HINT_OF_ADDRESS, _DIGIT = re.compile(r"://|@|(?i:www)\.|&"), re.compile(r"(?a)\d")
_INLINE = re.compile(
    r"(?i)</?(?:a|abbr|b|bdi|bdo|big|cite|em|font|i|ins|kbd|mark|q|s|small|span|strong|sub|sup|u|wbr)(?:\s[^<>]{0,500})?>"
)
_WRAPPED = 40
"""Characters from which a line may have been wrapped."""
_HINT_OF_LINES = re.compile(r"[\n\r\t\v\f\x1c-\x1e\x85\u2028\u2029]")
_HINT_OF_MARKDOWN = re.compile(r"[*_`#\[~]|--")
_LINK = re.compile(r"!?\[([^\[\]]{0,300})\]\([^()\s]{0,500}\)")
_EMPHASIS = re.compile(r"(?:\*\*?|__|~~|(?<!`)`+)(?=\w)|(?<=\w)(?:\*\*?|__|~~|`+)")
_HASH = re.compile(r"(?<![\w#])#+(?=\s|\w)|--+|(?<!\w)_{2,}(?!\w)")
_ABBREVIATION = re.compile(
    r"(?i)\b((?:[^\W\d_]\.){1,4}[^\W\d_])\.(?=\s+\S)"  # U.S., e.g., z.B.
    r"|(?<![^\s(])((?:Dr|Mr|Mrs|Ms|Prof|St|Mt|Ft|Sgt|Sr|Jr|Sra|Mme|Mlle|vs|approx|incl|excl|resp|inkl|exkl|bzw|ca|evtl|ggf|"
    r"bspw|vgl|Abb|Tel|Str|Inc|Corp|Ltd|dept|tech|max|min))\.(?=\s+\S)"
    r"|(?<![^\s(])((?:No|Nr|Art|Fig|Vol|pp?|op|Sec|Ch|Ver))\.(?=\s*\d)"
)
_QUANTITY = re.compile(
    r"(?i)(?<=\d)[ \u00a0](?=(?:mm|cm|km|kg|mg|ml|lbs?|oz|inch|px|[kmgt]b|[kmg]?hz|mah|kwh?|mbps|gbps|dpi)\b)"
)
_SPLIT = r"(?: ?[?\ufffd\"'*_\\] ?'?| |\u00e2\u20ac\u2122|\x92)"
_HINT_OF_SPLIT = re.compile(rf"[nN]{_SPLIT}[tT](?!\w)")
_SPLIT_NEGATION = re.compile(
    rf"(?i)\b((?:is|are|was|were|do|does|did|ca|could|wo|would|should|has|have|had|ai|must|need|might|sha)n){_SPLIT}t\b"
)
"""A contracted negation whose apostrophe became something else: a space, a question mark, "â€™"."""
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CUT_OFF_END, _CUT_OFF_START = re.compile(r"\s\S{0,40}\Z"), re.compile(r"\A\S{0,40}\s")
_THAI_AM, _LAO_AM = re.compile("\u0e4d([\u0e48-\u0e4b]?)\u0e32"), re.compile("\u0ecd([\u0ec8-\u0ecb]?)\u0eb2")
_APOSTROPHE = re.compile("[\u2018\u2019\u201b\u2032\u02bc\u00b4`]")


def clean(text: str, words: int = LONGEST_TEXT, codes: frozenset[str] = frozenset()) -> str:
    """Reduce a text to plain words: without markup, addresses, identifiers and invisible characters, with a full stop
    at the end of a sentence, line, field or list item, and none after an abbreviation.

    Of a long text about this many `words` are kept, from its head, middle and tail. Removed text leaves a full stop or,
    within a sentence, `GAP`, so that no phrase spans it. Identifiers in `codes` (case-folded) stay.
    """
    text = excerpt(strip_markup(text), words * _CHARACTERS)
    if "\x1b" in text:
        text = ESCAPE.sub(" . ", text)
    if _HINT_OF_SPLIT.search(text):
        text = _SPLIT_NEGATION.sub(r"\1't", text)
    if not text.isascii():
        text = compose(unicodedata.normalize("NFKC", text))
        text = _APOSTROPHE.sub("'", _INVISIBLE.sub("", text))
    return _plain(_in_lines(text) if _HINT_OF_LINES.search(text) else text, codes)


def compose(text: str) -> str:
    """Join the vowel am of Thai and Lao, which normalisation takes apart though it is written as one."""
    if "\u0e4d" in text or "\u0ecd" in text:
        text = _LAO_AM.sub("\\1\u0eb3", _THAI_AM.sub("\\1\u0e33", text))
    return text


def strip_markup(text: str) -> str:
    """Remove HTML, style sheets, navigation, blocks of code, quoted mails and signatures; what is nothing but these
    stays.

    A longer text is condensed.
    """
    return _strip(condense(text))


def readable(text: str) -> str:
    """Return a whole text as its writer meant it, which is what is encoded and shown: without what `strip_markup`
    removes, on the lines that are left. A text without any of it is unchanged."""
    if "\n" not in text and _HINT_OF_MARKUP.search(text) is None:
        return text
    own = _strip(text)
    if own == text:
        return text
    lines = (line.strip() for line in own.replace(_BREAK, "\n").split("\n"))
    own = "\n".join(line for line in lines if line)
    return own if any(map(str.isalnum, own)) else text


def _strip(text: str) -> str:
    if "&" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _without_tags(text)
    if "{" in text:
        text = _without_styles(text)
    if "```" in text or "~~~" in text:
        prose = _FENCE.sub(_BREAK, text)
        text = prose if prose.strip(" .\n") else text
    return strip_mail(text) if "\n" in text else text


def _without_tags(text: str) -> str:
    """Remove tags, and elements that hold no text or lead elsewhere, unless nothing else is left."""
    text = _INLINE.sub("", _EMBEDDED.sub(_BREAK, _LINKS.sub(_BREAK, text)))
    own = _ASIDE.sub(_BREAK, _ASIDE.sub(_BREAK, text))  # a second time for those around others
    own = _MARKUP.sub(_BREAK, own)
    return own if any(map(str.isalpha, own)) else _MARKUP.sub(_BREAK, text)


def condense(text: str) -> str:
    """Cut a text to at most `LONGEST_READ` characters: repeated sentences, style sheets and scripts are removed first,
    and of the rest head, middle and tail are kept. What is condensed stays the same if condensed again."""
    if len(text) <= LONGEST_READ:
        return text
    text = excerpt(text, _LONGEST_SOURCE)
    text = _EMBEDDED.sub(_BREAK, text) if "<" in text else text
    return excerpt("".join(dict.fromkeys(SENTENCE.findall(text))), LONGEST_READ)


def _without_styles(text: str) -> str:
    """Remove the rules of style sheets, with the selectors before them on the same line."""
    parts, end = list[str](), 0
    for match in _BRACES.finditer(text):
        if ":" not in match[0]:
            continue
        line = max(text.rfind("\n", end, match.start()) + 1, match.start() - _LONGEST_SELECTOR, end)
        parts += [text[end:line], _BREAK]
        end = match.end()
    return "".join([*parts, text[end:]])


def _plain(text: str, codes: frozenset[str]) -> str:
    if _HINT_OF_ADDRESS.search(text):
        text = _ADDRESS.sub(f" {GAP} ", text)
    if _HINT_OF_PATH.search(text):
        text = _PATH.sub(f" {GAP} ", text)
    if _HINT_OF_MARKDOWN.search(text):
        text = _HASH.sub(" . ", _EMPHASIS.sub("", _LINK.sub(r"\1 . ", text)))
    if _DIGIT.search(text):
        text = _QUANTITY.sub("", _RUN.sub(lambda match: _drop_identifier(match[0], codes), text))
    if "." in text:
        text = _ABBREVIATION.sub(lambda match: match[1] or match[2] or match[3], text)
    return text


def _drop_identifier(run: str, codes: frozenset[str]) -> str:
    match = _IDENTIFIER.search(run)
    if match is None or not _DIGIT.search(match[0]) or match[0].casefold() in codes:
        return run
    return f"{run[: match.start()]} {GAP} "


def _in_lines(text: str) -> str:
    """Join lines with full stops, except wrapped sentences: a long line followed by a lower-case letter."""
    lines = [line.strip() for line in text.replace("\t", "\n").splitlines()]
    out = lines[:1]
    for before, line in pairwise(lines):
        wrapped = len(before) >= _WRAPPED and line[:1].islower()
        out += [" " if wrapped else " . ", line]
    return "".join(out)


def excerpt(text: str, most: int) -> str:
    """Cut a text to at most `most` characters, a third each from its head, middle and tail.

    Parts are cut between words if there are spaces, and never inside a tag. The excerpt of an excerpt is the same.
    """
    if len(text) <= most:
        return text
    third = (most - 2 * len(_PAUSE)) // 3
    middle = (len(text) - third) // 2
    parts = (text[middle : middle + third], text[-third:])
    inside = (part[part.find(">") + 1 :] if -1 < part.find(">") < part.find("<") else part for part in parts)
    return _PAUSE.join((_CUT_OFF_END.sub("", text[:third]), *(_CUT_OFF_START.sub("", part) for part in inside)))
