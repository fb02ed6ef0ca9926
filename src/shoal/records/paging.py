"""Paging and sorting as the contract tells them (1.5)."""

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel

__all__ = ["Listing", "Page", "Pagination", "Sort"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Sort:
    """Order by a dotted field; rows without it come last both ways; ties by id ascending."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A window on a list: already folded from limit / page_size / offset / page / cursor."""

    limit: int = 10
    offset: int = 0
    include_total: bool = False


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """One page of items. `total` counts everything that matched; `more` says whether a next page exists."""

    items: list[Item]
    total: int
    more: bool


class Pagination(BaseModel):
    """The wire's `pagination` object; totals only when they were asked for."""

    total: int | None = None
    page: int | None = None
    page_size: int | None = None
    total_pages: int | None = None
    next_page: str | None = None
    previous_page: str | None = None
    next_cursor: str | None = None


Direction = Literal["asc", "desc"]
