"""Draw docs/images/demo.svg: what `shoal demo` prints, from a real run.

make picture
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

TARGET = Path(__file__).parent.parent / "docs" / "images" / "demo.svg"
WIDTH = 116
THEME = TerminalTheme(
    (18, 24, 33),
    (214, 222, 235),
    [(18, 24, 33), (239, 107, 115), (134, 217, 142), (242, 206, 114),
     (110, 168, 254), (199, 146, 234), (86, 196, 214), (214, 222, 235)],
    [(100, 112, 132), (239, 107, 115), (134, 217, 142), (242, 206, 114),
     (110, 168, 254), (199, 146, 234), (86, 196, 214), (255, 255, 255)],
)  # fmt: skip
FONTS = "ui-monospace, 'SF Mono', 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace"


def printed() -> str:
    """What a terminal of that width gets to see, colours included."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "shoal.cli.main", "demo"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return done.stdout.decode()


def drawn(output: str) -> str:
    """The output as a picture that needs no font from anywhere."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.assemble(("$ ", "green"), ("shoal demo", "bold"), "\n"))
        console.print(Text.from_ansi(output))
    svg = console.export_svg(title="shoal demo", theme=THEME, unique_id="shoal")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return re.sub(r"font-family: [^;]+;", f"font-family: {FONTS};", svg)


if __name__ == "__main__":
    TARGET.write_text("\n".join(line.rstrip() for line in drawn(printed()).splitlines() if line.strip()) + "\n")
    print(TARGET)
