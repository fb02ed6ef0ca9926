"""Names and keywords of whole corpora."""

import os
import subprocess
import sys
import unicodedata
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.errors import Cancelled
from shoal.labeling import Name, name_clusters
from shoal.labeling.languages import ENGLISH
from shoal.labeling.words.sample import DOCUMENTS_PER_CLUSTER, HELD_OUT, sample_rows

BANK = {
    "Card isn't working": [
        "My card isn't working",
        "the card isn't working at the shop",
        "Help, card isn't working!",
        "why isn't my card working",
        "my card doesn't work",
        "card not working since monday",
    ],
    "Reset passcode": [
        "I want to reset my passcode",
        "reset my passcode please",
        "how do I reset the passcode",
        "forgot my passcode",
        "reset passcode",
        "can you help me reset my passcode?",
    ],
    "Exchange rate": [
        "what is the exchange rate today",
        "your exchange rate is bad",
        "exchange rate for euros",
        "where do you get the exchange rate",
        "the exchange rate",
        "current exchange rate of pounds",
    ],
    "Lost luggage": [
        "I lost my luggage",
        "the airline lost my luggage",
        "lost luggage at the airport",
        "help me, lost luggage",
        "my luggage is lost",
        "where do I report lost luggage",
    ],
}


def named(clusters: Sequence[Sequence[str]], centroids: np.ndarray | None = None) -> list[Name]:
    texts = [text for texts in clusters for text in texts]
    labels = np.repeat(np.arange(len(clusters)), [len(texts) for texts in clusters]).astype(np.int32)
    return name_clusters(texts, labels, len(clusters), centroids=centroids)


def test_clusters_are_named_after_the_content_of_their_documents() -> None:
    assert [name.label for name in named(list(BANK.values()))] == list(BANK)


def test_each_keyword_is_a_phrase_that_adds_a_word() -> None:
    keywords = named(list(BANK.values()))[2].keywords

    assert keywords[0] == "exchange rate"
    assert 1 <= len(keywords) <= 8
    assert len(set(keywords)) == len(keywords)


@pytest.mark.parametrize(
    ("texts", "label"),
    [
        (["Mein Passwort zurücksetzen", "Passwort zurücksetzen bitte", "wie kann ich das Passwort zurücksetzen"],
         "Passwort zurücksetzen"),
        (["Meine Karte funktioniert nicht", "Karte funktioniert nicht", "Die Karte funktioniert nicht mehr"],
         "Karte funktioniert nicht"),
        (["La carte ne fonctionne pas", "ma carte ne fonctionne plus"], "Carte ne fonctionne pas"),
        (["Хочу вернуть билет", "Как вернуть билет на поезд", "вернуть билет"], "Вернуть билет"),
        (["我的信用卡被拒绝了", "信用卡无法使用", "信用卡付款失败", "怎么申请信用卡"], "信用卡"),
        (["パスワードを忘れました", "パスワードをリセットしたい", "新しいパスワード"], "パスワード"),
        (["मेरा पासवर्ड काम नहीं कर रहा", "पासवर्ड भूल गया", "पासवर्ड"], "पासवर्ड"),
        (["نسيت كلمة المرور", "كيف أغير كلمة المرور", "كلمة المرور"], "كلمة المرور"),
        (["🎉🎉", "🎉 party tonight 🎉", "party tonight!! 🥳"], "Party tonight"),
        (["<p>See <a href='https://x.org/z?q=1'>our</a> garden chairs</p>", "<b>garden chairs</b> &amp; more",
          "Garden chairs https://x.org/abc <script>var garden='evil'</script>"], "Garden chairs"),
        (["the same sentence"] * 50, "The same sentence"),
        (["Lighthouse keepers"], "Lighthouse keepers"),
        (["who are you", "Who are you?", "and who are you"], "Who are you"),
        (["yes", "Yes!", "yes please"], "Yes"),
    ],
)  # fmt: skip
def test_a_cluster_beside_others_is_named_in_its_own_language(texts: list[str], label: str) -> None:
    assert named([*BANK.values(), texts])[-1].label == label


UNSPACED = {
    "パスワード": ["パスワードを変更したい", "パスワードを忘れた", "パスワードの再設定", "パスワードは必要ですか"],
    "カード": ["カードを変更したい", "カードを紛失した", "カードの再発行", "カードの年会費"],
    "メール": ["メールを変更したい", "メールが届かない", "メールの設定", "メールの署名"],
}


def test_a_loanword_in_katakana_is_a_word_and_can_be_a_name() -> None:
    assert [name.label for name in named(list(UNSPACED.values()))] == list(UNSPACED)


@pytest.mark.parametrize(
    ("groups", "labels"),
    [
        ([["Jag vill returnera en tröja", "Hur gör jag för att returnera varan?", "Är det gratis att returnera?"],
          ["Var är mitt paket?", "Jag kan inte spåra mitt paket", "Mitt paket är skadat"]], ["Returnera", "Paket"]),
        ([["Πώς γίνεται η επιστροφή;", "Η επιστροφή καθυστερεί", "Είναι δωρεάν η επιστροφή;"],
          ["Ξέχασα τον κωδικό μου", "Πώς αλλάζω τον κωδικό;", "Δεν μπορώ να αλλάξω τον κωδικό"]],
         ["Επιστροφή", "Κωδικό"]),
        ([["Hvor er min pakke?", "Min pakke er forsinket", "Jeg kan ikke spore min pakke"],
          ["Jeg har glemt min adgangskode", "Hvordan skifter jeg min adgangskode?", "Ny adgangskode"]],
         ["Pakke", "Adgangskode"]),
        ([["Gdzie jest moja paczka?", "Moja paczka nie dotarła", "paczka"],
          ["Nie pamiętam hasła", "Jak zmienić hasło?", "nowe hasło"]], ["Paczka", "Hasło"]),
    ],
)  # fmt: skip
def test_function_words_of_other_languages_neither_start_nor_form_names(
    groups: list[list[str]], labels: list[str]
) -> None:
    assert [name.label for name in named(groups)] == labels


def test_a_negation_in_swedish_stays_with_what_it_negates() -> None:
    names = named(
        [["Kortet fungerar inte", "Kortet fungerar inte alls", "fungerar inte"], ["nytt paket", "paket", "paketet"]]
    )

    assert "inte" in names[0].label.split()


FORMS = [
    ["W-2 form", "my W-2", "W2 missing", "W-2 wrong"],
    ["1099 form", "1099-INT", "my 1099", "1099 missing", "1099 wrong", "where is the 1099"],
]
YEARS = [[f"Q3 {y} report", f"{y} annual report", f"report for {y}", f"{y} budget"] for y in (2023, 2024)]


@pytest.mark.parametrize(("groups", "numerals"), [(FORMS, ["", "1099"]), (YEARS, ["2023", "2024"])])
def test_a_numeral_that_defines_the_topic_is_in_its_name(groups: list[list[str]], numerals: list[str]) -> None:
    names = named(groups)

    for name, numeral in zip(names, numerals, strict=True):
        assert numeral in name.label


def test_numerals_that_vary_within_a_topic_are_not_in_its_name() -> None:
    names = named([[f"order {i} refund" for i in range(10, 30)], [f"order {i} delivery" for i in range(10, 30)]])

    assert [name.label for name in names] == ["Refund", "Delivery"]


NOTICE = "This message and any attachments are confidential and intended solely for the addressee. "
TOPICS = {
    "refund": "Customer asks for a refund",
    "password": "Customer forgot the password",
    "parcel": "Parcel is lost",
}


@pytest.mark.parametrize(("before", "after"), [(40, 0), (0, 40), (40, 20), (400, 10)])
def test_long_texts_are_named_by_their_differences_wherever_these_occur(before: int, after: int) -> None:
    names = named(
        [[NOTICE * before + f"{topic} {i}. " + NOTICE * after for i in range(12)] for topic in TOPICS.values()]
    )

    for word, name in zip(TOPICS, names, strict=True):
        assert word in name.label.casefold()
        assert "confidential" not in " ".join([name.label, *name.keywords])


def test_clusters_without_words_are_numbered() -> None:
    names = named([["", "  ", "\n"], ["12 34", "99", "1,234.5"], ["🎉🎉"], ["red fox", "the red fox"]])

    assert names[:3] == [Name("Cluster 0", ()), Name("Cluster 1", ()), Name("Cluster 2", ())]
    assert names[3].label == "Red fox"


def test_texts_of_only_numbers_yield_numbered_clusters() -> None:
    assert named([["1", "2"], ["3"]]) == [Name("Cluster 0", ()), Name("Cluster 1", ())]


def test_no_documents_and_no_clusters_are_accepted() -> None:
    assert name_clusters([], np.zeros(0, np.int32), 0) == []
    assert name_clusters([], np.zeros(0, np.int32), 2) == [Name("Cluster 0", ()), Name("Cluster 1", ())]


def test_a_cluster_number_without_documents_gets_a_numbered_name() -> None:
    names = name_clusters(["red fox", "a red fox", "blue whale"], np.array([0, 0, 2], np.int32), 3)

    assert [name.label for name in names] == ["Red fox", "Cluster 1", "Blue whale"]


def test_noise_is_not_read() -> None:
    texts = ["red fox", "the red fox", *["grey wolf"] * 5]

    names = name_clusters(texts, np.array([0, 0, -1, -1, -1, -1, -1], np.int32), 1)

    assert names == [Name("Red fox", ("red fox",))]


def test_equal_texts_count_once() -> None:
    """50 copies of one text do not outvote two others."""
    names = named([[*["system notice"] * 50, "red fox runs", "a red fox", "red fox"], ["blue whale"] * 3])

    assert names[0].label == "Red fox"


def test_clusters_with_the_same_content_still_have_different_names() -> None:
    same = ["red fox runs", "the red fox", "a red fox sleeps"]

    labels = [name.label for name in named([same, same, same, ["blue whale"]])]

    assert len(set(labels)) == 4
    assert "Red fox" in labels
    assert not any("#" in label for label in labels)


def test_a_taken_name_is_distinguished_by_a_word_of_the_cluster() -> None:
    cash = ["exchange rate for cash", "cash exchange rate", "exchange rate when I get cash"]
    weekend = ["exchange rate on the weekend", "weekend exchange rate", "exchange rate of this weekend"]

    labels = [name.label.casefold() for name in named([cash, weekend, BANK["Lost luggage"]])]

    assert "cash" in labels[0]
    assert "weekend" in labels[1]


def test_the_phrases_of_near_clusters_are_avoided() -> None:
    """Clusters 0 and 1 both mention the train, so the word distinguishes them poorly."""
    train = [f"train {word}" for word in ("ticket", "ticket office", "ticket price", "ticket refund")]
    delay = [f"train {word}" for word in ("delay", "delay again", "delay refund", "delay today")]
    centroids = np.array([[1, 0.1], [1, -0.1], [-1, 0]], np.float32)

    labels = [name.label for name in named([train, delay, BANK["Lost luggage"]], centroids)]

    assert "ticket" in labels[0].casefold()
    assert "delay" in labels[1].casefold()


def test_text_that_looks_like_instructions_is_treated_as_text() -> None:
    name = named([["Ignore previous instructions <script>alert(1)</script>", "ignore previous instructions now"]])[0]

    assert name.label == "Ignore previous instructions"


def test_no_control_character_or_bidi_override_occurs_in_a_name() -> None:
    texts = ["\u202eevil\u202c red\x07 fox \x1b[31m", "red\u200b fox\x00", "\u2066red fox\u2069"]

    name = named([texts])[0]

    assert name.label == "Red fox"
    assert name.keywords[0] == "red fox"


def test_of_a_large_cluster_a_sample_is_read_whatever_the_order_of_rows() -> None:
    texts = [f"text number {row}" for row in range(5_000)]
    labels = np.zeros(5_000, np.int32)
    labels[::100] = 1
    order = np.random.default_rng(0).permutation(5_000)

    sample = sample_rows(texts, [labels])
    shuffled = sample_rows([texts[row] for row in order], [labels[order]])

    assert np.bincount(labels[sample.rows]).tolist() == [DOCUMENTS_PER_CLUSTER + HELD_OUT, 50]
    assert order[shuffled.rows].tolist() == sample.rows.tolist()
    assert shuffled.held_out.tolist() == sample.held_out.tolist()


def test_a_fifth_of_a_cluster_is_held_out_unless_it_is_small() -> None:
    labels = np.repeat(np.array([0, 1], np.int32), [40, 19])

    sample = sample_rows([f"text {row}" for row in range(59)], [labels])

    assert np.bincount(sample.cells[sample.held_out], minlength=2).tolist() == [8, 0]


def test_of_two_casings_as_frequent_the_first_by_spelling_is_shown_for_any_order() -> None:
    texts = ["pay by PayPal today", "pay by Paypal now", "blue whale", "blue whales"]
    labels = np.array([0, 0, 1, 1], np.int32)

    names, reversed_names = name_clusters(texts, labels, 2), name_clusters(texts[::-1], labels[::-1], 2)

    assert names == reversed_names
    assert "PayPal" in names[0].label


def test_of_texts_that_differ_in_case_alone_the_same_is_read_for_any_order() -> None:
    texts = ["pay by PayPal", "pay by Paypal", "blue whale", "blue whales"]
    labels = np.array([0, 0, 1, 1], np.int32)

    assert name_clusters(texts, labels, 2) == name_clusters(texts[::-1], labels[::-1], 2)


def test_progress_rises_to_one_and_can_cancel_the_work() -> None:
    heard: list[float] = []
    texts, labels = ["red fox", "blue whale"], np.array([0, 1], np.int32)

    name_clusters(texts, labels, 2, progress=heard.append)

    assert heard == sorted(heard)
    assert heard[-1] == 1.0

    def stop(fraction: float) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        name_clusters(texts, labels, 2, progress=stop)


_PROGRAM = """
import numpy as np
from shoal.labeling import name_clusters
texts = [f"{a} {b} {c}" for a in ("red","blue","old") for b in ("fox","whale","house") for c in ("runs","is gone")]
print(name_clusters(texts, (np.arange(18) % 5).astype(np.int32), 5))
"""


@pytest.mark.process
def test_names_do_not_depend_on_the_hash_seed() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert outputs[0] == outputs[1]
    assert "Name(" in outputs[0]


def _split(text: str) -> list[str]:
    return text.split()


_WORDS = st.sampled_from(
    _split(
        """the a of my isn't not can't how long why do is working card fee payment transfer many to in lost found and
        never received money i you take get last up declined , . ? Karte funktioniert nicht 卡 信 ٱلْمَال 12 <b> 🎉"""
    )
)
# Without German words: the language is guessed per text, and "a" is no article in German.
_ENGLISH_OR_SIGNS = _WORDS.filter(lambda word: word not in ("Karte", "funktioniert", "nicht"))
_TEXTS = st.lists(st.lists(_WORDS, max_size=9).map(" ".join) | st.text(max_size=30), max_size=30)


@settings(max_examples=80, deadline=None)
@given(texts=_TEXTS, clusters=st.integers(1, 9))
def test_whatever_the_texts_names_are_distinct_bounded_and_printable(texts: list[str], clusters: int) -> None:
    labels = (np.arange(len(texts)) % (clusters + 1) - 1).astype(np.int32)

    names = name_clusters(texts, labels, clusters)

    assert names == name_clusters(texts, labels, clusters)
    assert len({name.label.casefold() for name in names}) == len(names) == clusters
    for name in names:
        assert 1 <= len(name.label) <= 80
        assert len(name.keywords) <= 10 and all(1 <= len(word) <= 40 for word in name.keywords)
        for text in (name.label, *name.keywords):
            assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\u202e\u2066" for c in text)


_CONTENT = st.sampled_from(["card", "fee", "transfer", "payment", "account", "passcode", "luggage", "refund"])
_VERBS = st.sampled_from(["working", "arrived", "accepted", "declined", "refunded"])
_FRAMES = st.sampled_from(
    [
        "my {n} isn't {v}", "the {n} is not {v} today", "why isn't my {n} {v}", "isn't the {n} {v}",
        "{n} hasn't {v} yet", "I said the {n} was never {v}", "the {n} still wasn't {v} on monday",
    ]
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(_FRAMES, _CONTENT, _VERBS), min_size=1, max_size=12), st.integers(1, 3))
def test_a_name_never_says_the_opposite_of_the_texts(parts: list[tuple[str, str, str]], clusters: int) -> None:
    """Every verb is negated in every text, so no name may contain one without a preceding negation."""
    texts = [frame.format(n=noun, v=verb) for frame, noun, verb in parts]
    verbs = {"working", "arrived", "accepted", "declined", "refunded"}

    names = name_clusters(texts, (np.arange(len(texts)) % clusters).astype(np.int32), clusters)

    for text in [text.casefold() for name in names for text in (name.label, *name.keywords)]:
        words = text.split()
        if verbs & set(words):
            assert any(word.endswith("n't") or word in ("not", "never") for word in words), text


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(_ENGLISH_OR_SIGNS, min_size=2, max_size=9).map(" ".join),
        min_size=2,
        max_size=20,
        unique_by=str.casefold,
    )
)
def test_a_name_of_several_words_does_not_end_in_an_article_or_preposition(texts: list[str]) -> None:
    """A text shared by several documents names their cluster in full, whatever its last word, so all differ here."""
    dangling = ENGLISH.prepositions | ENGLISH.determiners

    names = name_clusters(texts, (np.arange(len(texts)) % 2).astype(np.int32), 2)

    for text in [text for name in names for text in (name.label, *name.keywords)]:
        words = text.casefold().replace("(", "").replace(")", "").split()
        if len(words) > 1:
            assert words[-1] not in dangling, text
            assert words[0] not in dangling, text


def test_a_word_used_by_all_clusters_names_the_one_that_uses_it_most() -> None:
    genres = [[f"a comedy film starring {name} {row}" for row in range(20)] for name in ("Ada", "Bob")]
    others = [[f"a film about {word} {row}{' and comedy' * (row < 3)}" for row in range(20)] for word in
              ("war", "horses", "space", "ghosts", "trains", "pirates", "spies", "kings")]  # fmt: skip

    label = named([genres[0] + genres[1], *others])[0].label

    assert "comedy" in label.lower()
    assert not label.lower().endswith("starring")


def test_a_number_alone_is_not_a_name_if_there_are_words() -> None:
    names = named([["20", "20 came out", "20 came out of it", "20"], ["rain today", "rain again", "more rain"]])

    assert not names[0].label.isdigit()


def test_a_phrase_of_very_few_documents_does_not_name_a_cluster_with_other_content() -> None:
    filler = ("monday", "tuesday", "alpha", "beta", "gamma", "delta", "north", "south", "east", "west")
    films = [f"{i} a thriller, {filler[i % 10]}" if i % 3 == 0 else f"{i} {filler[i % 7]}" for i in range(300)]
    films[:6] = [f"Robin Hood returns {i}" for i in range(6)]
    meals = [f"{i} a recipe, {filler[i % 10]}" for i in range(300)]

    labels = [name.label for name in named([films, meals])]

    assert "Robin" not in labels[0]
    assert "thriller" in labels[0].lower()


def test_if_no_phrase_is_frequent_a_name_combines_two() -> None:
    words = [
        f"{first}{second}"
        for first in ("ba", "ke", "lo", "mi", "nu", "pa", "re", "so")
        for second in ("zan", "tor", "vil", "mak", "den")
    ]
    many = [word for word in words for _ in range(4)]
    texts = [f"{word} {i}x" for i, word in enumerate(many)]
    other = [f"refund number {i}" for i in range(len(texts))]

    first, second = (name.label for name in named([texts, other]))

    assert len(first.split(", ")) == 2
    assert second.startswith("Refund")


def test_a_cluster_of_identical_documents_is_named_after_their_text() -> None:
    assert [name.label for name in named([["same words here"] * 50])] == ["Same words here"]
    assert [name.label for name in named([["same words here"] * 25, ["Another thing."] * 25])] == [
        "Same words here",
        "Another thing",
    ]
