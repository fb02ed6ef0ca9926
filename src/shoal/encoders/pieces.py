"""Words as the pieces that a vocabulary has: the longest first, as BERT splits them."""

from collections.abc import Mapping

__all__ = ["split_pieces"]

LONGEST_WORD = 100
CONTINUES = "##"


def split_pieces(word: str, vocabulary: Mapping[str, int]) -> list[int]:
    """The numbers of the pieces that make up a word; none if any part of it is unknown.

    Parameters
    ----------
    word : str
        In lower case.
    vocabulary : mapping of str to int
        Pieces and their numbers; those that continue a word begin with `##`.

    Returns
    -------
    list of int
    """
    if len(word) > LONGEST_WORD:
        return []
    pieces: list[int] = []
    start = 0
    while start < len(word):
        piece, start = longest_piece(word, start, vocabulary)
        if piece is None:
            return []
        pieces.append(piece)
    return pieces


def longest_piece(word: str, start: int, vocabulary: Mapping[str, int]) -> tuple[int | None, int]:
    """The longest known piece from `start` on, and where it ends."""
    mark = CONTINUES if start else ""
    for end in range(len(word), start, -1):
        piece = vocabulary.get(mark + word[start:end])
        if piece is not None:
            return piece, end
    return None, len(word)
