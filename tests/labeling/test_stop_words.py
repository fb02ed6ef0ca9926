"""Stop words of the user, from a list or a file."""

from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InvalidField
from shoal.labeling import name_clusters, read_stop_words

TEXTS = [
    "Acme refund is late",
    "the refund of Acme",
    "Acme refund please",
    "Acme parcel",
    "my Acme parcel",
    "parcel from Acme",
]
LABELS = np.repeat(np.arange(2, dtype=np.int32), 3)


def test_words_come_from_a_list_or_the_lines_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("\ufeffAcme  Ticket # ours\n\n# a comment\nGmbH\n", "utf-8")

    assert read_stop_words(None) == frozenset()
    assert read_stop_words(["Acme", "don\u2019t mind"]) == {"acme", "don't", "mind"}
    assert read_stop_words(tmp_path / "words.txt") == {"acme", "ticket", "gmbh"}
    assert read_stop_words(str(tmp_path / "words.txt")) == {"acme", "ticket", "gmbh"}


def test_no_name_or_keyword_contains_a_stop_word() -> None:
    before = name_clusters(["Acme card", "the Acme card", "Acme card late", *TEXTS[3:]], LABELS, 2)
    names = name_clusters(TEXTS, LABELS, 2, stop_words=frozenset({"acme", "late"}))

    assert "Acme" in " ".join([before[0].label, *before[0].keywords])
    for name in names:
        for phrase in (name.label, *name.keywords):
            assert not {"acme", "late"} & set(phrase.casefold().split())


def test_a_stop_word_in_katakana_is_left_out() -> None:
    texts = ["カードの再発行", "カードの紛失", "カードの解約", "メールの設定", "メールの署名", "メールの転送"]

    names = name_clusters(texts, LABELS, 2, stop_words=frozenset({"カード"}))

    assert "カード" not in " ".join([names[0].label, *names[0].keywords])


def test_a_negation_among_the_stop_words_does_not_reverse_a_name() -> None:
    texts = ["the card is not working", "card not working", "my card is not working", *TEXTS[3:]]

    name = name_clusters(texts, LABELS, 2, stop_words=frozenset({"not", "no"}))[0]

    for phrase in (name.label, *name.keywords):
        assert "working" not in phrase or "not" in phrase


@pytest.mark.parametrize(
    ("source", "field"),
    [
        (3, "stop_words"),
        (b"acme", "stop_words"),
        (["acme", 3], "stop_words[1]"),
        (["x" * 61], "stop_words[0]"),
        ([f"w{i}" for i in range(10_001)], "stop_words"),
        ("nowhere.txt", "stop_words"),
        (Path("/"), "stop_words"),
    ],
)
def test_what_is_no_list_of_words_is_refused(source: object, field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        read_stop_words(source)

    assert refused.value.field == field


def test_a_large_or_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large").write_text("a\n" * 600_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")

    for name in ("large", "binary"):
        with pytest.raises(InvalidField):
            read_stop_words(tmp_path / name)
