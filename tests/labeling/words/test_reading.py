"""What of a text is read for names: not what all documents share, and all the rest, wherever it stands."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from shoal.labeling import Name, document_text, name_clusters
from shoal.labeling.text import LONGEST_READ, clean, condense
from shoal.labeling.words.numerals import topical_numerals

NOTICE = "This message and any attachments are confidential and intended solely for the addressee. "
PEOPLE = ("Anna Schmidt", "Bob Lee", "Carla Diaz", "Deng Wei", "Ella Okafor", "Farid Khan", "Greta Olsen")
COMPANIES = ("Acme Corp", "Globex Ltd", "Initech Inc", "Umbrella GmbH", "Hooli LLC")
TOPICS = {
    "refund": (
        "Customer asks for a refund of order {}.",
        "The refund for order {} has not arrived.",
        "I want a refund.",
    ),
    "password": (
        "Customer cannot reset the password {}.",
        "The password reset link is broken.",
        "I forgot my password.",
    ),
    "parcel": ("Parcel arrived damaged {}.", "The parcel is lost.", "Where is my parcel?"),
    "invoice": ("The invoice {} is wrong.", "Please send the invoice {} again.", "I need an invoice."),
}
WRAPPINGS: dict[str, Callable[[str, int], str]] = {
    "a notice first": lambda text, i: NOTICE * 22 + text,
    "a notice at the end": lambda text, i: f"{text} {NOTICE * 22}",
    "notices around it": lambda text, i: f"{NOTICE * 11}{text} {NOTICE * 11}",
    "more notices than are read": lambda text, i: f"{NOTICE * 400}{text} {NOTICE * 300}",
    "no punctuation": lambda text, i: NOTICE.rstrip(". ") + " " + NOTICE.replace(".", "") * 25 + text,
    "a notice of each company": lambda text, i: (
        (
            f"{COMPANIES[i % 5]} is a registered company; the information in this mail is meant only for the person it "
            f"is addressed to, says {COMPANIES[i % 5]}. " * 12
        )
        + text
    ),
    "a name and a date in it": lambda text, i: (
        f"Dear {PEOPLE[i % 7]}, thank you for contacting our support team on {i % 28 + 1} March 2024. "
        + "Our offices are open from nine to five on all working days and closed on holidays. " * 20
        + f"{text} Kind regards {PEOPLE[(i + 3) % 7]} customer care department of the company"
    ),
    "a telephone": lambda text, i: f"{text}\n\nSent from my iPhone",
    "a signature": lambda text, i: f"{text}\n-- \n{PEOPLE[i % 7]}\nSenior Account Manager\nAcme Corp, 12 Main Street",
    "a quoted mail": lambda text, i: (
        f"{text}\n\nOn Mon, 3 Mar 2024 at 10:{i:02d}, {PEOPLE[i % 7]} <x@y.com> wrote:\n> About the newsletter\n> Bye"
    ),
    "code": lambda text, i: f"{text}\n```python\nfor row in table.rows():\n    print(row.value)\n```\n",
    "a style sheet": lambda text, i: f"<style>p.MsoNormal {{margin:0cm; color:red}}</style><p>{text}</p>",
    "a style sheet without tags": lambda text, i: f"p.MsoNormal, li.MsoNormal {{margin:0cm; color:red}}\n{text}",
    "a style sheet longer than is read": lambda text, i: (
        "<html><head><style>" + "p.MsoNormal {margin:0cm; color:red}\n" * 900 + f"</style></head><body>{text}</body>"
    ),
    "json": lambda text, i: (
        f'{{"channel": "email", "priority": "high", "body": "{text}", "at": "2024-03-0{i % 9}T10:00"}}'
    ),
    "a log": lambda text, i: f"2024-11-30T12:{i:02d}:01.123Z INFO [worker-{i}] com.acme.support.Handler - {text}",
    "navigation": lambda text, i: (
        "<nav><ul><li><a href='/'>Home</a></li><li><a href='/shop'>Shop</a></li><li><a href='/about'>About us</a></li>"
        f"</ul></nav><main>{text}</main><footer>All rights reserved 2024 | Imprint | Privacy policy</footer>"
    ),
    "a banner": lambda text, i: (
        f"We use cookies to improve your experience. Accept all cookies.\n{text}\nSubscribe now"
    ),
    "German": lambda text, i: "Diese Nachricht ist vertraulich und nur für den Empfänger bestimmt. " * 25 + text,
    "Japanese": lambda text, i: (
        "このメールおよび添付ファイルは機密情報を含んでおり、宛先の方のみを対象としています。" * 40 + text
    ),
}
SHARED = (
    *(
        "confidential",
        "attachments",
        "registered",
        "regards",
        "iphone",
        "newsletter",
        "manager",
        "msonormal",
        "cookies",
    ),
    *("imprint", "home", "vertraulich", "機密", "priority", "worker", "offices", "acme", "print"),
)


def named(clusters: Sequence[Sequence[str]]) -> list[Name]:
    texts = [text for own in clusters for text in own]
    labels = np.repeat(np.arange(len(clusters)), [len(own) for own in clusters]).astype(np.int32)
    return name_clusters(texts, labels, len(clusters))


@pytest.mark.parametrize("size", [12, 30])
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_what_all_clusters_share_is_left_out_and_the_rest_is_read(wrapping: str, size: int) -> None:
    wrap = WRAPPINGS[wrapping]

    names = named([[wrap(forms[i % 3].format(i), i) for i in range(size)] for forms in TOPICS.values()])

    for topic, name in zip(TOPICS, names, strict=True):
        assert topic in name.label.casefold()
        written = " ".join([name.label, *name.keywords]).casefold()
        assert not [word for word in SHARED if word in written]


def test_the_whole_text_counts_where_there_are_few() -> None:
    """The topic is said once, 30 % into a text of 2,000 words that are all different."""
    filler = [
        f"{a}{b}{c}" for a in "bcdfghklmnprst" for b in "aeiou" for c in ("x", "rt", "nd", "lk", "mp", "ss", "ck")
    ]
    rng = np.random.default_rng(0)
    groups = [
        [" ".join([*rng.choice(filler, 600), topic, *rng.choice(filler, 1_400)]) for _ in range(10)]
        for topic in ("solar panels", "garden roses", "chess openings")
    ]

    names = named(groups)

    assert [name.label for name in names] == ["Solar panels", "Garden roses", "Chess openings"]


def test_condensing_removes_repetition_and_style_sheets_before_it_cuts() -> None:
    text = NOTICE * 300 + "The needle. " + NOTICE * 300
    page = "<style>" + "p {color: red}\n" * 5_000 + "</style>The needle." + "<script>" + "f();\n" * 9_000 + "</script>"

    assert "The needle." in condense(text)
    assert "The needle." in condense(page)
    assert document_text([text]) == condense(text).strip()
    assert len(condense("word " * 100_000)) <= LONGEST_READ


@pytest.mark.parametrize("text", ["x" * 50_000, "a b. " * 20_000, "<style>" * 9_000, NOTICE * 900, "日本。" * 20_000])
def test_condensing_twice_is_condensing_once(text: str) -> None:
    assert condense(condense(text)) == condense(text)


def test_a_text_of_only_quotes_or_code_is_read() -> None:
    assert "hello there" in clean("> hello there\n> my friend")
    assert "print" in clean("```\nprint(row)\n```")


@pytest.mark.parametrize(
    "unit",
    ["{", "{:", "<a ", "<svg", "<svg ", "\n> a", "\non wrote wrote", "isn t ", "&", "a.b-", "a1", "-- \n", "```\n"],
)
def test_hostile_texts_are_read_in_linear_time(unit: str) -> None:
    """Would take minutes with a pattern that backtracks."""
    text = unit * (400_000 // len(unit))

    assert clean(text, 4_000) is not None
    assert clean("{" + ":" * 400_000) is not None


@pytest.mark.parametrize(
    ("code", "frame"),
    [
        ("1099", "{} form {}"),
        ("404", "HTTP {} error {}"),
        ("27001", "ISO {} audit {}"),
        ("A320", "the {} aircraft {}"),
        ("5G", "{} coverage {}"),
        ("0x80070057", "update error {} {}"),
        ("2024", "Q3 {} report {}"),
        ("HTTP404", "it says {} {}"),
    ],
)
def test_a_code_that_makes_the_topic_is_in_the_name_or_keywords(code: str, frame: str) -> None:
    words = ("again", "today", "for me", "at home", "in March", "please")

    name = named([[frame.format(code, word) for word in words], [f"a red fox {word}" for word in words]])[0]

    assert code in " ".join([name.label, *name.keywords])


@pytest.mark.parametrize(
    "make",
    [
        lambda i: f"order {1000 + i}",
        lambda i: f"ticket TCK-{4000 + i}",
        lambda i: f"2024-03-{i + 1:02d}T10:00:{i:02d}",
        lambda i: f"id 9f8e7d6c{i:04x}",
        lambda i: f"550e8400-e29b-41d4-a716-44665544{i:04d}",
        lambda i: f"{i + 10}:45 and 12.{i:02d} EUR",
    ],
)
def test_numbers_that_differ_between_documents_are_in_no_name(make: Callable[[int], str]) -> None:
    names = named([[f"refund for {make(i)}" for i in range(20)], [f"delivery of {make(i)}" for i in range(20)]])

    for name in names:
        assert not any(character.isdigit() for text in (name.label, *name.keywords) for character in text)


def test_hashes_and_long_numbers_are_never_topical() -> None:
    texts = ["commit 9f8e7d6c5b4a order 123456789 at 2024-01-05 on 10:45"] * 5

    assert topical_numerals(texts, np.zeros(5, np.int32), 1) == frozenset()
