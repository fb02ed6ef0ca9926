"""Texts in batches of bounded size."""

from collections.abc import Iterator, Sequence

__all__ = ["text_batches"]

MOST_TEXTS = 16_384
MOST_CHARACTERS = 4_000_000


def text_batches(
    texts: Sequence[str], most_texts: int = MOST_TEXTS, most_characters: int = MOST_CHARACTERS
) -> Iterator[slice]:
    """Cut a sequence where a batch would hold too many texts or characters; a text longer than that is a batch.

    Parameters
    ----------
    texts : sequence of str
    most_texts, most_characters : int, optional

    Yields
    ------
    slice
        Not empty, in order, all texts together.
    """
    start = characters = 0
    for row, text in enumerate(texts):
        if row > start and (row - start >= most_texts or characters + len(text) > most_characters):
            yield slice(start, row)
            start, characters = row, 0
        characters += len(text)
    if start < len(texts):
        yield slice(start, len(texts))
