"""What a handler can ask for in its signature: the services, the caller's scope, and how a list was asked for.

@router.post("/things/list")
def list_things(services: Wired, scope: Namespaced, listed: Listed, body: ListBody) -> Response:
    found = services.things.search(scope, listed.query(body, search_fields=("thing_id", "thing_name")))
    return reply(ThingList(results=found.items, total_count=found.total, pagination=listed.pagination(found, body)))
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

import orjson
from fastapi import Depends, Header, Query, Request

from shoal.api.door import MOUNT
from shoal.api.handler_threads import Later
from shoal.assemble import Services
from shoal.errors import InvalidRequest
from shoal.records.key import Caller
from shoal.records.queries.filters import parse_filter
from shoal.records.queries.paging import ListBody, Listing, Page, Pagination, fold_page
from shoal.records.scope import Scope
from shoal.storage.protocols.records import Query as StoreQuery

__all__ = ["Called", "ListQuery", "Listed", "Namespaced", "Organized", "Wired", "decoded", "pagination"]

Item = TypeVar("Item")
_EMPTY: Final = ListBody()


async def _wired(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _called() -> Later[Caller]:
    return Later(lambda confirmed: confirmed.caller)


Wired = Annotated[Services, Depends(_wired)]
Called = Annotated[Caller, Depends(_called)]


async def _may_read() -> Later[bool]:
    return Later(lambda confirmed: confirmed.caller.may("read"))


MayRead = Annotated[bool, Depends(_may_read)]
"""Whether the caller may see what is stored, beside what was sent."""


async def _organized(request: Request) -> Scope:
    return Scope(request.state.caller.organization_id)  # of a key it never changes


Organized = Annotated[Scope, Depends(_organized)]
"""The caller's organisation, for what it owns directly."""


async def _namespaced(
    namespace: Annotated[
        str | None, Header(alias="X-Namespace", description="Id or name; optional while there is only one.")
    ] = None,
) -> Later[Scope]:
    ref = None if namespace is None else decoded(namespace)
    return Later(lambda confirmed: confirmed.namespace(ref))


Namespaced = Annotated[Scope, Depends(_namespaced)]
"""The namespace of the X-Namespace header. 404 where it is unknown or foreign, 400 where it is missing but needed."""


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The query parameters of a list, and who asked for what (`subject`), which a cursor is bound to."""

    subject: tuple[str, ...]
    limit: int | None
    page_size: int | None
    offset: int | None
    page_number: int | None
    cursor: str | None
    include_total: bool
    search: str | None

    def page(self, body: ListBody | None = None) -> Page:
        """The window asked for. The body beats the query, a cursor beats offset and page. Raises InvalidRequest."""
        sent = body or _EMPTY
        sized, placed = (sent.limit or sent.page_size), (sent.offset is not None or sent.page is not None)
        folded = fold_page(
            sent.limit if sized else self.limit,
            sent.page_size if sized else self.page_size,
            sent.offset if placed else self.offset,
            sent.page if placed else self.page_number,
            self.include_total if sent.include_total is None else sent.include_total,
        )
        cursor = sent.cursor or self.cursor
        if cursor is None:
            return folded
        return Page(folded.limit, _placed(cursor, self._fingerprint(body))[0], folded.include_total)

    def pin(self, body: ListBody | None = None) -> str | None:
        """What the first page was of, where this one goes on from it. Raises InvalidRequest."""
        cursor = (body or _EMPTY).cursor or self.cursor
        return None if cursor is None else _placed(cursor, self._fingerprint(body))[1]

    def query(self, body: ListBody | None = None, search_fields: tuple[str, ...] = ()) -> StoreQuery:
        """The whole question for a store. Raises InvalidField, InvalidRequest."""
        sent = body or _EMPTY
        return StoreQuery(
            filter=parse_filter(sent.filters),
            sort=sent.order(),
            page=self.page(body),
            search=sent.search or self.search or None,
            search_fields=search_fields,
        )

    def pagination(self, found: Listing[Item], body: ListBody | None = None) -> Pagination:
        """The wire's `pagination` object for what was found."""
        return pagination(found, self.page(body), self._fingerprint(body))

    def _fingerprint(self, body: ListBody | None) -> str:
        """The same for all pages of one question: not the window, but filters, order, search, route and scope."""
        sent = body or _EMPTY
        asked = [self.subject, sent.filters, sent.model_dump(include={"sort", "sorts"}), sent.search or self.search]
        return hashlib.blake2b(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()


async def _listed(
    request: Request,
    organization: Organized,
    limit: Annotated[int | None, Query(ge=1, le=1000)] = None,
    page_size: Annotated[int | None, Query(ge=1, le=1000, description="Another name for limit.")] = None,
    offset: Annotated[int | None, Query(ge=0, le=10_000)] = None,
    page: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
    cursor: Annotated[str | None, Query(max_length=512)] = None,
    next_cursor: Annotated[str | None, Query(max_length=512)] = None,
    after: Annotated[str | None, Query(max_length=512)] = None,
    include_total: bool = False,
    search: Annotated[str | None, Query(max_length=500)] = None,
) -> ListQuery:
    # One list by whichever mount and method it is asked for.
    path = "/" + request.scope["route"].path.removeprefix(MOUNT).strip("/").removesuffix("/list")
    subject = (organization.organization_id, request.headers.get("x-namespace", ""), path)
    token = cursor or next_cursor or after
    return ListQuery(subject, limit, page_size, offset, page, token or None, include_total, search)


Listed = Annotated[ListQuery, Depends(_listed)]


def pagination(found: Listing[Any], page: Page, fingerprint: str) -> Pagination:
    """Totals only where they were asked for; `next_cursor` only where there is a next page."""
    number = page.offset // page.limit + 1
    return Pagination(
        total=found.total if page.include_total else None,
        page=number,
        page_size=page.limit,
        total_pages=-(-found.total // page.limit) if page.include_total else None,
        next_page=str(number + 1) if found.more else None,
        previous_page=str(number - 1) if number > 1 else None,
        next_cursor=_cursor(page.offset + page.limit, fingerprint, found.pin) if found.more else None,
    )


def _cursor(offset: int, fingerprint: str, pin: str) -> str:
    return base64.urlsafe_b64encode(f"{offset}.{fingerprint}.{pin}".encode()).decode().rstrip("=")


def _placed(cursor: str, fingerprint: str) -> tuple[int, str]:
    """The offset, and what the list was of. The fingerprint guards against mix-ups, not against forgery: an offset
    tells nobody anything, and what it is of is looked up in the caller's own scope."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        offset, stamped, pin = text.split(".", 2)
        start = int(offset)
    except (binascii.Error, ValueError):
        raise InvalidRequest("The cursor is not one that Shoal made.", cursor=cursor[:80]) from None
    if stamped != fingerprint or not 0 <= start < 2**62:
        raise InvalidRequest(
            "The cursor belongs to another list, filter, sort or search. Start again without a cursor.",
            cursor=cursor[:80],
        )
    return start, pin


def decoded(header: str) -> str:
    """Header bytes arrive as Latin-1; clients that put a name beyond ASCII there mean UTF-8."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header
