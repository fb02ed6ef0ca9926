"""Everything that the server accepts can be read back by both versions of the official SDK.

For each route that stores its body: a body with every field, one field at a time replaced by values of every kind, and
bodies that Hypothesis changed in several places at once. Whatever is answered with 200 must be readable, in the answer
itself and on every route that shows the resource.
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
from read_back.places import PLACES, Place, with_name

pytestmark = pytest.mark.slow

_NUMBERS: Final = count()
_EXAMPLES: Final = 1500 if LONG else 25
_KINDS: Final[tuple[Any, ...]] = (None, True, 7, -1.5, 2**62, "x", [], ["x"], [1], [{"x": 1}], {}, {"x": "y"})
_QUICK: Final[tuple[Any, ...]] = (7, "x", [{"x": 1}], {"x": "y"})


class ReadBack:
    """Sends bodies to one server and reads them back with both readers."""

    def __init__(self, server: Planted, readers: tuple[Reader, Reader]) -> None:
        self._client, self._readers = server.client, readers

    def check(self, place: Place, body: Any, *, writer: int = 0, all_routes: bool = False) -> bool:
        """Return whether the body was accepted; if so, check that the resource is readable by both readers and the list
        by one, or with `all_routes` by both on every route."""
        id = "" if place.first is None else self._create(place.first)
        name = f"name{next(_NUMBERS)}"
        reader = self._readers[writer]
        path = place.path.replace("{}", id)
        sent = with_name(_insert_id(body, id), name)
        answer = self._client.request(place.method, path, json=sent, headers={"User-Agent": reader.agent})
        assert answer.status_code < 500, f"{place} {sent} → {answer.text}"
        accepted = answer.status_code == 200
        if accepted:
            self._check_readable(reader, place.method, place.path, answer.text, sent)
        if accepted and answer.json().get(place.id.partition(".")[0]) != []:  # an empty batch creates nothing
            shown_id = id or str(_get_at(answer.json(), place.id))
            readers = self._readers if all_routes else (self._readers[1 - writer],)
            for method, where in place.reads if all_routes else place.reads[:2]:
                for reader_ in self._readers if where == place.reads[0][1] else readers:
                    self._read(reader_, method, where, shown_id, sent)
            id = shown_id
        if id:
            self._client.delete(place.removes.replace("{}", id))
        return accepted

    def _create(self, first: Place) -> str:
        answer = self._client.post(first.path, json=with_name(first.body, f"name{next(_NUMBERS)}"))
        assert answer.status_code == 200, answer.text
        return str(_get_at(answer.json(), first.id))

    def _read(self, reader: Reader, method: str, where: str, id: str, sent: Any) -> None:
        query = {"limit": 3, "sort": {"field": "created_at", "direction": "desc"}} if method == "POST" else None
        path, agent = where.replace("{}", id), {"User-Agent": reader.agent}
        answer = self._client.request(method, path, json=query, headers=agent)
        if answer.status_code == 404 and "documents" in sent and sent.get("collection_id") != "docs":
            return  # it was stored in the collection `default`
        assert answer.status_code == 200, f"{method} {where} after {sent} → {answer.text}"
        self._check_readable(reader, method, where, answer.text, sent)

    def _check_readable(self, reader: Reader, method: str, where: str, text: str, sent: Any) -> None:
        problem = reader.find_problem(method, _to_template(where), text)
        assert problem is None, f"SDK {reader.version} cannot read {method} {where} after {json.dumps(sent)}: {problem}"


@pytest.fixture(scope="module")
def read_back(server: Planted, readers: tuple[Reader, Reader]) -> ReadBack:
    return ReadBack(server, readers)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_body_with_every_field_is_accepted_and_read_back(read_back: ReadBack, place: Place) -> None:
    assert all(read_back.check(place, place.body, writer=writer, all_routes=True) for writer in (0, 1))


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_field_of_any_kind_is_refused_or_read_back(
    read_back: ReadBack, readers: tuple[Reader, Reader], place: Place
) -> None:
    """Every field of the body, and every field that the SDK reads in the answer, replaced by values of every kind."""
    names = {name for reader in readers for name in reader.fields(place.method, _to_template(place.path))}
    inner, put = _open(place)
    turns = count()
    for name in sorted({*inner, *names}):
        for value in _KINDS if LONG else _QUICK:
            read_back.check(place, put({**inner, name: value}), writer=next(turns) % 2)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_body_changed_in_several_places_is_refused_or_read_back(
    read_back: ReadBack, readers: tuple[Reader, Reader], place: Place
) -> None:
    names = {name for reader in readers for name in reader.fields(place.method, _to_template(place.path))}

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        derandomize=not LONG,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(body=_mutations(place.body, sorted(names)), writer=st.integers(0, 1))
    def holds(body: Any, writer: int) -> None:
        read_back.check(place, body, writer=writer)

    holds()


def test_every_route_that_stores_a_body_is_here(server: Planted) -> None:
    description = server.client.get("/openapi.json").json()
    writing = {
        (method.upper(), _to_template(path.removeprefix("/v1")))
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
        if method in ("post", "put", "patch")
        and "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    queries = {route for route in writing if route[1].endswith(_ONLY_READ)}
    covered = {(place.method, _to_template(place.path)) for place in PLACES}
    assert sorted(writing - queries - covered) == []


_NONE: Final[dict[str, Any]] = {"content": {}}
_ONLY_READ: Final = ("/list", "/distinct", "/aggregate", "/data", "/plan", "/enrich", "/labels", "/name")
"""Suffixes of routes whose body is a query, or text that is stored verbatim."""


def _to_template(path: str) -> str:
    """Return the path as the SDK writes it: `{}` for each parameter, also in place of a fixed name."""
    path = re.sub(r"\{[^}]*\}", "{}", path)
    for name in ("docs", "things", "default", "reader@example.org"):
        path = path.replace(f"/{name}", "/{}")
    return path if path.startswith("/v1") else f"/v1{path}"


def _get_at(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def _insert_id(body: Any, id: str) -> Any:
    """Replace the text `{}` in the body by the id of the resource."""
    return json.loads(json.dumps(body).replace('"{}"', json.dumps(id)))


def _open(place: Place) -> tuple[dict[str, Any], Any]:
    """Return the part of the body with the stored fields, and a function that puts it back."""
    for path_ in (("objects", 0), ("documents", 0, "payload"), ("updates", 0, "update_data"), ("update_data",)):
        if path_[0] in place.body:
            return _get_in(place.body, path_), lambda inner, path_=path_: _set_in(place.body, path_, inner)
    return place.body, lambda inner: inner


def _get_in(value: Any, path_: tuple[Any, ...]) -> dict[str, Any]:
    for step in path_:
        value = value[step]
    part: dict[str, Any] = value
    return part


def _set_in(value: Any, path_: tuple[Any, ...], new: Any) -> Any:
    if not path_:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path_[0]] = _set_in(value[path_[0]], path_[1:], new)
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
def _mutations(draw: st.DrawFn, body: dict[str, Any], names: list[str]) -> Any:
    """Draw one to three changes of the body: replace, remove or add a part."""
    changed: Any = json.loads(json.dumps(body))
    for _ in range(draw(st.integers(1, 3))):
        path_ = draw(st.sampled_from(list(_paths(changed)) or [()]))
        if not path_:
            continue
        parent = _get_in(changed, path_[:-1])
        what = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if what == "replace":
            parent[path_[-1]] = draw(_VALUES)
        elif what == "remove":
            del parent[path_[-1]]
        elif isinstance(parent, dict):
            names_ = [*names, *parent] if len(path_) == 1 else [*parent, "type", "x"]
            parent[draw(st.sampled_from(names_))] = draw(_VALUES)
    return changed


def _paths(value: Any, path_: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Iterate over the paths of all parts of a JSON value."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*path_, step)
        yield from _paths(inner, (*path_, step))
