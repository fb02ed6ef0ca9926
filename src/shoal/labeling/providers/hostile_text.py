"""Documents that read like instructions to a model, and what of their words a name must not repeat.

No list of phrases is complete. It is one of three defences: documents are quoted as data, answers must fit a schema,
and a word that only such documents, or a single document, use is not the name of a group.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shoal.labeling.providers.plain_text import words_of

__all__ = ["Vocabulary", "is_instruction", "read_vocabulary"]

_PATTERNS: Final = (
    r"\b(?:ignor\w*|disregard\w*|forget|overrid\w*|bypass\w*|skip)\b.{0,40}\b(?:previous|prior|above|earlier|"
    r"preceding|all|any|your|"
    r"these|those|everything|the|system)\b.{0,30}\b(?:instructions?|rules?|prompts?|context|text|messages?|"
    r"documents?|directions?|"
    r"guidelines?|constraints?|tol[d]|said|commands?)\b",
    r"\b(?:ignor\w*|disregard\w*|forget) (?:all|everything|the) (?:above|before|previous|prior|else)\b",
    r"\b(?:system|developer|hidden|secret|initial) (?:prompt|message|instructions?|mode|override)\b|"
    r"\bprompt injection\b|\bjailbr[eo]a?k",
    r"(?:^|[\s\"'\[<#|])(?:system|assistant|user|human|developer|instructions?)\s*[:>\]|]|<\|"
    r"?\w{0,20}(?:im_start|im_end|endoftext|"
    r"system|assistant|user)\|?>|\[/?inst\]|<</?sys>>|#{2,}\s*(?:instructions?|response|system|task)",
    r"\b(?:you are|you're|act|behave|pretend)\b.{0,15}\b(?:now|as|to be|an?)\b.{0,30}\b(?:ai|assistant|model|"
    r"bot|dan|llm|gpt|"
    r"unrestricted|jailbroken|pirate|hacker|system|evil)\b",
    r"\b(?:new|updated?|revised|real|actual|following|these|my|important|urgent|special|additional|further|original) "
    r"(?:system |hidden )?(?:instructions?|directives?|orders?|commands?|rules?)\b",
    r"\b(?:respond|reply|answer|output|print|say|write|return|repeat|emit|echo|type|include|mention|insert|"
    r"append|use|put)\b.{0,40}"
    r"\b(?:only|exactly|verbatim|the (?:word|words|string|phrase|token|text|label|following|code)|with|instead|"
    r"nothing (?:else|but)|"
    r"json|canary|in your (?:answer|response|reply|summary))\b",
    r"\b(?:name|names|label|labels?|call|title|rename|categori[sz]e|classify|tag|summary|keywords?|"
    r"cluster)\b.{0,30}\b(?:this|the|"
    r"that|every|each|all|its|your|these)?\s*(?:cluster|group|categor(?:y|ies)|topic|label|name|collection|"
    r"set)s?\b.{0,40}"
    r"(?:\b(?:as|is|be|must|should|shall|to|with|exactly|it)\b|[:=\"'])",
    r"\b(?:cluster|group|label|categor(?:y|ies)|topic|title|theme|heading|summary|keywords?|answer|response|"
    r"output|name)\b.{0,20}\b(?:must|should|shall|"
    r"has to|needs to|is to|will) (?:now )?(?:be|read|say|contain|include|equal|start)\b",
    r"\b(?:models?|ais?|bots?|assistants?|llms?|labell?ers?)\b.{0,20}\b(?:must|should|shall|has to|have to|"
    r"needs? to|will)\b",
    r"\b(?:name|label|call|title|rename|categori[sz]e|classify|tag|describe|summari[sz]e)\b.{0,12}\b(?:this|the|that|every|"
    r"each|all)\s+(?:whole |entire )?(?:cluster|group|category|topic|set|documents?|texts?)s?\b",
    r"\b(?:begin|end) [0-9a-f]{4,}\b",
    r"[\"'](?:label|summary|keywords|evidence)[\"']\s*:|\b(?:label|evidence|summary|keywords)\s*[=:]\s*[\"'\[{]",
    r"\b(?:language model|large model|llm|chatgpt|gpt-?\d|claude|gemini|ai (?:model|assistant|system)|(?:dear|"
    r"hey|hello|note to|"
    r"attention|hi) (?:the )?(?:ai|assistant|model|bot|labell?er|annotator|llm|reader|system))\b",
    r"\b(?:end|begin|start|close) (?:of )?(?:the )?(?:documents?|data|input|context|prompt|untrusted)\b|"
    r"</?(?:documents?|data|context|"
    r"untrusted|rules|instructions?)>",
    r"(?:base64|rot13|decode|translate|reverse|spell)\b.{0,40}\b(?:and|then|this|the following|backwards?)\b",
    r"\b(?:ignorier\w*|vergiss|missachte\w*)\b.{0,60}\b(?:anweisung\w*|regeln|vorherig\w*|oben\w*|alles)|"
    r"\bignorez\b|\boublie[zr]?\b.{0,40}"
    r"\binstructions?\b|\b(?:ignora|ignore|olvida|descarta|esquece|ignoreer|vergeet|dimentica|zignoruj|bortse|"
    r"glem)\w*\b.{0,60}"
    r"\b(?:instruc\w*|instruções|istruzioni|instructies|anterior\w*|precedent\w*|eerdere|polecenia|instruktion\w*)",
    r"игнорир\w*|забудь\w*.{0,40}(?:инструкц|указан|все)|忽略.{0,12}(?:指令|指示|说明|内容|规则)|无视|無視|以前の指示|이전.{0,6}(?:지시|명령)|무시"
    r"|تجاهل|התעלם|अनदेखा|bỏ qua|abaikan|görmezden|αγνό",
)
_INSTRUCTION: Final = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS), re.IGNORECASE)
_CODE: Final = re.compile(
    r"(?=\w*\d)(?=\w*[^\W\d_])\w{4,}|\b[A-Z]{5,}\b|\w*_\w+|\b\d{5,}\b|\b\w*[a-z][A-Z]\w*[A-Z]\w*\b"
)
_READ: Final = 4000


def is_instruction(text: str) -> bool:
    """Whether a text reads, in some part, like an instruction to a model."""
    return _INSTRUCTION.search(text[:_READ]) is not None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of some documents of a cluster, by the number of ordinary documents that use them.

    Attributes
    ----------
    counts : dict of str to int
        Documents, among those that do not read like instructions, that use each word.
    hostile : frozenset of str
        Words of the others.
    documents : int
        The number of ordinary documents.
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
        codes = {word for match in _CODE.finditer(text) for word in words_of(match[0])}
        return suspect + [word for word in codes if self.counts.get(word, 0) < max(few, self.documents // 5)]

    def supports(self, text: str) -> bool:
        """Whether a word of a text occurs in several ordinary documents, or in one if there are few."""
        least = 1 if self.documents < 4 else 2
        return any(self.counts.get(word, 0) >= least for word in words_of(text) if len(word) > 1)


def read_vocabulary(texts: Sequence[str], ignored: frozenset[str] = frozenset()) -> Vocabulary:
    """Count the words of texts, without the `ignored` function words."""
    counts, hostile, ordinary = dict[str, int](), set[str](), 0
    for text in texts:
        words = set(words_of(text[:_READ])) - ignored
        if is_instruction(text):
            hostile |= words
            continue
        ordinary += bool(words)
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    return Vocabulary(counts, frozenset(hostile), ordinary)
