"""Korean nouns without their particles: 비밀번호를, 비밀번호가 and 비밀번호 are one word, and the last is its name."""

import re
from collections.abc import Sequence

__all__ = ["find_nouns"]

_HANGUL = re.compile("[\uac00-\ud7a3]+")
_PARTICLES = (
    *("에서는", "에서도", "으로는", "에서", "에게", "으로", "까지", "부터", "이나", "처럼", "보다"),
    *("은", "는", "이", "가", "을", "를", "에", "의", "와", "과", "도", "로", "만"),
)
"""Longest first."""
_SHORTEST_NOUN = 2
_FORMS = 2


def find_nouns(forms: Sequence[str]) -> dict[str, str]:
    """Return the noun of each form that ends in a particle.

    A form is a noun with a particle if the noun occurs alone, or with another particle; other words may happen to end
    like one.
    """
    split = {form: noun for form in forms if (noun := _without_particle(form))}
    endings: dict[str, int] = {}
    for noun in split.values():
        endings[noun] = endings.get(noun, 0) + 1
    alone = set(forms)
    return {form: noun for form, noun in split.items() if endings[noun] >= _FORMS or noun in alone}


def _without_particle(form: str) -> str:
    if not _HANGUL.fullmatch(form):
        return ""
    particle = next((each for each in _PARTICLES if form.endswith(each)), "")
    noun = form[: len(form) - len(particle)]
    return noun if particle and len(noun) >= _SHORTEST_NOUN else ""
