"""Identifiers are words that an engineer of the field would type."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

SOURCE: Final = Path(__file__).parents[2] / "src" / "shoal"

ROOMS: Final = sorted(path.name for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists())

VERBS: Final = frozenset({"found", "given", "kept", "known", "made", "one", "wanted"})
"""Names that say what was done to a value, or nothing, in place of what it is."""

PUBLIC: Final = frozenset({"kept"})
"""Fields of the public Python API that are named so."""

STORED_FIELDS: Final = {
    "runs/grouping/vector_groups.py": {"found"},
    "runs/grouping/groups.py": {"found"},
    "engine/model.py": {"known"},
}
"""Fields that checkpoints of runs and saved clusterings hold by name, and their counterparts."""


PROSE: Final = re.compile(r"\b(anybody|nobody|somebody|tells|told|twins?|whoever)\b", re.IGNORECASE)

BANNED: Final = frozenset(
    [
        "told",
        "tell",
        "tells",
        "said",
        "asked",
        "seen",
        "meant",
        "nobody",
        "somebody",
        "whoever",
        "anybody",
        "twin",
        "twins",
        "heaps",
        "strays",
    ]
)
"""Words that say nothing as names: use the noun or the verb of the thing."""

PARTICIPLE: Final = re.compile(r"_*[a-z]+ed(_|$)")
EXACT: Final = frozenset({"embed", "need", "seed", "feed", "speed"})
"""Verbs and nouns that end in -ed."""

ADJECTIVES: Final = frozenset(
    {
        "_accepted_count_names",
        "_clipped_mean",
        "_squared_lengths",
        "_weighted_median",
        "condensed_tree",
        "condensed_tree_table",
        "count_shared_rows",
        "redacted",
        "searched_labels",
        "squared_distances",
        "squared_lengths",
        "squared_silhouette",
        "stopped",
        "truncated_error",
        "unsupported_content_error",
        "unsupported_name_error",
        "weighted_linkage",
        "weighted_means",
    }
)
"""Nouns with an adjective of the field before them."""

STORED: Final = frozenset({"Metric.placed"})
"""Methods that saved clusterings refer to by name."""

TESTS: Final = Path(__file__).parents[1]

TEST_FOLDERS: Final = (
    ".", "analysis", "cli", "client", "contract", "corpus", "deploy", "faults", "files", "hostile", "intake", "library",
    "read_back", "records", "sdk", "simulation",
)  # fmt: skip
"""Folders of tests whose words are revised; `.` holds the files of tests/ itself."""

TEST_NOUNS: Final = frozenset({"grouped_documents", "watched_stores"})
"""Functions of tests with an adjective before a noun."""

NATIVE: Final = frozenset({"agreed_graph", "joined_groups", "Codes.reordered"})
"""Named as in the compiled core, which they describe or stand in for."""


def files(room: str) -> list[Path]:
    path = SOURCE / room
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def functions(tree: ast.AST, owner: str = "") -> Iterator[str]:
    """Qualified names of all functions, nested ones included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{owner}{node.name}"
            yield from functions(node)
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{node.name}.")
        else:
            yield from functions(node, owner)


def names(tree: ast.AST) -> Iterator[str]:
    """Names that are bound: variables, arguments, functions, classes, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


@pytest.mark.parametrize("room", ROOMS)
def test_no_identifier_is_a_banned_word(room: str) -> None:
    found = {
        f"{path.relative_to(SOURCE)}: {name}"
        for path in files(room)
        for name in names(ast.parse(path.read_text()))
        if not BANNED.isdisjoint(name.lower().strip("_").split("_"))
    }

    assert not found, "Name the thing itself: " + ", ".join(sorted(found))


@pytest.mark.parametrize("room", ROOMS)
def test_functions_are_named_by_verbs_and_not_by_participles(room: str) -> None:
    found = {
        f"{path.relative_to(SOURCE)}: {name}"
        for path in files(room)
        for name in functions(ast.parse(path.read_text()))
        if _is_participle(name.rpartition(".")[2]) and name not in STORED | NATIVE
    }

    assert not found, "Functions are verbs: " + ", ".join(sorted(found))


@pytest.mark.parametrize("room", ROOMS)
def test_values_are_named_by_nouns(room: str) -> None:
    found = {
        f"{path.relative_to(SOURCE)}: {name}"
        for path in files(room)
        for name in names(ast.parse(path.read_text()))
        if name in VERBS - PUBLIC - STORED_FIELDS.get(path.relative_to(SOURCE).as_posix(), set())
    }

    assert not found, "Values are nouns: " + ", ".join(sorted(found))


@pytest.mark.parametrize("room", ROOMS)
def test_comments_and_messages_use_the_words_of_the_field(room: str) -> None:
    found = {
        f"{path.relative_to(SOURCE)}:{token.start[0]}: {match[0]}"
        for path in files(room)
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        if token.type in (tokenize.COMMENT, tokenize.STRING)
        if (match := PROSE.search(token.string))
    }

    assert not found, "Say what is meant: " + ", ".join(sorted(found))


@pytest.mark.parametrize("folder", TEST_FOLDERS)
def test_tests_use_the_words_of_the_field(folder: str) -> None:
    paths = sorted((TESTS / folder).glob("*.py" if folder == "." else "**/*.py"))
    odd = {f"{path.relative_to(TESTS)}: {word}" for path in paths for word in _odd_words(path.read_text())}

    assert paths
    assert not odd, "Use the words of the field: " + ", ".join(sorted(odd))


def test_exceptions_of_the_rules_exist() -> None:
    defined = {name for room in ROOMS for path in files(room) for name in functions(ast.parse(path.read_text()))}

    assert defined >= STORED | NATIVE
    assert {name.rpartition(".")[2] for name in defined} >= ADJECTIVES


def test_the_rules_find_what_they_are_about() -> None:
    tree = ast.parse("def _joined(told): pass\nclass A:\n    def shown_rows(self): pass\n    def seed(self): pass")

    assert [name for name in functions(tree) if _is_participle(name.rpartition(".")[2])] == ["_joined"]
    assert "told" in names(tree)
    assert list(_odd_words('def _joined(one):\n    "Told."  # whoever')) == ["one", "_joined", "Told", "whoever"]


def _is_participle(name: str) -> bool:
    return bool(PARTICIPLE.match(name)) and name.strip("_") not in EXACT and name not in ADJECTIVES


def _odd_words(source: str) -> Iterator[str]:
    """Names and prose of a test file that break the rules of src. Strings may hold any word: they are data."""
    tree = ast.parse(source)
    for name in names(tree):
        if name in VERBS or not BANNED.isdisjoint(name.lower().strip("_").split("_")):
            yield name
    for name in functions(tree):
        if _is_participle(name.rpartition(".")[2]) and name not in TEST_NOUNS:
            yield name
    for text in (*_docstrings(tree), *_comments(source)):
        if match := PROSE.search(text):
            yield match[0]


def _docstrings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


def _comments(source: str) -> Iterator[str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return (token.string for token in tokens if token.type == tokenize.COMMENT)
