"""Words of scripts without spaces, with the dictionaries of ICU and without."""

from collections.abc import Sequence

import numpy as np
import pytest

from shoal.labeling import Name, name_clusters
from shoal.labeling.words import unspaced
from shoal.labeling.words.unspaced import describe_missing_dictionary, learn_splitter


def named(clusters: Sequence[Sequence[str]]) -> list[Name]:
    texts = [text for own in clusters for text in own]
    labels = np.repeat(np.arange(len(clusters)), [len(own) for own in clusters]).astype(np.int32)
    return name_clusters(texts, labels, len(clusters))


@pytest.fixture
def without_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unspaced, "_icu", lambda: None)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("パスワードを変更できない", ["パスワード", "を", "変更", "できない"]),
        ("ログインできません", ["ログイン", "でき", "ません"]),
        ("退款还没有到账", ["退款", "还没有", "到", "账"]),
        ("บัตรของฉันใช้งานไม่ได้", ["บัตร", "ของ", "ฉัน", "ใช้", "งาน", "ไม่ได้"]),
        ("ພາສາລາວ", ["ພາສາ", "ລາວ"]),
        ("ភ្លេចពាក្យសម្ងាត់", ["ភ្លេច", "ពាក្យសម្ងាត់"]),
    ],
)
def test_words_come_from_the_dictionaries_of_icu(run: str, words: list[str]) -> None:
    pytest.importorskip("icu4py")

    assert learn_splitter([])(run) == words


@pytest.mark.usefixtures("without_dictionary")
def test_without_a_dictionary_a_string_that_recurs_as_a_whole_is_a_word() -> None:
    split = learn_splitter(["我的信用卡丢了", "办理信用卡", "信用卡额度", "这张信用卡很好"])

    assert split("我的信用卡额度") == ["我的", "信用卡", "额", "度"]
    assert split("新信用卡") == ["新", "信用卡"]


@pytest.mark.usefixtures("without_dictionary")
def test_without_a_dictionary_a_part_of_a_word_is_no_word() -> None:
    split = learn_splitter([f"{a}信用卡{b}" for a in "甲乙丙丁" for b in "戊己庚辛"])

    assert split("信用") == ["信", "用"], "always followed by the same character"


@pytest.mark.usefixtures("without_dictionary")
@pytest.mark.parametrize(
    ("texts", "word"),
    [
        (["รหัสผ่านใช้งานไม่ได้", "เปลี่ยนรหัสผ่าน", "รหัสผ่านไม่ถูกต้อง", "ลืมรหัสผ่านของฉัน"], "รหัสผ่าน"),
        (["ค่าธรรมเนียมแพง", "คืนค่าธรรมเนียม", "จ่ายค่าธรรมเนียมแล้ว", "ค่าธรรมเนียมเท่าไหร่"], "ค่าธรรมเนียม"),
    ],
)
def test_without_a_dictionary_no_word_of_thai_is_cut_between_a_consonant_and_its_vowel(
    texts: list[str], word: str
) -> None:
    split = learn_splitter(texts)

    assert all(word in split(text) for text in texts)


@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("text", ["ลืมรหัสผ่าน", "忘记密码", "ភ្លេច", "forgot it"])
def test_people_learn_of_a_missing_dictionary_where_it_would_help(
    dictionary: bool, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unspaced, "_icu", lambda: object() if dictionary else None)

    hints = describe_missing_dictionary([text] * 3)

    assert ["shoal[languages]" in hint for hint in hints] == [True] * (not dictionary and not text.isascii())


@pytest.mark.usefixtures("without_dictionary")
def test_without_a_dictionary_function_words_and_negations_are_known() -> None:
    split = learn_splitter([])

    assert split("パスワードを変更できません") == ["パスワード", "を", "変", "更", "できません"]
    assert split("无法登录") == ["无法", "登", "录"]
    assert "ไม่" in split("บัตรไม่ดี")


@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize(
    "run", ["", "パ", "パスワードを忘れた", "信用卡无法使用", "ใช้งานไม่ได้", "ថ្ងៃ", "မြန်မာ", "々〇ゝ"]
)
def test_the_words_of_a_run_join_to_the_run(run: str, dictionary: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not dictionary:
        monkeypatch.setattr(unspaced, "_icu", lambda: None)

    assert "".join(learn_splitter([run] * 5)(run)) == run


LOANWORDS = {
    "パスワード": ["パスワードを変更したい", "パスワードを忘れた", "パスワードの再設定", "パスワードは必要ですか"],
    "カード": ["カードを変更したい", "カードを紛失した", "カードの再発行", "カードの年会費"],
    "メール": ["メールを変更したい", "メールが届かない", "メールの設定", "メールの署名"],
}
CHINESE = {
    "信用卡": ["我的信用卡丢了", "怎么办理信用卡", "信用卡额度太低", "信用卡被吞了", "想注销信用卡"],
    "密码": ["忘记密码了", "密码怎么改", "我想重置密码", "密码总是错误", "登录密码不对"],
    "退款": ["退款什么时候到账", "申请退款", "我的退款在哪里", "退款金额不对", "退款失败了"],
}
THAI = {
    "บัตร": ["บัตรหาย", "ขอบัตรใหม่", "บัตรหมดอายุ", "บัตรของฉันถูกขโมย", "สมัครบัตร"],
    "รหัสผ่าน": ["ลืมรหัสผ่าน", "เปลี่ยนรหัสผ่าน", "รหัสผ่านไม่ถูกต้อง", "ตั้งรหัสผ่านใหม่", "รหัสผ่านหมดอายุ"],
    "พัสดุ": ["พัสดุหาย", "พัสดุยังไม่มาถึง", "ติดตามพัสดุ", "พัสดุเสียหาย", "พัสดุของฉันอยู่ที่ไหน"],
}


@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("groups", [LOANWORDS, CHINESE, THAI])
def test_the_word_that_every_document_of_a_cluster_holds_is_in_its_label(
    groups: dict[str, list[str]], dictionary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not dictionary:
        monkeypatch.setattr(unspaced, "_icu", lambda: None)

    for word, name in zip(groups, named(list(groups.values())), strict=True):
        assert word in name.label
