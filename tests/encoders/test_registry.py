"""Encoders by URI, and the choice between the two in the package."""

import pytest

from shoal.encoders import choose_encoder, estimate_encoding, open_encoder
from shoal.errors import InvalidField
from shoal.labeling import readable

ENGLISH = ["How do I reset my password?", "The delivery was late and the box broken", "great phone, poor battery"]
KEYWORDS = ["wireless headphones", "garden furniture", "running shoes", "kitchen knife set"]
OTHERS = {
    "German": ["Wie setze ich mein Passwort zurück?", "Die Lieferung kam zu spät", "tolles Telefon, schwacher Akku"],
    "Spanish": ["¿Cómo cambio mi contraseña?", "El paquete llegó tarde y roto", "buen teléfono, mala batería"],
    "French": ["Comment changer mon mot de passe ?", "La livraison est arrivée en retard", "très bon téléphone"],
    "Dutch": ["Hoe wijzig ik mijn wachtwoord?", "De levering was te laat", "goede telefoon, slechte batterij"],
    "Japanese": ["パスワードを変更したい", "配送が遅い", "電池がすぐ切れる"],
    "Russian": ["Как сменить пароль?", "Доставка опоздала", "хороший телефон"],
}


@pytest.mark.parametrize("texts", [ENGLISH, KEYWORDS, [], ["", "12345"]])
def test_english_texts_get_the_bundled_encoder_without_a_word(texts: list[str]) -> None:
    assert choose_encoder(texts) == ("static", None)


@pytest.mark.parametrize("language", OTHERS)
def test_other_languages_get_their_own_words_and_a_sentence_about_it(language: str) -> None:
    choice = choose_encoder(OTHERS[language])
    assert choice.uri == "corpus"
    assert choice.reason and "English" in choice.reason


def test_a_few_foreign_texts_among_english_ones_change_nothing() -> None:
    assert choose_encoder(ENGLISH * 4 + OTHERS["German"]).uri == "static"


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        ("statik", "Did you mean static?"),
        ("onnxx:folder", "Did you mean onnx?"),
        ("nothing", "Known are static, corpus"),
        ("static:x", "Write static."),
        ("openai:", "Write openai:MODEL"),
        ("onnx", "Write onnx:FOLDER."),
    ],
)
def test_a_wrong_uri_names_what_is_known(uri: str, part: str) -> None:
    with pytest.raises(InvalidField, match="encoder") as caught:
        open_encoder(uri)
    assert part in caught.value.message


def test_an_estimate_grows_with_texts_and_characters() -> None:
    encoder = open_encoder("static")
    seconds, size = estimate_encoding(encoder, 1_000_000, 100_000_000)
    assert 5 < seconds < 200 and size < 2**30
    assert estimate_encoding(encoder, 10, 10_000_000)[0] > estimate_encoding(encoder, 10, 1000)[0]


def test_the_language_of_a_page_is_that_of_its_text() -> None:
    head = "<head><style>body { color: red; font: small } .menu { display: none }</style></head>" * 20
    pages = [f"{head}<p>{text}</p>" for text in OTHERS["German"]]

    assert choose_encoder(pages).uri == "static"
    assert choose_encoder(pages, readable).uri == "corpus"
