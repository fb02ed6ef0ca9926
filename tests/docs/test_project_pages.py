"""CHANGELOG and decisions keep their structure, which line-based merges could break."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def repeated(lines: list[str]) -> list[str]:
    return [line for line, times in Counter(lines).items() if times > 1]


def test_each_version_in_the_changelog_has_each_kind_of_change_once_and_in_order() -> None:
    versions = re.split(r"^## .+$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]

    assert versions
    for version in versions:
        kinds = re.findall(r"^### (.+)$", version, re.MULTILINE)
        assert kinds == [kind for kind in KINDS if kind in kinds]


def test_no_change_is_listed_twice() -> None:
    assert repeated(re.findall(r"^- .+$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)) == []


def test_every_decision_has_an_area_and_a_date_and_is_unique() -> None:
    text = (ROOT / "docs" / "decisions.md").read_text()
    first_area = text.index("\n## ")
    decisions = re.findall(r"^### (.+)\n\n(.+)$", text, re.MULTILINE)

    assert len(decisions) > 100
    assert repeated([title for title, _ in decisions]) == []
    for title, beginning in decisions:
        assert re.match(r"\*\d{1,2} [A-Z][a-z]+ \d{4}(?:; superseded by \[.+\]\(#.+\))?\.\* ", beginning), title
    assert re.findall(r"^\*\*.+", text[first_area:], re.MULTILINE) == [], "a decision without a heading of its own"
