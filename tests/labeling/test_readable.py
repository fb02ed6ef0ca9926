"""What is read of mails and pages: names, vectors and examples agree on it."""

import numpy as np
import pytest

from shoal.encoders import open_encoder
from shoal.labeling import readable
from shoal.labeling.text import strip_markup
from shoal.library.text_encoding import encode_texts
from shoal.records.text_encoding import TextEncoding
from shoal.runs.encoders import PermittedEncoders

BODY = "Where is my lost luggage from the flight to Oslo"
MENU = "".join(f"<li><a href='/{item}'>{item}</a></li>" for item in ("Home", "Orders", "My account"))


@pytest.mark.parametrize(
    "ending",
    [
        "Best regards,\nAnna Keller\nSenior Consultant | Nordwind GmbH\nPhone: +49 40 123",
        "Mit freundlichen Grüßen\n\nAnna Keller\nHafenstraße 12",
        "Cordialement,\nJeanne Petit",
        "Sent from my iPhone",
        "Gesendet von meinem Telefon\n\nAm 3. März schrieb Bo:\n> Hallo",
        "On Mon, 3 Mar 2025, Bo wrote:\n> Dear customer, thank you for your order",
        "-- \nAnna Keller",
        "This e-mail is confidential and intended solely for the addressee. If you received it in error, delete it.",
        "Diese E-Mail ist vertraulich und nur für den Empfänger bestimmt.",
        "Kind regards\nTom\n\nPlease consider the environment before printing this email.",
        "You receive this mail because you subscribed to our newsletter. To unsubscribe click here.",
    ],
)
def test_what_stands_below_a_mail_is_not_read(ending: str) -> None:
    assert readable(f"{BODY}\n\n{ending}") == BODY


@pytest.mark.parametrize(
    "page",
    [
        "<html><head><style>p{color:red}</style></head><body><nav><button>Menu</button></nav><p>{}</p></body></html>",
        "<div><ul>MENU</ul></div><p>{}</p><footer>All rights reserved</footer>",
        "<script>track({page: 1})</script><b>{}</b>",
        "<nav>Home <select><option>Oslo</select></nav>\n{}\n<iframe src='x'></iframe>",
        "{}\n<aside>Never <em>mind</em></aside>",
    ],
)
def test_what_surrounds_a_page_is_not_read(page: str) -> None:
    assert readable(page.replace("MENU", MENU).replace("{}", BODY)) == BODY


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        "How do I unsubscribe from the newsletter?\nIt says all is confidential.",
        "Best wishes\nfor your birthday",
        "I read 2 < 3 and x > y",
        "A list:\n- cheers from the crowd\n- a goal",
        "<nav>Home</nav>",
        "> only a quotation\n> of another",
    ],
)
def test_what_is_said_stays(text: str) -> None:
    words = text.replace("<nav>", "").replace("</nav>", "").split()

    assert readable(text).split() == words
    assert readable(readable(text)) == readable(text)


def test_names_read_what_vectors_read() -> None:
    text = f"<p>{BODY}</p><nav>Home</nav>\nKind regards\nTom"

    assert strip_markup(text).replace(" .", "").strip() == readable(text) == BODY


def test_a_mail_has_the_vector_of_what_its_writer_says() -> None:
    texts = [f"{BODY}\n\nSent from my iPhone", f"<p>{BODY}</p><footer>Terms of use</footer>"]
    expected = open_encoder("static").encode([BODY])[[0, 0]]

    library, encoding, _ = encode_texts(texts, "static")
    run = PermittedEncoders().encode(
        TextEncoding(encoder="static", feature_uri="v", vector_name="v", fields=["text"], dimension=encoding.dimension),
        texts,
    )

    np.testing.assert_array_equal(library, expected)
    np.testing.assert_array_equal(encoding.encode(texts), expected)
    np.testing.assert_array_equal(run.points, expected)
