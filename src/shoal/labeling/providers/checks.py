"""Answers of a model, checked: what cannot be used is a fault in a few words, which the next try gets to read."""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shoal.labeling.providers.instructions import Instructions
from shoal.labeling.providers.plain_text import capitalize, plain, same_label, words_of
from shoal.labeling.providers.prompt import Kin
from shoal.labeling.providers.response_shape import EVIDENCE, KEYWORDS, LABEL, SUMMARY, check_details
from shoal.labeling.providers.samples import Sample

__all__ = ["Draft", "Fault", "check_answer"]

_LONGEST_LABEL, _MOST_WORDS = 80, 12
_LONGEST_KEYWORD, _MOST_KEYWORDS, _MANY_KEYWORDS = 40, 8, 30
_LONGEST_SUMMARY, _LONG_SUMMARY = 400, 2000
_VAGUE: Final = frozenset(
    {
        "cluster",
        "group",
        "other",
        "others",
        "miscellaneou",
        "miscellaneous",
        "misc",
        "unknown",
        "n/a",
        "na",
        "none",
        "null",
    }
    | {"document", "documents", "text", "texts", "label", "untitled", "various", "general", "topic", "category", "name"}
)
_FENCE: Final = re.compile(r"(?s)\A\s*```\w*\s*(.*?)\s*```\s*\Z")


class Fault(Exception):
    """An answer that cannot be used. Its text follows "because"."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked answer. `evidence` are rows of the brief."""

    label: str
    evidence: tuple[int, ...]
    summary: str | None = None
    keywords: tuple[str, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)


def check_answer(text: str, sample: Sample, kin: Kin, instructions: Instructions) -> Draft:
    """Check an answer, and make plain text of it. Raises Fault."""
    answer = _parse(text)
    keywords = _keywords(answer, sample) if instructions.include_keywords else ()
    label = _label(answer, instructions)
    if instructions.candidates:
        evidence = _evidence(answer, sample, required=False)
    else:
        evidence = _evidence(answer, sample, required=not instructions.prompt)
        _check_label(label, sample, kin, keywords, grounded=not instructions.prompt)
    try:
        details = check_details(answer, instructions.response_shape)
    except ValueError as error:
        raise Fault(str(error)) from None
    details = {
        name: each for name, each in details.items() if not sample.vocabulary.suspects(_all_text(each), single=False)
    }
    summary = _summary(answer, sample) if instructions.include_summary else None
    return Draft(label, evidence, summary, keywords, details)


def _parse(text: str) -> Mapping[str, Any]:
    if not text.strip():
        raise Fault("it was empty")
    fenced = _FENCE.match(text)
    try:
        answer = json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        raise Fault("it was not JSON") from None
    if isinstance(answer, list):
        if len(answer) != 1:
            raise Fault(f"it held {len(answer)} names instead of one")
        answer = answer[0]
    if not isinstance(answer, dict):
        raise Fault("it was not a JSON object")
    return answer


def _label(answer: Mapping[str, Any], instructions: Instructions) -> str:
    raw = answer.get(LABEL)
    if not isinstance(raw, str):
        raise Fault("it had no label" if raw is None else "its label was not a text")
    if instructions.candidates:
        by_name = {label.casefold().strip(): label for label in instructions.candidates}
        if raw.casefold().strip() not in by_name:
            raise Fault("its label is not one of the candidates")
        return by_name[raw.casefold().strip()]
    if len(raw) > 10 * _LONGEST_LABEL:
        raise Fault(f"its label is longer than {_LONGEST_LABEL} characters")
    label = capitalize(plain(raw))
    if not any(character.isalnum() for character in label):
        raise Fault("its label holds no word")
    if len(label) > _LONGEST_LABEL or len(label.split()) > _MOST_WORDS:
        raise Fault(f"its label is longer than {_LONGEST_LABEL} characters or {_MOST_WORDS} words")
    return label


def _evidence(answer: Mapping[str, Any], sample: Sample, *, required: bool) -> tuple[int, ...]:
    cited, rows = answer.get(EVIDENCE), {each.id: each.row for each in sample.members}
    if not isinstance(cited, list) or not cited:
        if required:
            raise Fault("it cites no document as evidence")
        return ()
    if not all(isinstance(id, str) and id in rows for id in cited[:100]):
        if required:
            raise Fault("it cites documents that are not in the group")
        return ()
    return tuple(dict.fromkeys(rows[id] for id in cited[:100]))


def _check_label(label: str, sample: Sample, kin: Kin, keywords: Sequence[str], *, grounded: bool) -> None:
    words = [word for word in re.split(r"\W+", label.casefold()) if word]
    if all(word in _VAGUE or word.isdigit() for word in words):
        raise Fault("its label says nothing about the documents")
    taken = {same_label(name) for name in kin.forbidden}
    if same_label(label) in taken:
        raise Fault("its label is taken by another group")
    strange = _strange_script(label, [each.text for each in sample.members])
    if strange:
        raise Fault(f"its label is written in {strange}, unlike the documents")
    if not any(each.text for each in sample.members):
        return
    if sample.vocabulary.suspects(label):
        raise Fault("its label uses words of a single document or of a request to you")
    if grounded and not sample.vocabulary.supports(f"{label} {' '.join(keywords)}"):
        raise Fault("its label shares no word with the documents")


def _keywords(answer: Mapping[str, Any], sample: Sample) -> tuple[str, ...]:
    raw = answer.get(KEYWORDS, [])
    if not isinstance(raw, list) or len(raw) > _MANY_KEYWORDS:
        raise Fault("its keywords are not a list of 3 to 8")
    keywords, distinct = list[str](), set[tuple[str, ...]]()
    texts = any(each.text for each in sample.members)
    for each in raw:
        keyword = plain(each) if isinstance(each, str) else ""
        usable = (
            0 < len(keyword) <= _LONGEST_KEYWORD
            and any(map(str.isalnum, keyword))
            and same_label(keyword) not in distinct
        )
        if usable and not (texts and sample.vocabulary.suspects(keyword)):
            distinct.add(same_label(keyword))
            keywords.append(keyword)
    return tuple(keywords[:_MOST_KEYWORDS])


def _summary(answer: Mapping[str, Any], sample: Sample) -> str | None:
    """Return the summary; None if there is none, or if it repeats what only single documents say."""
    raw = answer.get(SUMMARY)
    if raw is None:
        return None
    if not isinstance(raw, str):
        raise Fault("its summary was not a text")
    if len(raw) > _LONG_SUMMARY:
        raise Fault(f"its summary is longer than {_LONGEST_SUMMARY} characters")
    sentences = re.findall(r"[^.!?。！？]+(?:[.!?。！？]+|\Z)", plain(raw))
    kept = [each.strip() for each in sentences if not sample.vocabulary.suspects(each, single=False)]
    summary = ""
    for sentence in kept:
        if len(summary) + len(sentence) + 1 > _LONGEST_SUMMARY:
            break
        summary = f"{summary} {sentence}".strip()
    strange = _strange_script(summary, [each.text for each in sample.members])
    return summary if len(words_of(summary)) >= 3 and not strange else None


def _strange_script(text: str, documents: Sequence[str]) -> str | None:
    """Return the script of most letters of a text if no document has any of it, and they have another."""
    own = _scripts([text])
    theirs = _scripts(documents)
    if not own or not theirs:
        return None
    most = max(sorted(own), key=own.__getitem__)
    share = theirs.get(most, 0) / sum(theirs.values())
    return None if share >= 0.02 else most.title()


def _scripts(texts: Sequence[str]) -> dict[str, int]:
    counts = dict[str, int]()
    for character in "".join(texts)[:4000]:
        if character.isalpha():
            script = unicodedata.name(character, "?").split()[0]
            script = {"CJK": "HAN", "HIRAGANA": "HAN", "KATAKANA": "HAN", "FULLWIDTH": "LATIN"}.get(script, script)
            counts[script] = counts.get(script, 0) + 1
    return counts


def _all_text(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(_all_text(each) for each in value.values())
    if isinstance(value, list):
        return " ".join(_all_text(each) for each in value)
    return value if isinstance(value, str) else ""
