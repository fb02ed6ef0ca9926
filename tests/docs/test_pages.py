"""The examples of the documentation are executed, block by block, in a separate folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.pages import Session, blocks_of, calls_of, matches

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "docs" / "python.md", *sorted((ROOT / "docs" / "tutorials").glob("*.md"))]


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: None) -> Iterator[Session]:
    folder = tmp_path / "work"
    folder.mkdir()
    session = Session(folder)
    for name, value in session.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    yield session
    session.close()


@pytest.mark.timeout(600)  # servers and several commands one after the other
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_can_be_followed_as_it_is_written(page: Path, session: Session) -> None:
    blocks = blocks_of(page)
    assert blocks

    for block in blocks:
        printed = session.run(block)
        if block.printed is not None:
            assert matches(printed, block.printed), f"{page.name}:{block.line} prints\n{printed}"
    for call in calls_of(page):
        session.run(call)


def test_every_call_listed_beside_that_of_another_library_runs() -> None:
    pages = [page for page in PAGES if page.stem.startswith("coming-from-")]

    assert len(pages) == 3
    for page in pages:
        rows = [line for line in page.read_text().splitlines() if line.startswith("| ")]
        assert len(calls_of(page)) == len(rows) - 1, page.name


@pytest.mark.parametrize(
    ("printed", "shown", "equal"),
    [
        ("27 clusters\n", "27 clusters", True),
        ("27 clusters in 3.1 s\n", "27 clusters in … s", True),
        ("28 clusters in 3.1 s\n", "27 clusters in … s", False),
        ("first\na\nb\nlast\n", "first\n…\nlast", True),
        ("first\na\nb\nother\n", "first\n…\nlast", False),
        ("one\ntwo\n", "one", False),
        ("a  \nb\n", "a\nb", True),
    ],
)
def test_ellipses_in_a_page_match_any_output_and_nothing_else_does(printed: str, shown: str, equal: bool) -> None:
    assert matches(printed, shown) is equal
