"""What a new description takes away from clients of an old one.

A client breaks when something it may send is no longer taken, when something it may read is no longer sent, or when it
is sent something it has not heard of where the list was closed.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

__all__ = ["added", "broken"]

Json: TypeAlias = Mapping[str, Any]
Way: TypeAlias = Literal["sent", "read"]
Seen: TypeAlias = frozenset[tuple[str, str]]

_METHODS: Final = ("get", "put", "post", "delete", "patch")
_LEAST: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_MOST: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_EXACT: Final = ("pattern", "format", "const")


def broken(old: Json, new: Json) -> list[str]:
    """One line for each thing a client of `old` misses in `new`."""
    return sorted(set(_Comparison(old, new).operations()))


def added(old: Json, new: Json) -> list[str]:
    """One line for each operation, parameter, status and field that only `new` has."""
    return sorted(set(_names(new)) - set(_names(old)))


def _names(described: Json) -> Iterator[str]:
    for label, operation in _operations(described):
        yield label
        yield from (f"{label}: parameter {name}" for name in _parameters(operation))
        yield from (f"{label}: status {status}" for status in operation["responses"])
    for name, schema in described["components"]["schemas"].items():
        yield from (f"{name}.{field}" for field in schema.get("properties", {}))


def _operations(described: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in described["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield f"{method.upper()} {path}", methods[method]


def _parameters(operation: Json) -> dict[str, Json]:
    return {f"{one['name']} in {one['in']}": one for one in operation.get("parameters", [])}


class _Comparison:
    """Two descriptions; every method yields what is broken."""

    def __init__(self, old: Json, new: Json) -> None:
        self._old, self._new = old, new

    def operations(self) -> Iterator[str]:
        known = dict(_operations(self._new))
        for label, old in _operations(self._old):
            if label not in known:
                yield f"{label} is gone"
                continue
            new = known[label]
            if old.get("operationId") != new.get("operationId"):
                yield f"{label}: the operationId is now {new.get('operationId')}"
            if old.get("security") == [] and new.get("security") != []:
                yield f"{label}: needs a key now"
            yield from self._parameters(label, old, new)
            yield from self._body(label, old.get("requestBody"), new.get("requestBody"))
            yield from self._responses(label, old["responses"], new["responses"])

    def _parameters(self, label: str, old: Json, new: Json) -> Iterator[str]:
        before, after = _parameters(old), _parameters(new)
        for name, parameter in before.items():
            if name not in after:
                yield f"{label}: parameter {name} is gone"
                continue
            yield from self._schema(f"{label}: parameter {name}", parameter["schema"], after[name]["schema"], "sent")
        for name, parameter in after.items():
            if parameter.get("required") and not before.get(name, {}).get("required"):
                yield f"{label}: parameter {name} is required now"

    def _body(self, label: str, old: Json | None, new: Json | None) -> Iterator[str]:
        if new is None:
            if old is not None:
                yield f"{label}: takes no body any more"
            return
        if new.get("required") and not (old or {}).get("required"):
            yield f"{label}: the body is required now"
        yield from self._content(f"{label}: body", (old or {}).get("content", {}), new["content"], "sent")

    def _responses(self, label: str, old: Json, new: Json) -> Iterator[str]:
        for status, answer in old.items():
            if status not in new:
                yield f"{label}: status {status} is gone"
                continue
            before, after = self._resolved(self._old, answer), self._resolved(self._new, new[status])
            yield from self._content(f"{label}: {status}", before.get("content", {}), after.get("content", {}), "read")

    def _content(self, where: str, old: Json, new: Json, way: Way) -> Iterator[str]:
        for media, content in old.items():
            if media not in new:
                yield f"{where}: {media} is gone"
            else:
                yield from self._schema(where, content.get("schema", {}), new[media].get("schema", {}), way)

    def _schema(self, where: str, old: Json, new: Json, way: Way, seen: Seen = frozenset()) -> Iterator[str]:
        pair = (repr(old), repr(new))
        if "$ref" in pair[0] and "$ref" in pair[1]:  # also within alternatives: a model may hold itself
            if pair in seen:
                return
            seen |= {pair}
        before, after = self._kinds(self._old, old), self._kinds(self._new, new)
        narrower, wider = (after, before) if way == "sent" else (before, after)
        for kind in wider:
            if kind not in narrower and "any" not in narrower and not (kind == "integer" and "number" in narrower):
                yield f"{where}: {kind} {'is no longer taken' if way == 'sent' else 'may be sent now'}"
        for kind in before.keys() & after.keys():
            yield from self._same_kind(where, before[kind], after[kind], way, seen)

    def _same_kind(self, where: str, old: list[Json], new: list[Json], way: Way, seen: Seen) -> Iterator[str]:
        if len(old) != len(new):
            if (len(new) < len(old)) == (way == "sent"):
                yield f"{where}: {len(old)} alternatives are now {len(new)}"
            return
        for before, after in zip(old, new, strict=True):
            yield from self._limits(where, before, after, way)
            yield from self._fields(where, before, after, way, seen)
            for inner in ("items", "additionalProperties"):
                if isinstance(before.get(inner), Mapping) and isinstance(after.get(inner), Mapping):
                    yield from self._schema(f"{where}[]", before[inner], after[inner], way, seen)

    def _fields(self, where: str, old: Json, new: Json, way: Way, seen: Seen) -> Iterator[str]:
        after = new.get("properties", {})
        for name, field in old.get("properties", {}).items():
            if name not in after:
                yield f"{where}.{name} is gone"
            else:
                yield from self._schema(f"{where}.{name}", field, after[name], way, seen)
        needed, given = set(new.get("required", ())), set(old.get("required", ()))
        if way == "sent":
            yield from (f"{where}.{name} is required now" for name in needed - given)
        else:
            yield from (f"{where}.{name} may be missing now" for name in (given - needed) & after.keys())

    def _limits(self, where: str, old: Json, new: Json, way: Way) -> Iterator[str]:
        before, after = old.get("enum"), new.get("enum")
        lost, gained = set(before or ()) - set(after or ()), set(after or ()) - set(before or ())
        if way == "sent":
            if after is not None and (before is None or lost):
                yield f"{where}: takes only {after} now"
            yield from (f"{where}: {name} is {new[name]} now" for name in _tightened(old, new))
        elif before is not None and (after is None or gained):
            yield f"{where}: may be {sorted(map(str, gained)) or 'anything'} now"

    @staticmethod
    def _resolved(described: Json, node: Json) -> Json:
        while "$ref" in node:
            found: Any = described
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    def _kinds(self, described: Json, schema: Json) -> dict[str, list[Json]]:
        """The alternatives of a schema by their type; `any` where nothing is told."""
        found: dict[str, list[Json]] = {}
        schema = self._resolved(described, schema)
        alternatives = schema.get("anyOf") or schema.get("oneOf")
        if alternatives:
            for alternative in alternatives:
                for kind, shapes in self._kinds(described, alternative).items():
                    found.setdefault(kind, []).extend(shapes)
            return found
        kinds = schema.get("type", "any")
        return {kind: [schema] for kind in ([kinds] if isinstance(kinds, str) else kinds)}


def _tightened(old: Json, new: Json) -> Iterator[str]:
    yield from (name for name in _LEAST if name in new and (name not in old or new[name] > old[name]))
    yield from (name for name in _MOST if name in new and (name not in old or new[name] < old[name]))
    yield from (name for name in _EXACT if name in new and new[name] != old.get(name))
