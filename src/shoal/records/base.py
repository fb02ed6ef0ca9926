"""Base classes and field types of records and request bodies."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, LiteralString, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PlainSerializer,
    PrivateAttr,
    Strict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

__all__ = [
    "NO_REASONS",
    "READING",
    "Body",
    "Described",
    "Done",
    "Effect",
    "Flag",
    "Integral",
    "Kept",
    "Number",
    "Readable",
    "Record",
    "Timestamp",
    "Whole",
    "format_stored_time",
    "format_wire_time",
]


def format_wire_time(moment: datetime) -> str:
    """Format a time in UTC with milliseconds and `Z`, as on the wire (contract.md#times)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def format_stored_time(moment: datetime) -> str:
    """Format a time in UTC with microseconds, in fixed width: texts sort by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


_WIRE_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
Timestamp = Annotated[
    datetime, PlainSerializer(format_wire_time, return_type=str), WithJsonSchema(_WIRE_TIME, mode="serialization")
]


def _check_integer(value: object) -> object:
    """Refuse booleans, texts, and integers beyond 64 bits; 5.0 is an integer in JSON Schema."""
    if isinstance(value, (bool, str)):
        raise ValueError("must be an integer")
    if isinstance(value, (int, float)) and not -(2**63) <= value < 2**63:
        raise ValueError("must be an integer of 64 bits")
    return value


Integral = BeforeValidator(_check_integer)
"""Use it last in an annotation, after the bounds: `Annotated[int, Field(ge=1), Integral]`."""

Whole = Annotated[int, Integral]
"""An integer of a body without bounds."""

Flag = Annotated[bool, Strict()]
"""A strict boolean of a body: neither 1 nor "yes"."""

Number = Annotated[float, Strict()]
"""A strict number of a body: neither true nor "0.5"."""


_T = TypeVar("_T")


def _none_where_unreadable(stored: Any, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(stored)
    except ValidationError:
        return None


Kept = Annotated[_T | None, WrapValidator(_none_where_unreadable)]
"""A part of a record that is only stored and shown. Earlier versions stored it unchecked: an invalid value is read as
null, so that the record can be shown at all."""


READING: Final[Mapping[str, bool]] = MappingProxyType({"reading": True})
"""The context of `model_validate` for stored records and answers, perhaps of another version of Shoal: unknown keys are
ignored. Bodies of requests refuse them."""


class Readable(BeforeValidator):
    """Reads a list in a record, dropping invalid items; keys that this version does not know are ignored."""

    def __init__(self, model: type[BaseModel]) -> None:
        def readable(stored: Any) -> Any:
            return [item for item in map(_read, stored) if item is not None] if isinstance(stored, list) else []

        def _read(item: Any) -> BaseModel | None:
            try:
                return model.model_validate(item, context=READING)
            except ValidationError:
                return None

        super().__init__(readable)


class Described:
    """Describes a field by a model that does not validate it, because a custom parser does."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __get_pydantic_json_schema__(self, schema: CoreSchema, describe: GetJsonSchemaHandler) -> JsonSchemaValue:
        return describe(self._model.__pydantic_core_schema__)


class Changeable(BaseModel):
    """A model with checked copies."""

    def with_changes(self, **changes: Any) -> Self:
        """Return a copy with some fields changed. Pydantic's `model_copy(update=…)` checks neither names nor values.

        Raises TypeError for an unknown field, ValidationError for an invalid value.
        """
        unknown = sorted(changes.keys() - type(self).model_fields.keys())
        if unknown:
            raise TypeError(f"{type(self).__name__} has no field {unknown[0]!r}")
        copy = self.model_copy()
        for name, value in changes.items():
            self.__pydantic_validator__.validate_assignment(copy, name, value)
        return copy


class Record(Changeable):
    """A stored resource. What the wire shows is what the metadata store keeps, plus the integer `schema_version`."""

    model_config = ConfigDict(
        extra="ignore",
        protected_namespaces=(),
        ser_json_inf_nan="null",
        json_schema_serialization_defaults_required=True,  # all fields are sent, also those that have a default
    )


class Effect(Record):
    """An answer that says what a call did, and shows nothing of what is stored."""


class Done(Effect):
    """The answer to a call that leaves nothing to show."""

    success: bool = True
    message: str


_NOTHING: Final[tuple[object, ...]] = (None, False, "", [], {})
"""Values without effect. The official SDK sends them for fields that its users never set."""
NO_REASONS: Final[Mapping[str, str]] = MappingProxyType({})


class Body(Changeable):
    """A request body, with strict types where a mix-up would be silent.

    A key that is not known is refused, with the nearest one that is. Keys that the official SDK knows and Shoal has no
    use for are listed by each body with the reason: those of `UNUSED` are set aside and give a warning, those of
    `UNAVAILABLE` are refused, both only where their value asks for something.
    """

    model_config = ConfigDict(
        extra="forbid",
        protected_namespaces=(),
        allow_inf_nan=False,
        json_schema_serialization_defaults_required=True,  # bodies that are kept are shown whole
    )
    UNUSED: ClassVar[Mapping[str, str]] = NO_REASONS
    UNAVAILABLE: ClassVar[Mapping[str, str]] = NO_REASONS
    REQUIRED: ClassVar[Mapping[str, str]] = NO_REASONS
    """Messages for missing keys that have their own remedy."""
    _set_aside: dict[str, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def know_every_key(cls, raw: Any, check: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        """Set aside keys without effect; refuse unknown keys, or ignore them if the context is `READING`."""
        if not isinstance(raw, Mapping):
            return check(raw)
        raw = cls.translate_names(raw)
        requested = {name: value for name, value in raw.items() if not _is_one_of(value, _NOTHING)}
        accepted, closed = cls._known(), cls.model_config.get("extra") == "forbid"
        if info.context is READING and closed:
            return check({name: value for name, value in raw.items() if name in accepted})
        for name, problem in cls.REQUIRED.items():
            if name not in raw:
                raise _refusal(name, None, problem, kind="required")
        for name in (cls.UNAVAILABLE.keys() & requested.keys()) - accepted:
            raise _refusal(name, requested[name], cls.UNAVAILABLE[name])
        fields = {name: value for name, value in raw.items() if name in accepted or name not in cls._without_effect()}
        if closed:
            for name in fields:
                if name not in accepted:
                    raise _refusal(name, fields[name], cls.unknown(str(name), fields[name], sorted(accepted)))
        body = check(fields)
        body._set_aside = {name: why for name, why in cls.UNUSED.items() if name in requested and name not in accepted}
        return body

    @classmethod
    def translate_names(cls, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        """Translate alternative names of fields. Returns the body unchanged by default."""
        return raw

    @classmethod
    def unknown(cls, name: str, value: object, accepted: list[str]) -> str:
        """Return the message for an unknown key: the most similar known one, else all of them."""
        near = get_close_matches(name, accepted, n=1)
        return f"is not known. Did you mean {near[0]!r}?" if near else f"is not known. Known are: {', '.join(accepted)}"

    def describe_ignored(self, place: str = "") -> list[str]:
        """Return a sentence for each key without effect that was sent, in this body and in nested ones."""
        own = [f"{place}{name} has no effect: {why}" for name, why in self._set_aside.items()]
        for name in sorted(self.model_fields_set):
            for where, inner in _bodies_in(getattr(self, name), f"{place}{name}"):
                own += inner.describe_ignored(f"{where}.")
        return own

    @classmethod
    def _known(cls) -> set[str]:
        fields = cls.model_fields
        return {*fields, *(field.alias for field in fields.values() if field.alias is not None)}

    @classmethod
    def _without_effect(cls) -> set[str]:
        return {*cls.UNUSED, *cls.UNAVAILABLE}


def _is_one_of(value: object, values: tuple[object, ...]) -> bool:
    """Whether a value equals one of these, with the same type: 0 is not False."""
    return any(type(value) is type(candidate) and value == candidate for candidate in values)


def _refusal(name: str, value: object, problem: str, *, kind: LiteralString = "extra_forbidden") -> PydanticCustomError:
    """Return the error for one key of a body; `api/errors.py` adds the path of the body."""
    return PydanticCustomError(kind, "{problem}", {"problem": problem, "key": name, "value": value})


def _bodies_in(value: object, place: str) -> Iterator[tuple[str, Body]]:
    if isinstance(value, Body):
        yield place, value
    elif isinstance(value, list):
        for position, item in enumerate(value):
            if isinstance(item, Body):
                yield f"{place}[{position}]", item
