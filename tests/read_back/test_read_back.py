"""Whatever is accepted is read back by the official SDK, in both of its versions.

For each route that stores what it is sent: a body with every field, one field at a time replaced by values of every
kind, and bodies that Hypothesis has changed in several places at once. What is answered with 200 has to be read, from
the answer itself and from every route that shows the thing afterwards.
"""

import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.long import LONG
from contract.planted import Planted
from read_back.official import Reader
from read_back.places import PLACES, Place, fresh

pytestmark = pytest.mark.slow

_NUMBERS: Final = count()
_EXAMPLES: Final = 1500 if LONG else 25
_KINDS: Final[tuple[Any, ...]] = (None, True, 7, -1.5, 2**62, "x", [], ["x"], [1], [{"x": 1}], {}, {"x": "y"})
_QUICK: Final[tuple[Any, ...]] = (7, "x", [{"x": 1}], {"x": "y"})


class Asked:
    """One server and both readers."""

    def __init__(self, server: Planted, readers: tuple[Reader, Reader]) -> None:
        self._client, self._readers = server.client, readers

    def accepted(self, place: Place, body: Any, *, writer: int = 0, everywhere: bool = False) -> bool:
        """Whether the body was taken; then it has been read back: the thing itself by both readers, the list by one,
        `everywhere` by both on every route."""
        id = "" if place.first is None else self._made(place.first)
        name = f"name{next(_NUMBERS)}"
        reader = self._readers[writer]
        path = place.path.replace("{}", id)
        sent = fresh(_named(body, id), name)
        answer = self._client.request(place.method, path, json=sent, headers={"User-Agent": reader.agent})
        assert answer.status_code < 500, f"{place} {sent} → {answer.text}"
        taken = answer.status_code == 200
        if taken:
            self._reads(reader, place.method, place.path, answer.text, sent)
            shown = id or str(_at(answer.json(), place.id))
            readers = self._readers if everywhere else (self._readers[1 - writer],)
            for method, where in place.reads if everywhere else place.reads[:2]:
                for one in self._readers if where == place.reads[0][1] else readers:
                    self._read(one, method, where, shown, sent)
            id = shown
        if id:
            self._client.delete(place.removes.replace("{}", id))
        return taken

    def _made(self, first: Place) -> str:
        answer = self._client.post(first.path, json=fresh(first.body, f"name{next(_NUMBERS)}"))
        assert answer.status_code == 200, answer.text
        return str(_at(answer.json(), first.id))

    def _read(self, reader: Reader, method: str, where: str, id: str, sent: Any) -> None:
        asked = {"limit": 3, "sort": {"field": "created_at", "direction": "desc"}} if method == "POST" else None
        path, agent = where.replace("{}", id), {"User-Agent": reader.agent}
        answer = self._client.request(method, path, json=asked, headers=agent)
        if answer.status_code == 404 and "documents" in sent and sent.get("collection_id") != "docs":
            return  # it went to the collection `default`
        assert answer.status_code == 200, f"{method} {where} after {sent} → {answer.text}"
        self._reads(reader, method, where, answer.text, sent)

    def _reads(self, reader: Reader, method: str, where: str, text: str, sent: Any) -> None:
        problem = reader.problem(method, _anonymous(where), text)
        assert problem is None, f"SDK {reader.version} cannot read {method} {where} after {json.dumps(sent)}: {problem}"


@pytest.fixture(scope="module")
def asked(server: Planted, readers: tuple[Reader, Reader]) -> Asked:
    return Asked(server, readers)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_body_with_every_field_is_accepted_and_read_back(asked: Asked, place: Place) -> None:
    assert all(asked.accepted(place, place.body, writer=writer, everywhere=True) for writer in (0, 1))


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_field_of_any_kind_is_refused_or_read_back(
    asked: Asked, readers: tuple[Reader, Reader], place: Place
) -> None:
    """Every field of the body, and every field that the SDK reads in the answer, replaced by values of every kind."""
    names = {name for reader in readers for name in reader.fields(place.method, _anonymous(place.path))}
    inner, put = _opened(place)
    turns = count()
    for name in sorted({*inner, *names}):
        for value in _KINDS if LONG else _QUICK:
            asked.accepted(place, put({**inner, name: value}), writer=next(turns) % 2)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_body_changed_in_several_places_is_refused_or_read_back(
    asked: Asked, readers: tuple[Reader, Reader], place: Place
) -> None:
    names = {name for reader in readers for name in reader.fields(place.method, _anonymous(place.path))}

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        derandomize=not LONG,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(body=_changed(place.body, sorted(names)), writer=st.integers(0, 1))
    def holds(body: Any, writer: int) -> None:
        asked.accepted(place, body, writer=writer)

    holds()


def test_every_route_that_stores_a_body_is_here(server: Planted) -> None:
    described = server.client.get("/openapi.json").json()
    writing = {
        (method.upper(), _anonymous(path.removeprefix("/v1")))
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        if method in ("post", "put", "patch")
        and "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    asking = {route for route in writing if route[1].endswith(_ONLY_READ)}
    here = {(place.method, _anonymous(place.path)) for place in PLACES}
    assert sorted(writing - asking - here) == []


_NONE: Final[dict[str, Any]] = {"content": {}}
_ONLY_READ: Final = ("/list", "/distinct", "/aggregate", "/data", "/plan", "/enrich", "/labels", "/name")
"""Ends of routes whose body is a question, or a text that is stored as it is."""


def _anonymous(path: str) -> str:
    """As the SDK writes it: `{}` for each parameter, also where a name of ours stands in its place."""
    path = re.sub(r"\{[^}]*\}", "{}", path)
    for name in ("docs", "things", "default", "reader@example.org"):
        path = path.replace(f"/{name}", "/{}")
    return path if path.startswith("/v1") else f"/v1{path}"


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def _named(body: Any, id: str) -> Any:
    """The body with the id of the thing wherever `{}` stands as a text."""
    return json.loads(json.dumps(body).replace('"{}"', json.dumps(id)))


def _opened(place: Place) -> tuple[dict[str, Any], Any]:
    """The part of the body that holds the fields which are stored, and how to put it back."""
    for way in (("objects", 0), ("documents", 0, "payload"), ("updates", 0, "update_data"), ("update_data",)):
        if way[0] in place.body:
            return _inside(place.body, way), lambda inner, way=way: _replaced(place.body, way, inner)
    return place.body, lambda inner: inner


def _inside(value: Any, way: tuple[Any, ...]) -> dict[str, Any]:
    for step in way:
        value = value[step]
    found: dict[str, Any] = value
    return found


def _replaced(value: Any, way: tuple[Any, ...], new: Any) -> Any:
    if not way:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[way[0]] = _replaced(value[way[0]], way[1:], new)
    return copy


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**63), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "x", "@", "canceled", "direct_upsert", "2026-01-01T00:00:00Z", "cl_0"]), st.text(max_size=5),
)  # fmt: skip
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "type", "name", "field"]), inner),
    max_leaves=4,
)


@st.composite
def _changed(draw: st.DrawFn, body: dict[str, Any], names: list[str]) -> Any:
    """The body after one to three changes: a part replaced, taken away, or put where none was."""
    changed: Any = json.loads(json.dumps(body))
    for _ in range(draw(st.integers(1, 3))):
        way = draw(st.sampled_from(list(_ways(changed)) or [()]))
        if not way:
            continue
        parent = _inside(changed, way[:-1])
        what = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if what == "replace":
            parent[way[-1]] = draw(_VALUES)
        elif what == "remove":
            del parent[way[-1]]
        elif isinstance(parent, dict):
            known = [*names, *parent] if len(way) == 1 else [*parent, "type", "x"]
            parent[draw(st.sampled_from(known))] = draw(_VALUES)
    return changed


def _ways(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every part of a JSON value."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*way, step)
        yield from _ways(inner, (*way, step))
