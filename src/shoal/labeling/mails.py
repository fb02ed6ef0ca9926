"""What mails carry beside what their writer says: quoted mails, signatures, greetings at the end, notices."""

import re
from typing import Final

__all__ = ["strip_mail"]

_HINT_OF_QUOTE: Final = re.compile(r"\n[ \t]{0,3}>|\n-- ?\n|-{3} ?\w|:[ \t]*\n|\n[A-Z]\w+: ")
_QUOTED: Final = re.compile(r"(?m)^[ \t]{0,3}>[^\n]*$")
_FORWARDED: Final = re.compile(
    r"(?mi)^(?:-{3,} ?(?:original|forwarded|urspr|weitergeleitet|message d'origine|mensaje orig|messaggio orig)[^\n]*$"
    r"|(?:on|am|le|el|il|op|em|den|dnia|w dniu)\b[^\n]{0,300}(?:\n[^\n]{0,100})?"
    r"(?:wrote|schrieb|écrit|escribió|scritto|schreef|escreveu|skrev|napisał)[^\n]{0,100}:[ \t]*$"
    r"|(?:from|von|de|da|van): [^\n]{0,300}\n(?:sent|date|gesendet|datum|envoyé|enviado|inviato|verzonden): )"
)
_SIGNATURE: Final = re.compile(
    r"(?i)\n-- ?\n|\n[ \t]{0,3}(?:sent from my|get outlook for|gesendet von meinem|von meinem [^\n]{1,30} gesendet"
    r"|envoyé de mon|enviado desde mi|enviado do meu|inviato da(?:l mio)?|verzonden vanaf mijn|skickat från min"
    r"|sendt fra min|отправлено с) [^\n]{1,40}(?=\n|\Z)"
)
_GREETING: Final = re.compile(
    r"(?i)(?:(?:with )?(?:best|kind|kindest|warm|warmest) regards|regards|best wishes|cheers|many thanks"
    r"|(?:yours )?(?:sincerely|faithfully|truly)|mit (?:freundlich|best|lieb|herzlich)en grü(?:ß|ss)en"
    r"|(?:freundliche|beste|viele|liebe|herzliche) grü(?:ß|ss)e|mfg|(?:bien )?cordialement|bien à vous"
    r"|(?:sincères|meilleures) salutations|(?:un )?(?:cordial )?saludos?(?: cordial(?:es)?)?|atentamente"
    r"|(?:cordiali|distinti) saluti|atenciosamente|met vriendelijke groet(?:en)?|med vänliga? hälsning(?:ar)?"
    r"|med (?:venlig|vennlig) hilsen|ystävällisin terveisin|с уважением|z poważaniem|pozdrawiam|s pozdravem"
    r"|saygılarımla|με εκτίμηση)[ \t]*[,.!]?"
)
_SHORT, _LINES = 80, 12
"""Characters of a line of a signature, and lines with the greeting, at most."""
_HINT_OF_NOTICE: Final = re.compile(
    r"(?i)confiden|vertra?ul|vertrouwelijk|riservat|receiv\w* this|erhalten diese|recevez ce|recibe este|environment"
    r"|umwelt|rights reserved"
)
_NOTICE: Final = re.compile(
    r"(?i)\A(?=[^\n]*\b(?:confiden|vertraulich|vertrouwelijk|riservat))"
    r"[^\n]*\b(?:intended|addressee|recipient|empfänger|adressat|destinat|geadresseerde)"
    r"|\A[^\n]{0,200}\byou (?:are )?receiv(?:e|ed|ing) this|\A[^\n]{0,200}\bsie erhalten diese"
    r"|\A[^\n]{0,200}\bvous recevez ce|\A[^\n]{0,200}\busted recibe este"
    r"|\A[^\n]{0,100}\bconsider the environment|\A[^\n]{0,100}\b(?:denken sie an|schonen sie) [^\n]{0,20}umwelt"
    r"|\A[^\n]{0,200}\ball rights reserved"
)
"""A line of a notice that belongs to no topic."""


def strip_mail(text: str) -> str:
    """Remove what the writer of this mail did not write of this mail, unless nothing else is left."""
    own = text
    if _HINT_OF_QUOTE.search(own):
        own = _QUOTED.sub("\n", _FORWARDED.split(own, maxsplit=1)[0])
    own = _SIGNATURE.split(own, maxsplit=1)[0]
    own = _without_ending(own)
    return own if any(map(str.isalpha, own)) else text


def _without_ending(text: str) -> str:
    """Remove greetings with the short lines of the signature below them, and lines of notices."""
    lines = text.split("\n")
    notices = _HINT_OF_NOTICE.search(text) is not None
    kept, signed, written = list[str](), 0, False
    for line in lines:
        plain = line.strip(" \t.")
        signed = _LINES if written and _GREETING.fullmatch(plain) else signed - 1
        signed = signed if len(plain) <= _SHORT else 0
        if signed <= 0 and not (notices and _NOTICE.search(line)):
            kept.append(line)
            written = written or any(map(str.isalpha, plain))
    return text if len(kept) == len(lines) else "\n".join(kept)
