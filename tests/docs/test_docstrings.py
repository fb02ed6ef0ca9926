"""The public Python API is documented in docstrings: parameters with type and default, examples that run."""

import doctest
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpydoc.docscrape import FunctionDoc

import shoal
from shoal import errors
from shoal.client.clusters import Clusters
from shoal.client.collections import Collections
from shoal.client.documents import Documents
from shoal.client.executions import Executions, Run
from shoal.client.namespaces import Namespaces
from shoal.client.tasks import Tasks
from shoal.library.assignment import Assignment

ESTIMATORS = (shoal.AutoCluster, shoal.KMeans, shoal.HDBSCAN)
CLASSES = (
    shoal.Clustering, Assignment, shoal.Client, Clusters, Collections, Documents, Executions, Run, Namespaces, Tasks,
    *ESTIMATORS,
)  # fmt: skip
MADE_BY_CALLERS = (shoal.Client, *ESTIMATORS)
"""Classes with a public constructor, whose parameters are documented in the docstring of the class."""


def methods_of(kind: type) -> list[Callable[..., Any]]:
    """The public methods that Shoal defines, including those of base classes."""
    members = inspect.getmembers(kind, inspect.isfunction)
    return [member for name, member in members if not name.startswith("_") and member.__module__.startswith("shoal.")]


FUNCTIONS: list[Any] = [
    shoal.cluster,
    shoal.derive,
    shoal.load,
    *MADE_BY_CALLERS,
    *dict.fromkeys(method for kind in CLASSES for method in methods_of(kind)),
]


def shown(default: object) -> str:
    """A default as a docstring states it."""
    return f'"{default}"' if isinstance(default, str) else str(getattr(default, "__name__", default))


def described(parameter: inspect.Parameter, kind: str) -> bool:
    """Whether the type in a docstring, such as `int, default 5`, agrees with the signature."""
    default = parameter.default
    if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
        return True
    if default is parameter.empty:
        return bool(kind) and "default" not in kind and "optional" not in kind
    if default is None or callable(default):
        return kind.endswith("optional") or kind.endswith("default None")
    return kind.endswith(f"default {shown(default)}") or (
        re.fullmatch(r".*default [\d.e+-]+", kind) is not None and (float(kind.rpartition(" ")[2]) == default)
    )


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.__qualname__)
def test_every_parameter_is_described_with_its_type_and_default(function: Any) -> None:
    signature = [parameter for parameter in inspect.signature(function).parameters.values() if parameter.name != "self"]
    doc = FunctionDoc(function)

    assert doc["Summary"], "no summary"
    names = [name for parameter in doc["Parameters"] for name in parameter.name.replace("*", "").split(", ")]
    assert names == [item.name for item in signature]
    for parameter, section in zip(signature, doc["Parameters"], strict=True):
        assert described(parameter, section.type), f"{parameter} is described as {section.type!r}"
        assert any(line.strip() for line in section.desc), parameter.name


@pytest.mark.parametrize("kind", [*CLASSES, *(getattr(errors, name) for name in errors.__all__)])
def test_every_public_class_has_a_summary(kind: type) -> None:
    assert "__doc__" in vars(kind)
    assert inspect.getdoc(kind)


def test_the_reference_lists_every_error() -> None:
    page = (Path(__file__).parents[2] / "docs" / "api" / "errors.md").read_text()

    assert set(re.findall(r"^.. autoexception:: (\w+)\(\)$", page, re.MULTILINE)) == set(errors.__all__)


@pytest.mark.parametrize("function", [shoal.cluster, shoal.load, shoal.KMeans], ids=lambda one: one.__name__)
def test_examples_in_docstrings_print_the_output_they_show(function: Any) -> None:
    (examples,) = [item for item in doctest.DocTestFinder(recurse=False).find(function) if item.examples]

    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples).failed == 0
