"""Check that a built site asks no other host for anything: python scripts/check_site.py docs/_build/html."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

_LOADS: Final = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}
_IN_STYLES: Final = re.compile(r"(?:url\(\s*|@import\s+)[\"']?((?:https?:)?//[^\"')\s]+)")


class Requests(HTMLParser):
    """The addresses on other hosts that a page loads when it is opened; links to follow are none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the address of a resource."""
        address = dict(attrs).get(_LOADS.get(tag, "")) or ""
        if re.match(r"(https?:)?//", address):
            self.found.append(address)


def requests_of(page: Path) -> list[str]:
    """What one page or style sheet loads from elsewhere."""
    text = page.read_text()
    if page.suffix == ".css":
        return _IN_STYLES.findall(text)
    parser = Requests()
    parser.feed(text)
    return [*parser.found, *_IN_STYLES.findall(text)]


def main() -> None:
    """End with an error that lists each page and what it loads."""
    site = Path(sys.argv[1])
    pages = [page for kind in ("*.html", "*.css") for page in sorted(site.rglob(kind))]
    if not (site / "index.html").exists():
        raise SystemExit(f"{site} holds no built site. Run make docs first.")
    wrong = [f"{page.relative_to(site)} loads {address}" for page in pages for address in requests_of(page)]
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
