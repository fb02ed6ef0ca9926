"""The time that cleaning takes grows with the length of a text, not with its square, whatever the text."""

import time
from collections.abc import Callable

import pytest

from shoal.labeling import readable
from shoal.labeling.providers import plain_text
from shoal.labeling.text import GAP, clean

SHORT, FACTOR = 2_000, 8
PIECES = (
    "a",
    "-",
    "a-",
    "a1-",
    "a@",
    "a.",
    "#",
    "`",
    "*",
    "_",
    "/@",
    "{",
    "[",
    "[a](",
    "&#",
    "<script ",
    "<style>",
    "<!--",
    "--",
    "1.",
    "<nav>",
    "\n> ",
    "\nfrom: ",
    "regards,\n",
)


def clean_wholly(text: str) -> str:
    return clean(text, len(text))


def strip(text: str) -> str:
    return plain_text.plain(text)


def seconds(work: Callable[[str], str], text: str) -> float:
    """The fastest of several: of the processor, not of the wall."""

    def once() -> float:
        start = time.process_time()
        work(text)
        return time.process_time() - start

    return min(once() for _ in range(3))


@pytest.mark.parametrize("work", [clean_wholly, strip, readable])
@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("ending", ["", "@", " 1", "\u00e9 1 @"])
def test_the_work_does_not_grow_as_the_square_of_a_text(work: Callable[[str], str], piece: str, ending: str) -> None:
    short, long = (piece * (size // len(piece)) + ending for size in (SHORT, SHORT * FACTOR))

    # Eight times the text: eight times the work, not sixty-four. What is too quick to measure is quick enough.
    assert seconds(work, long) < 3 * FACTOR * max(seconds(work, short), 2e-4)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("order A1-B22-C333444 came", f"order A1 {GAP} came"),
        ("a covid-19 test", "a covid-19 test"),
        ("covid-19-2020-report", f"covid {GAP}"),
        ("mail me@example.com now", f"mail {GAP} now"),
        ("ref ABC123456789 paid", f"ref {GAP} paid"),
    ],
)
def test_identifiers_and_addresses_are_removed(text: str, plain: str) -> None:
    assert " ".join(clean(text).split()) == plain


@pytest.mark.parametrize("label", ["macOS update", "iPhone screen", "eBay order"])
def test_a_label_by_a_model_keeps_a_small_first_letter(label: str) -> None:
    assert plain_text.capitalize(label) == label
