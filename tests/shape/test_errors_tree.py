"""The tree of errors is whole."""

from shoal import errors
from shoal.errors import ShoalError


def subclasses(kind: type[ShoalError]) -> set[type[ShoalError]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def test_every_error_raised_on_purpose_is_in_one_file_and_exported() -> None:
    ours = {kind for kind in subclasses(ShoalError) if kind.__module__.startswith("shoal.")}

    assert {kind.__module__ for kind in ours} == {"shoal.errors"}
    assert {kind.__name__ for kind in ours} == set(errors.__all__)


def test_every_error_is_drawn_in_the_tree() -> None:
    drawn = errors.__doc__ or ""

    assert all(name in drawn for name in errors.__all__)
