"""What an installation of Shoal takes, package by package: python scripts/measure_install.py, in a clean environment.

Counted are the files that each distribution lists, with the bytecode that pip made of them. pip itself is not counted.
"""

import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

NOT_COUNTED = {"pip", "setuptools", "wheel"}
SHOWN = 8


def size_of(distribution: Distribution) -> int:
    """Bytes of all files that the distribution has in the environment, links not followed."""
    paths = {Path(str(distribution.locate_file(file))) for file in distribution.files or ()}
    return sum(path.lstat().st_size for path in paths if path.exists())


def main() -> None:
    """Print a table of Markdown, the largest first."""
    sizes = {one.name: size_of(one) for one in distributions() if one.name not in NOT_COUNTED}
    largest = sorted(sizes, key=lambda name: -sizes[name])
    total = sum(sizes.values())
    print("| package | MB |\n|---|---:|")
    for name in largest[:SHOWN]:
        print(f"| {name} | {sizes[name] / 1e6:.0f} |")
    print(f"| {len(largest) - SHOWN} others | {sum(sizes[name] for name in largest[SHOWN:]) / 1e6:.0f} |")
    print(
        f"| **{len(largest)} packages, Python {sys.version_info[0]}.{sys.version_info[1]}** | **{total / 1e6:.0f}** |"
    )


if __name__ == "__main__":
    main()
