"""What Shoal knows of a language: the roles of its function words."""

from dataclasses import dataclass

__all__ = ["Language", "words"]


@dataclass(frozen=True, slots=True)
class Language:
    """What the words of one language do in a phrase. All words are case-folded."""

    code: str
    """ISO 639-1."""
    stemmer: str
    """The Snowball algorithm; empty for none."""
    function: frozenset[str]
    """Words without content of their own: they neither begin nor end a phrase."""
    barriers: frozenset[str] = frozenset()
    """Function words that may not stand inside a phrase either: what follows them is a new clause."""
    openers: frozenset[str] = frozenset()
    """Question words and their like: a whole question may begin with them."""
    degrees: frozenset[str] = frozenset()
    """Words that belong to the question word before them ("how long", "how many")."""
    negations: frozenset[str] = frozenset()
    """They reverse what follows, so what follows never stands without them."""
    trailing_negations: frozenset[str] = frozenset()
    """They reverse what stands before or after them."""
    negation_starts: tuple[str, ...] = ()
    """Beginnings of words that reverse the word before them."""
    adverbs: frozenset[str] = frozenset()
    """Words between a negation and what it reverses ("not yet working")."""
    adverb_ending: str = ""
    """The ending of many other adverbs ("not properly working")."""
    particles: frozenset[str] = frozenset()
    """They end a phrase ("top up") but neither begin nor are one."""
    phrasal: frozenset[str] = frozenset()
    """Verbs that are incomplete without one of the prepositions `tied` to them ("log in")."""
    tied: frozenset[str] = frozenset()
    measures: frozenset[str] = frozenset()
    """Question words that take the next word with them ("how bad is the traffic")."""
    determiners: frozenset[str] = frozenset()
    """A noun comes next, so a phrase does not end before one ("machines that accept [this card]")."""
    fillers: frozenset[str] = frozenset()
    """Words that a title can spare ("verify my identity")."""
    modifiers: frozenset[str] = frozenset()
    """They begin a phrase ("next holiday") but neither end nor are one."""
    light: frozenset[str] = frozenset()
    """Verbs that say little but end a clause: what stands before one is cut short ("how long do transfers [take]")."""
    prepositions: frozenset[str] = frozenset()
    """What follows one is no subject ("to reset the password fails"), and no question begins behind it ("por qué")."""


def words(text: str) -> frozenset[str]:
    """Return the case-folded words of a text."""
    return frozenset(text.casefold().split())
