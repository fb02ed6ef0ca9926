"""Detect changes of an API description that break clients.

A client breaks when something it may send is no longer accepted, when something it may read is no longer sent, or when
a closed list gains a value that it does not expect.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

__all__ = ["find_additions", "find_breaks"]

Json: TypeAlias = Mapping[str, Any]
Direction: TypeAlias = Literal["sent", "read"]
Visited: TypeAlias = frozenset[tuple[str, str]]

_METHODS: Final = ("get", "put", "post", "delete", "patch")
_LOWER_LIMITS: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER_LIMITS: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_EXACT: Final = ("pattern", "format", "const")


def find_breaks(old: Json, new: Json) -> list[str]:
    """Describe each incompatibility for a client of `old`, one line each."""
    return sorted(set(_Comparison(old, new).operations()))


def find_additions(old: Json, new: Json) -> list[str]:
    """List each operation, parameter, status and field that only `new` has."""
    return sorted(set(_names(new)) - set(_names(old)))


def _names(description: Json) -> Iterator[str]:
    for label, operation in _operations(description):
        yield label
        yield from (f"{label}: parameter {name}" for name in _parameters(operation))
        yield from (f"{label}: status {status}" for status in operation["responses"])
    for name, schema in description["components"]["schemas"].items():
        yield from (f"{name}.{field}" for field in schema.get("properties", {}))


def _operations(description: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in description["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield f"{method.upper()} {path}", methods[method]


def _parameters(operation: Json) -> dict[str, Json]:
    return {f"{parameter['name']} in {parameter['in']}": parameter for parameter in operation.get("parameters", [])}


class _Comparison:
    """Comparison of two descriptions; every method yields incompatibilities."""

    def __init__(self, old: Json, new: Json) -> None:
        self._old, self._new = old, new

    def operations(self) -> Iterator[str]:
        operations = dict(_operations(self._new))
        for label, old in _operations(self._old):
            if label not in operations:
                yield f"{label} is gone"
                continue
            new = operations[label]
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
            before, after = self._resolve(self._old, answer), self._resolve(self._new, new[status])
            yield from self._content(f"{label}: {status}", before.get("content", {}), after.get("content", {}), "read")

    def _content(self, where: str, old: Json, new: Json, direction: Direction) -> Iterator[str]:
        for media, content in old.items():
            if media not in new:
                yield f"{where}: {media} is gone"
            else:
                yield from self._schema(where, content.get("schema", {}), new[media].get("schema", {}), direction)

    def _schema(
        self, where: str, old: Json, new: Json, direction: Direction, visited: Visited = frozenset()
    ) -> Iterator[str]:
        pair = (repr(old), repr(new))
        if "$ref" in pair[0] and "$ref" in pair[1]:  # also within alternatives: a model may be recursive
            if pair in visited:
                return
            visited |= {pair}
        before, after = self._kinds(self._old, old), self._kinds(self._new, new)
        narrower, wider = (after, before) if direction == "sent" else (before, after)
        for kind in wider:
            if kind not in narrower and "any" not in narrower and not (kind == "integer" and "number" in narrower):
                yield f"{where}: {kind} {'is no longer taken' if direction == 'sent' else 'may be sent now'}"
        for kind in before.keys() & after.keys():
            yield from self._same_kind(where, before[kind], after[kind], direction, visited)

    def _same_kind(
        self, where: str, old: list[Json], new: list[Json], direction: Direction, visited: Visited
    ) -> Iterator[str]:
        if len(old) != len(new):
            if (len(new) < len(old)) == (direction == "sent"):
                yield f"{where}: {len(old)} alternatives are now {len(new)}"
            return
        for before, after in zip(old, new, strict=True):
            yield from self._limits(where, before, after, direction)
            yield from self._fields(where, before, after, direction, visited)
            for inner in ("items", "additionalProperties"):
                if isinstance(before.get(inner), Mapping) and isinstance(after.get(inner), Mapping):
                    yield from self._schema(f"{where}[]", before[inner], after[inner], direction, visited)

    def _fields(self, where: str, old: Json, new: Json, direction: Direction, visited: Visited) -> Iterator[str]:
        after = new.get("properties", {})
        for name, field in old.get("properties", {}).items():
            if name not in after:
                yield f"{where}.{name} is gone"
            else:
                yield from self._schema(f"{where}.{name}", field, after[name], direction, visited)
        required, formerly_required = set(new.get("required", ())), set(old.get("required", ()))
        if direction == "sent":
            yield from (f"{where}.{name} is required now" for name in required - formerly_required)
        else:
            yield from (f"{where}.{name} may be missing now" for name in (formerly_required - required) & after.keys())

    def _limits(self, where: str, old: Json, new: Json, direction: Direction) -> Iterator[str]:
        before, after = old.get("enum"), new.get("enum")
        lost, gained = set(before or ()) - set(after or ()), set(after or ()) - set(before or ())
        if direction == "sent":
            if after is not None and (before is None or lost):
                yield f"{where}: takes only {after} now"
            yield from (f"{where}: {name} is {new[name]} now" for name in _find_tightened(old, new))
        elif before is not None and (after is None or gained):
            yield f"{where}: may be {sorted(map(str, gained)) or 'anything'} now"

    @staticmethod
    def _resolve(description: Json, node: Json) -> Json:
        while "$ref" in node:
            target: Any = description
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def _kinds(self, description: Json, schema: Json) -> dict[str, list[Json]]:
        """Return the alternatives of a schema by type; `any` if it has no type."""
        shapes_by_kind: dict[str, list[Json]] = {}
        schema = self._resolve(description, schema)
        alternatives = schema.get("anyOf") or schema.get("oneOf")
        if alternatives:
            for alternative in alternatives:
                for kind, shapes in self._kinds(description, alternative).items():
                    shapes_by_kind.setdefault(kind, []).extend(shapes)
            return shapes_by_kind
        kinds = schema.get("type", "any")
        return {kind: [schema] for kind in ([kinds] if isinstance(kinds, str) else kinds)}


def _find_tightened(old: Json, new: Json) -> Iterator[str]:
    yield from (name for name in _LOWER_LIMITS if name in new and (name not in old or new[name] > old[name]))
    yield from (name for name in _UPPER_LIMITS if name in new and (name not in old or new[name] < old[name]))
    yield from (name for name in _EXACT if name in new and new[name] != old.get(name))
