"""How a filter looks in a body. `records/queries/filters.py` parses it; these models only describe it."""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, Field, RootModel

from shoal.records.base import Body, Described, Flag
from shoal.records.queries.filters import Operator

__all__ = ["FilterCondition", "Filters", "LogicalOperator"]

Scalar = str | int | float | bool | None


class FilterCondition(Body):
    """One test on one field, a dotted path. `in` and `nin` take a list, `exists` and `is_null` true or false,
    and mean true without a value."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    field: str = Field(min_length=1, max_length=512)
    operator: Operator | None = "eq"
    value: Scalar | list[Scalar] = None
    case_sensitive: Flag | None = None


Member = Annotated[dict[str, Any], Field(description="A FilterCondition, or a LogicalOperator again.")]
Members = list[Member] | Member


class LogicalOperator(Body):
    """Groups of conditions; all that is given must hold. Any other key compares the field of that name with a value,
    or with those of a list."""

    model_config = ConfigDict(extra="allow", json_schema_serialization_defaults_required=False)
    __pydantic_extra__: dict[str, Scalar | list[Scalar]] = Field(init=False)

    AND: Members | None = None
    OR: Members | None = None
    NOT: Members | None = None
    case_sensitive: Flag | None = None


class Filter(RootModel[FilterCondition | LogicalOperator]):
    """A condition, or a group of conditions."""


_GROUPS: Final = ("AND", "OR", "NOT")


def _with_lists(filters: Any) -> Any:
    """The same filter, its groups as lists: the official SDK reads no group that is a single object."""
    if not isinstance(filters, dict) or "field" in filters:
        return filters
    return {
        name: [_with_lists(member) for member in (value if isinstance(value, list) else [value])]
        if name in _GROUPS and isinstance(value, list | dict)
        else value
        for name, value in filters.items()
    }


Filters = Annotated[dict[str, Any], AfterValidator(_with_lists), Described(Filter)]
"""A filter as it was sent."""
