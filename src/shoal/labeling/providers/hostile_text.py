"""Sentences that read like instructions to a model, and what of their words a name must not repeat.

No list of phrases is complete. It is one of three defences: documents are quoted as data, answers must fit a schema,
and a word that only such sentences, or a single document, use is not the name of a group.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shoal.labeling.providers.plain_text import words_of

__all__ = ["Vocabulary", "is_instruction", "read_vocabulary", "split_instructions"]

_PATTERNS: Final = (
    r"\b(?:ignor\w*|disregard\w*|forget|overrid\w*|bypass\w*)\b.{0,40}\b(?:previous|prior|above|earlier|preceding|all|any|"
    r"your|these|those|everything|system)\b.{0,30}\b(?:instructions?|rules?|prompts?|context|directions?|guidelines?|"
    r"constraints?|directives?|(?:been|were) given)\b",
    r"\b(?:ignor\w*|disregard\w*|forget) (?:all|everything|the) (?:above|before|previous|prior|else)\b",
    r"\b(?:new|real|actual|hidden|secret|your|updated) system (?:prompt|message|instructions?)\b|"
    r"\bdeveloper mode (?:is )?(?:enabled|on|activated)\b|\bjailbr[eo]a?k\w*\s*[:!]",
    r"<\|\w{0,20}\|?>|</?(?:system|assistant)>|\[/?inst\]|<</?sys>>|#{2,}\s*(?:instructions?|system prompt)\s*:|"
    r"\bassistant\s*:\s*(?:sure|ok|okay|certainly|of course)\b",
    r"\b(?:you are|you're|act|behave|pretend)\b.{0,15}\b(?:now|as|to be|an?)\b.{0,30}\b(?:ai|assistant|model|bot|dan|"
    r"llm|gpt|unrestricted|jailbroken)\b",
    r"\b(?:new|updated?|revised|real|actual|following|my|important|urgent|special|further|original) "
    r"(?:system |hidden )?(?:instructions?|directives?)\s*:",
    r"\b(?:respond|reply|answer) (?:to (?:this|everything|all) )?(?:only |just |exactly )?with\b|"
    r"\b(?:respond|reply|answer)\b.{0,40}\b(?:only|exactly|verbatim|nothing (?:else|but)|json)\b",
    r"\b(?:output|print|say|write|return|repeat|emit|echo|type|include|mention|insert|append|put|use|add)\b.{0,40}\b"
    r"(?:verbatim|the (?:words?|string|phrase|token|label|keyword|following (?:words?|text|phrase|string))|"
    r"nothing (?:else|but)|canary|in (?:your|the) (?:answer|response|reply|summary|label))\b",
    r"\b(?:must|should|has to) (?:be|appear|stand) in (?:your|the) (?:answer|response|reply|summary|label|name)\b",
    r"\b(?:name|names|label|labels?|title|topic|summary|keywords?)\b.{0,12}\b(?:this|the|that|every|each|all|its|your|"
    r"these) (?:cluster|group|categor(?:y|ies)|label|collection)s?\b.{0,20}"
    r"(?:\b(?:as|is|be|must|should|shall)\b|[:=\"'])",
    r"\b(?:labels?|title|topic|heading|keywords?|answer)\b.{0,6}\b(?:must|shall|has to|needs to) (?:now )?"
    r"(?:be|read|say|contain|include|equal|start)\b",
    r"\byour (?:label|title|summary|keywords?|answer|response|output)\b.{0,10}"
    r"\b(?:must|should|shall|has to|needs to)\b",
    r"\b(?:models?|ais?|bots?|assistants?|llms?|labell?ers?)\b.{0,20}\b(?:must|should|shall|has to|have to|needs? to) "
    r"(?:say|answer|reply|respond|output|write|print|name|call|label|repeat|include|mention)\b",
    r"\b(?:name|label|call|title|rename)\b.{0,12}\b(?:this|the|that|every|each|all) (?:whole |entire )?"
    r"(?:cluster|group|category|topic)s?\b",
    r"\b(?:categori[sz]e|classify|tag|describe|summari[sz]e)\b.{0,12}\b(?:this|every|each|all) (?:cluster|group)s?\b",
    r"(?-i:\b(?:BEGIN|END) [0-9a-f]{4,}\b)|"
    r"(?-i:\b(?:END|BEGIN) (?:OF )?(?:THE )?(?:DOCUMENTS?|DATA|INPUT|CONTEXT|PROMPT)\b)"
    r"|</?(?:documents?|context|untrusted|rules|instructions?)>",
    r"[\"'](?:label|evidence)[\"']\s*:|\b(?:label|evidence)\s*[=:]\s*[\"'\[{]",
    r"\b(?:dear|note to|attention),? (?:the |any |all )?(?:ai|(?:large )?(?:language )?models?|llms?|labell?er|"
    r"annotator)\b|"
    r"\b(?:chatgpt|gpt-?\d|claude|gemini|llms?)\s*[,:]\s*(?:please )?(?:ignore|rename|name|call|label|say|write|output|"
    r"answer|respond|reply|print|repeat|forget|act|pretend)\b",
    r"\b(?:base64|rot13|decode|translate)\b.{0,40}\b(?:and|then)\b.{0,20}\b(?:output|say|print|answer|reply|respond|write|"
    r"repeat|follow|obey|execute)\b",
    r"\b(?:ignorier\w*|vergiss|missachte\w*)\b.{0,60}\b(?:anweisung\w*|regeln|instruktion\w*)|"
    r"\b(?:ignore[rz]?|oublie[rz]?)\b.{0,40}\b(?:instructions?|consignes?)\b|"
    r"\b(?:ignora|ignore|olvida|descarta|esquece|ignoreer|vergeet|dimentica|zignoruj|bortse|glem)\w*\b.{0,60}"
    r"\b(?:instruc\w*|instruções|istruzioni|instructies|polecenia|instruktion\w*)",
    r"(?:игнорир|забудь)\w*.{0,40}(?:инструкц|указан)|(?:忽略|无视|無視).{0,12}(?:指令|指示|说明|规则|規則|提示)|"
    r"(?:指示|命令|ルール|プロンプト).{0,4}無視|(?:지시|명령|지침).{0,6}무시|تجاهل.{0,40}(?:تعليمات|الأوامر|القواعد)|"
    r"התעלם.{0,40}(?:הוראות|ההוראות|כללים)|निर्देश.{0,40}अनदेखा|अनदेखा.{0,40}निर्देश|bỏ qua.{0,40}(?:hướng dẫn|chỉ dẫn|lệnh)|"
    r"abaikan.{0,40}(?:instruksi|perintah|arahan)|(?:talimat|komut)\w*.{0,40}görmezden|αγνό\w*.{0,40}(?:οδηγί|εντολ)",
)
_INSTRUCTION: Final = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS), re.IGNORECASE)
_CODE: Final = re.compile(
    r"(?=\w*\d)(?=\w*[^\W\d_])\w{4,}|\b[A-Z]{5,}\b|\w*_\w+|\b\d{5,}\b|\b\w*[a-z][A-Z]\w*[A-Z]\w*\b"
)
_READ: Final = 4000
_SENTENCE_END: Final = re.compile(r"(?<=[.!?。！？])\s+|\n+")
_FEWEST_WORDS: Final = 4
"""Of what is left of a document, to be shown."""


def is_instruction(text: str) -> bool:
    """Whether a text reads, in some part, like an instruction to a model."""
    return _INSTRUCTION.search(text[:_READ]) is not None


def split_instructions(text: str) -> tuple[str, str]:
    """Return what of a text is ordinary, and what reads like an instruction: such sentences, and those beside them.

    A ticket that quotes a prompt keeps the rest of its words. Of a long text that holds an instruction, only the
    beginning is kept, which is what was looked at.
    """
    if not is_instruction(text):
        return text, ""
    sentences = _SENTENCE_END.split(text[:_READ])
    matches = [number for number, sentence in enumerate(sentences) if is_instruction(sentence)]
    hostile = {near for number in matches for near in (number - 1, number, number + 1)}
    ordinary = " ".join(sentence for number, sentence in enumerate(sentences) if number not in hostile)
    if not matches or is_instruction(ordinary) or len(words_of(ordinary)) < _FEWEST_WORDS:
        return "", text[:_READ]
    return ordinary, " ".join(sentence for number, sentence in enumerate(sentences) if number in hostile)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of some documents of a cluster, by the number of ordinary documents that use them.

    Attributes
    ----------
    counts : dict of str to int
        Documents that use each word, in what does not read like instructions.
    hostile : frozenset of str
        Words of what does.
    documents : int
        The number of documents with anything ordinary.
    """

    counts: dict[str, int]
    hostile: frozenset[str]
    documents: int

    def suspects(self, text: str, *, single: bool = True) -> list[str]:
        """Return the words of a text that only hostile documents use or, with `single`, a single document."""
        few = 1 if self.documents < 6 else 2
        least = max(few, self.documents // 10)
        words = words_of(text)
        suspect = [word for word in words if word in self.hostile and self.counts.get(word, 0) < least]
        suspect += [word for word in words if single and 0 < self.counts.get(word, 0) < few and len(word) > 2]
        return suspect + self.rare_codes(text)

    def rare_codes(self, text: str) -> list[str]:
        """Return the words of a text that look like codes, and that few ordinary documents use."""
        codes = {word for match in _CODE.finditer(text) for word in words_of(match[0])}
        least = max(1 if self.documents < 6 else 2, self.documents // 5)
        return [word for word in codes if self.counts.get(word, 0) < least]

    def supports(self, text: str) -> bool:
        """Whether a word of a text occurs in several ordinary documents, or in one if there are few."""
        least = 1 if self.documents < 4 else 2
        return any(self.counts.get(word, 0) >= least for word in words_of(text) if len(word) > 1)


def read_vocabulary(parts: Sequence[tuple[str, str]], ignored: frozenset[str] = frozenset()) -> Vocabulary:
    """Count the words of texts, each as `split_instructions` returns it, without the `ignored` function words."""
    counts, hostile, ordinary = dict[str, int](), set[str](), 0
    for plain, instruction in parts:
        hostile |= set(words_of(instruction)) - ignored
        words = set(words_of(plain[:_READ])) - ignored
        ordinary += bool(words)
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    return Vocabulary(counts, frozenset(hostile), ordinary)
