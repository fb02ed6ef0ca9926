"""Files tell one story, and folders can be read at a glance."""

from collections import Counter
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parents[2] / "src" / "shoal"
MAX_LINES: Final = 400
MAX_FILES: Final = 21


def test_no_file_is_long() -> None:
    lengths = {str(path.relative_to(SOURCE)): path.read_text().count("\n") for path in SOURCE.rglob("*.py")}

    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_no_folder_has_many_files() -> None:
    folders = Counter(str(path.parent.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if path.stem != "__init__")

    assert {folder: files for folder, files in folders.items() if files > MAX_FILES} == {}
