"""Paging and sorting (contract.md#pages-and-sorting)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Generic, Literal, TypeVar

from pydantic import Field

from shoal.errors import InvalidField
from shoal.records.base import Body, Flag, Integral, Record
from shoal.records.queries.filter_body import Filters

__all__ = ["ListBody", "Listing", "Page", "Pagination", "Sort", "SortBody", "fold_page"]

Item = TypeVar("Item")
DEFAULT_LIMIT: Final = 10


@dataclass(frozen=True, slots=True)
class Sort:
    """Order by a dotted field; rows without it come last in both directions; ties by id ascending."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A window of a list, computed from limit / page_size / offset / page / cursor."""

    limit: int = DEFAULT_LIMIT
    offset: int = 0
    include_total: bool = False


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """One page of items.

    `total` counts all matches; `more` says whether a next page exists; `pin` identifies the results that the items
    belong to, if they may be replaced before the next page is requested.
    """

    items: list[Item]
    total: int
    more: bool
    pin: str = ""


class Pagination(Record):
    """The wire's `pagination` object; totals only when they were asked for."""

    total: int | None = None
    page: int | None = None
    page_size: int | None = None
    total_pages: int | None = None
    next_page: str | None = None
    previous_page: str | None = None
    next_cursor: str | None = None


Direction = Literal["asc", "desc"]
Limit = Annotated[int, Field(ge=1, le=1000), Integral]
Offset = Annotated[int, Field(ge=0, le=10_000), Integral]
PageNumber = Annotated[int, Field(ge=1, le=1_000_000), Integral]


class SortBody(Body):
    """The wire's `sort` object."""

    field: str = Field(min_length=1, max_length=512)
    direction: Direction = "asc"

    def sort(self, path: str) -> Sort:
        """Return the sort. Raises InvalidField for a path with an empty part."""
        if not all(self.field.split(".")):
            raise InvalidField(f"{path}.field", "must be a dotted path without empty parts", value=self.field)
        return Sort(self.field, self.direction == "desc")


class ListBody(Body):
    """What every `POST .../list` may carry; a field here beats the query parameter of the same meaning."""

    UNAVAILABLE: ClassVar[Mapping[str, str]] = {
        "case_sensitive": "is not available for the whole list; set it within filters",
        "include_system": "is not available: Shoal has no system resources",
        "select": "is not available for this list",
        "return_presigned_urls": "is not available: Shoal stores addresses as they were sent",
    }

    limit: Limit | None = None
    page_size: Limit | None = None
    offset: Offset | None = None
    page: PageNumber | None = None
    cursor: str | None = Field(None, max_length=512)
    include_total: Flag | None = None
    filters: Filters | None = None
    sort: SortBody | None = None
    sorts: list[SortBody] | None = Field(None, max_length=16)
    search: str | None = Field(None, max_length=500)

    def order(self) -> tuple[Sort, ...]:
        """Return `sorts` if given, else `sort`. Raises InvalidField."""
        if self.sorts:
            return tuple(sort.sort(f"sorts[{i}]") for i, sort in enumerate(self.sorts))
        return () if self.sort is None else (self.sort.sort("sort"),)


def fold_page(
    limit: int | None, page_size: int | None, offset: int | None, page: int | None, include_total: bool
) -> Page:
    """Compute the page: `limit` overrides `page_size`, `offset` overrides `page` (contract.md#pages-and-sorting)."""
    size = limit or page_size or DEFAULT_LIMIT
    start = offset if offset is not None else ((page or 1) - 1) * size
    return Page(size, start, include_total)
