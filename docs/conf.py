"""How `make docs` builds the documentation: Sphinx, MyST Markdown, numpydoc and the theme Furo.

Every warning is an error, and scripts/check_site.py refuses pages that load fonts, styles or scripts from other hosts.
"""

import re
from importlib.metadata import version as version_of
from pathlib import Path

from sphinx.application import Sphinx

project = "Shoal"
author = "The Shoal authors"
project_copyright = "The Shoal authors, Apache-2.0"
version = release = version_of("shoal")

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]
smartquotes = False
default_role = "literal"  # docstrings quote code with single backticks

myst_heading_anchors = 4
myst_enable_extensions = ["attrs_block"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the parameter sections give the types
numpydoc_show_class_members = False

highlight_language = "none"  # a block without a language is a command or an answer
pygments_style, pygments_dark_style = "friendly", "github-dark"

html_theme = "furo"
html_title = f"Shoal {version}"
html_static_path = ["_static"]
html_css_files = ["shoal.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "sidebar_hide_name": False,
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#0b5e7c", "color-brand-content": "#0b6b8c"},
    "dark_css_variables": {"color-brand-primary": "#6cc6e3", "color-brand-content": "#6cc6e3"},
}
copybutton_exclude = ".linenos, .gp, .go"

ROOT = Path(__file__).parents[1]
ROOT_PAGES = {"architecture": "ARCHITECTURE.md", "changelog": "CHANGELOG.md", "contributing": "CONTRIBUTING.md"}
"""Pages of the site whose text lies at the root of the repository, where people look for it first."""


def show_root_page(app: Sphinx, page: str, text: list[str]) -> None:
    """Put the file of the root in place of its page, with links as they are from inside `docs`."""
    if page in ROOT_PAGES:
        content = (ROOT / ROOT_PAGES[page]).read_text()
        for name, file in ROOT_PAGES.items():
            content = content.replace(f"]({file}", f"]({name}.md")
        text[0] = re.sub(r"\]\(docs/", "](", content)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", show_root_page)
