"""Dependencies of handlers: the services, the caller, its scope, and the query parameters of lists.

@router.post("/things/list")
def list_things(services: ServicesDep, scope: NamespaceDep, query: ListQueryDep, body: ListBody) -> Response:
    listing = services.things.search(scope, query.query(body, search_fields=("thing_id", "thing_name")))
    pagination = query.pagination(listing, body)
    return reply(ThingList(results=listing.items, total_count=listing.total, pagination=pagination))
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

import orjson
from fastapi import Depends, Header, Query, Request

from shoal.api.handler_threads import Deferred
from shoal.api.mounts import MOUNT
from shoal.assemble import Services
from shoal.errors import InvalidRequest
from shoal.records.key import Caller
from shoal.records.queries.filters import parse_filter
from shoal.records.queries.paging import ListBody, Listing, Page, Pagination, fold_page
from shoal.records.scope import Scope
from shoal.storage.protocols.records import Query as StoreQuery

__all__ = [
    "CallerDep",
    "ListQuery",
    "ListQueryDep",
    "NamespaceDep",
    "OrganizationDep",
    "ServicesDep",
    "decode_header",
    "pagination",
]

Item = TypeVar("Item")
_EMPTY: Final = ListBody()


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _caller() -> Deferred[Caller]:
    return Deferred(lambda confirmed: confirmed.caller)


ServicesDep = Annotated[Services, Depends(_services)]
CallerDep = Annotated[Caller, Depends(_caller)]


async def _may_read() -> Deferred[bool]:
    return Deferred(lambda confirmed: confirmed.caller.may("read"))


MayReadDep = Annotated[bool, Depends(_may_read)]
"""Whether the caller may see stored content beyond what it sent."""


async def _organization(request: Request) -> Scope:
    return Scope(request.state.caller.organization_id)  # a key never changes its organisation


OrganizationDep = Annotated[Scope, Depends(_organization)]
"""The scope of the caller's organisation, for resources that belong to no namespace."""


async def _namespace(
    namespace: Annotated[
        str | None, Header(alias="X-Namespace", description="Id or name; optional while there is only one.")
    ] = None,
) -> Deferred[Scope]:
    ref = None if namespace is None else decode_header(namespace)
    return Deferred(lambda confirmed: confirmed.namespace(ref))


NamespaceDep = Annotated[Scope, Depends(_namespace)]
"""The namespace of the X-Namespace header: 404 where it does not exist for this organisation, 400 where the header is
missing and there is more than one."""


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The query parameters of a list; `subject` (organisation, namespace, path) is what a cursor is bound to."""

    subject: tuple[str, ...]
    limit: int | None
    page_size: int | None
    offset: int | None
    page_number: int | None
    cursor: str | None
    include_total: bool
    search: str | None

    def page(self, body: ListBody | None = None) -> Page:
        """Return the requested window. The body takes precedence over the query, a cursor over offset and page number.
        Raises InvalidRequest."""
        sent = body or _EMPTY
        has_size, has_position = (sent.limit or sent.page_size), (sent.offset is not None or sent.page is not None)
        folded = fold_page(
            sent.limit if has_size else self.limit,
            sent.page_size if has_size else self.page_size,
            sent.offset if has_position else self.offset,
            sent.page if has_position else self.page_number,
            self.include_total if sent.include_total is None else sent.include_total,
        )
        cursor = sent.cursor or self.cursor
        if cursor is None:
            return folded
        return Page(folded.limit, _parse_cursor(cursor, self._fingerprint(body))[0], folded.include_total)

    def pin(self, body: ListBody | None = None) -> str | None:
        """Return the generation that the first page read, where this is a later page. Raises InvalidRequest."""
        cursor = (body or _EMPTY).cursor or self.cursor
        return None if cursor is None else _parse_cursor(cursor, self._fingerprint(body))[1]

    def query(self, body: ListBody | None = None, search_fields: tuple[str, ...] = ()) -> StoreQuery:
        """Return the query for a store. Raises InvalidField, InvalidRequest."""
        sent = body or _EMPTY
        return StoreQuery(
            filter=parse_filter(sent.filters),
            sort=sent.order(),
            page=self.page(body),
            search=sent.search or self.search or None,
            search_fields=search_fields,
        )

    def pagination(self, listing: Listing[Item], body: ListBody | None = None) -> Pagination:
        """Return the `pagination` object of an answer."""
        return pagination(listing, self.page(body), self._fingerprint(body))

    def _fingerprint(self, body: ListBody | None) -> str:
        """Hash everything that pages of one list share: filters, order, search, route and scope, not the window."""
        sent = body or _EMPTY
        question = [self.subject, sent.filters, sent.model_dump(include={"sort", "sorts"}), sent.search or self.search]
        return hashlib.blake2b(orjson.dumps(question, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()


async def _list_query(
    request: Request,
    organization: OrganizationDep,
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
    # The same list under every mount and by either method.
    path = "/" + request.scope["route"].path.removeprefix(MOUNT).strip("/").removesuffix("/list")
    subject = (organization.organization_id, request.headers.get("x-namespace", ""), path)
    token = cursor or next_cursor or after
    return ListQuery(subject, limit, page_size, offset, page, token or None, include_total, search)


ListQueryDep = Annotated[ListQuery, Depends(_list_query)]


def pagination(listing: Listing[Any], page: Page, fingerprint: str) -> Pagination:
    """Build the `pagination` object: totals only on request, `next_cursor` only where there is a next page."""
    number = page.offset // page.limit + 1
    return Pagination(
        total=listing.total if page.include_total else None,
        page=number,
        page_size=page.limit,
        total_pages=-(-listing.total // page.limit) if page.include_total else None,
        next_page=str(number + 1) if listing.more else None,
        previous_page=str(number - 1) if number > 1 else None,
        next_cursor=_format_cursor(page.offset + page.limit, fingerprint, listing.pin) if listing.more else None,
    )


def _format_cursor(offset: int, fingerprint: str, pin: str) -> str:
    return base64.urlsafe_b64encode(f"{offset}.{fingerprint}.{pin}".encode()).decode().rstrip("=")


def _parse_cursor(cursor: str, fingerprint: str) -> tuple[int, str]:
    """Return the offset and the pinned generation. Raises InvalidRequest.

    The fingerprint guards against mix-ups, not against forgery: an offset reveals nothing, and the generation is looked
    up in the caller's own scope.
    """
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        offset, cursor_fingerprint, pin = text.split(".", 2)
        start = int(offset)
    except (binascii.Error, ValueError):
        raise InvalidRequest("The cursor was not issued by Shoal.", cursor=cursor[:80]) from None
    if cursor_fingerprint != fingerprint or not 0 <= start < 2**62:
        raise InvalidRequest(
            "The cursor belongs to another list, filter, sort or search. Start again without a cursor.",
            cursor=cursor[:80],
        )
    return start, pin


def decode_header(header: str) -> str:
    """Decode a header as UTF-8, which clients send for names beyond ASCII; servers hand it over as Latin-1."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header
