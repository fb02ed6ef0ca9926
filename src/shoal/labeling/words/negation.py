"""The reach of negations: which words say the opposite without a word before or after them."""

import numpy as np
from numpy.typing import NDArray

from shoal.labeling.words.vocabulary import Role

__all__ = ["after", "before", "find_reversed", "find_trailing_negations", "find_unfinished"]

NEGATION_REACH = 6
"""Words negated by "isn't" at the beginning of a question ("isn't my new card working")."""
NEGATED_AFTER, NEGATED_BEFORE = 4, 4
"""Words after a negation, and before a trailing one, that it may negate if there are only function words between."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def before(mask: Bools, opens: Bools) -> Bools:
    """Return the words whose left neighbour in the segment is in the mask."""
    out = np.roll(mask, 1)
    out[opens] = False
    return out


def after(mask: Bools, closes: Bools) -> Bools:
    """Return the words whose right neighbour in the segment is in the mask."""
    out = np.roll(mask, -1)
    out[closes] = False
    return out


def find_reversed(roles: NDArray[np.int32], content: Bools, opens: Bools, closes: Bools) -> Bools:
    """Find words that a word before them negates: a phrase that begins with one would say the opposite.

    The word after "not" (function words and adverbs skipped), and all that follows a negation which begins a question
    ("isn't my new card working").
    """
    negation = (roles & int(Role.NEGATION | Role.TRAILING_NEGATION)) > 0
    skipped = ~content | ((roles & int(Role.ADVERB)) > 0)
    reach, out = before(negation, opens), np.zeros(len(roles), np.bool_)
    for _ in range(NEGATED_AFTER):
        out |= reach
        reach = before(reach & skipped, opens)
    questions = negation & (opens | before((roles & int(Role.OPENER)) > 0, opens)) & after(~content, closes)
    return out | _within(questions, opens)


def find_trailing_negations(roles: NDArray[np.int32], content: Bools, closes: Bools) -> Ints:
    """Return for each word the place of the negation after it that reverses it ("Karte funktioniert seit heute nicht"),
    function words and adverbs skipped; its own place for none."""
    trailing = (roles & int(Role.TRAILING_NEGATION)) > 0
    skipped = ~content | ((roles & int(Role.ADVERB)) > 0)
    position = np.arange(len(roles))
    at, reach = position.copy(), after(trailing, closes)
    for distance in range(1, NEGATED_BEFORE + 1):
        at[reach & (at == position)] += distance
        reach = after(reach & skipped, closes)
    return at


def find_unfinished(roles: NDArray[np.int32], content: Bools, opens: Bools, closes: Bools) -> Bools:
    """Find trailing negations of the word after them: "wurde nicht" before "gebucht"."""
    trailing = (roles & int(Role.TRAILING_NEGATION)) > 0
    return trailing & before(~content, opens) & after(content, closes)


def _within(starts: Bools, opens: Bools) -> Bools:
    """Return up to NEGATION_REACH words after each start, in its segment."""
    position = np.arange(len(starts))
    last = np.maximum.accumulate(np.where(starts, position, -NEGATION_REACH - 1))
    segment = np.maximum.accumulate(np.where(opens, position, 0))
    return (last >= segment) & (last < position) & (position - last <= NEGATION_REACH)
