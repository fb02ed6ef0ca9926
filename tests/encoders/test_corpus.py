"""The encoder of the corpus itself: any script, the same in any order of rows."""

import numpy as np
import pytest

from shoal.encoders import fit_encoder, needs_fit, open_encoder, restore_encoder
from shoal.encoders.corpus import CorpusEncoder, choose_features
from shoal.encoders.words import split_words
from shoal.errors import InvalidRequest

SUBJECTS = {
    "de": ["Rechnung Betrag", "Lieferung Paket", "Anmeldung Passwort", "Zimmer Buchung"],
    "ja": ["請求書の金額", "荷物の配送日", "ログイン用暗証番号", "部屋と予約"],
    "ar": ["مبلغ الفاتورة", "توصيل الطرد", "كلمة المرور", "حجز الغرفة"],
}
FORMS = {
    "de": ["{} ist falsch", "Frage zur {}", "wo ist die {}?", "{} bitte ändern"],
    "ja": ["{}間違い", "{}の質問です", "{}どこですか", "{}変更してください"],
    "ar": ["مشكلة في {}", "سؤال عن {}", "أين {}", "تغيير {}"],
}


def corpus(language: str) -> tuple[list[str], np.ndarray]:
    texts = [form.format(subject) for subject in SUBJECTS[language] for form in FORMS[language]]
    return texts, np.repeat(np.arange(4), 4)


@pytest.mark.parametrize("language", ["de", "ja", "ar"])
def test_texts_of_one_subject_are_nearest_in_any_script(language: str) -> None:
    texts, subjects = corpus(language)
    vectors = CorpusEncoder(16).fit(texts).encode(texts)
    likeness = vectors @ vectors.T - 2 * np.eye(len(texts))
    assert (subjects[likeness.argmax(1)] == subjects).mean() >= 0.8


def test_the_order_of_rows_and_repeated_rows_decide_nothing() -> None:
    texts, _ = corpus("de")
    encoder = CorpusEncoder(8).fit(texts)
    again = CorpusEncoder(8).fit(texts[::-1] + texts[:5])
    assert encoder.name == again.name
    assert np.array_equal(encoder.encode(texts), again.encode(texts))


def test_a_vector_does_not_depend_on_the_texts_beside_it() -> None:
    texts, _ = corpus("ja")
    encoder = CorpusEncoder(8).fit(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert np.array_equal(encoder.encode(texts), alone)


def test_later_texts_get_the_same_space_from_the_saved_parts() -> None:
    texts, _ = corpus("ar")
    encoder = CorpusEncoder(8).fit(texts)
    restored = restore_encoder("corpus", encoder.parts())
    later = ["أين الفاتورة الآن", "nothing that it knows", ""]
    assert (restored.name, restored.dimension) == (encoder.name, encoder.dimension)
    assert np.array_equal(restored.encode(later), encoder.encode(later))
    assert np.linalg.norm(encoder.encode(later)[2]) == 0


def test_it_encodes_nothing_before_it_has_learned() -> None:
    encoder = open_encoder("corpus")
    assert needs_fit(encoder) and not needs_fit(open_encoder("static"))
    with pytest.raises(InvalidRequest, match="call fit"):
        encoder.encode(["text"])


@pytest.mark.parametrize("texts", [[], [""], ["same"] * 5, ["a"], ["!!!", "???"]])
def test_a_corpus_of_nothing_much_gets_finite_vectors(texts: list[str]) -> None:
    vectors = fit_encoder(CorpusEncoder(), texts).encode(texts)
    assert vectors.shape[0] == len(texts) and np.isfinite(vectors).all()


def test_learning_can_be_stopped() -> None:
    def stop(done: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        CorpusEncoder().fit(corpus("de")[0], stop)


def test_rare_features_go_where_there_are_too_many_to_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoal.encoders.corpus.MOST_COUNTED", 300)
    texts = [f"common words {number * 7919:x} {number * 104729:x}" for number in range(200)]

    features = choose_features(split_words(texts))

    assert {"=common", "=words"} <= set(features) and len(features) <= 300
    assert features == choose_features(split_words(texts))
