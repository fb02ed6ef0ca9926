"""Korean nouns and their particles."""

import numpy as np

from shoal.labeling import name_clusters
from shoal.labeling.words.korean import find_nouns


def test_a_form_is_a_noun_with_a_particle_if_the_noun_occurs_otherwise_too() -> None:
    nouns = find_nouns(["비밀번호를", "비밀번호가", "택배는", "택배", "고양이", "회의", "card를", "나"])

    assert nouns == {"비밀번호를": "비밀번호", "비밀번호가": "비밀번호", "택배는": "택배"}


def test_a_cluster_is_named_by_a_noun_without_its_particle() -> None:
    texts = ["비밀번호를 잊어버렸어요", "비밀번호가 틀려요", "비밀번호를 변경하고 싶어요", "새 비밀번호"]
    texts += ["택배는 어디에 있나요", "택배가 늦어요", "택배를 보냈어요", "택배 조회"]

    names = name_clusters(texts, np.repeat(np.arange(2, dtype=np.int32), 4), 2)

    assert [name.label for name in names] == ["비밀번호", "택배"]
