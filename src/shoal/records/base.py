"""What all records share."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    PlainSerializer,
    Strict,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

__all__ = [
    "Body",
    "Described",
    "Done",
    "Flag",
    "Integral",
    "Number",
    "Record",
    "Timestamp",
    "Whole",
    "stored_time",
    "wire_time",
]


def wire_time(moment: datetime) -> str:
    """UTC, milliseconds, `Z`: the one form in which times leave Shoal (contract 6, row 38)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def stored_time(moment: datetime) -> str:
    """UTC with microseconds, always the same width: the order of the texts is the order of the times."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


_WIRE_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
Timestamp = Annotated[
    datetime, PlainSerializer(wire_time, return_type=str), WithJsonSchema(_WIRE_TIME, mode="serialization")
]


def _check_integer(value: object) -> object:
    """Neither true nor "5", nor what SQLite and readers of JSON cannot hold; 5.0 is an integer in JSON Schema."""
    if isinstance(value, (bool, str)):
        raise ValueError("must be an integer")
    if isinstance(value, (int, float)) and not -(2**63) <= value < 2**63:
        raise ValueError("must be an integer of 64 bits")
    return value


Integral = BeforeValidator(_check_integer)
"""Goes last in an annotation, after the bounds: `Annotated[int, Field(ge=1), Integral]`."""

Whole = Annotated[int, Integral]
"""An integer of a body without bounds of its own."""

Flag = Annotated[bool, Strict()]
"""True or false of a body: neither 1 nor "yes"."""

Number = Annotated[float, Strict()]
"""A number of a body: neither true nor "0.5"."""


class Described:
    """Describes a field by a model that does not check it, because a parser of our own does."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __get_pydantic_json_schema__(self, schema: CoreSchema, describe: GetJsonSchemaHandler) -> JsonSchemaValue:
        return describe(self._model.__pydantic_core_schema__)


class Record(BaseModel):
    """A stored resource. What the wire shows is what the metadata store keeps, plus the integer `schema_version`."""

    model_config = ConfigDict(
        extra="ignore",
        protected_namespaces=(),
        ser_json_inf_nan="null",
        json_schema_serialization_defaults_required=True,  # all fields are sent, also those that have a default
    )


class Done(Record):
    """The answer to a call that leaves nothing to show."""

    success: bool = True
    message: str


class Body(BaseModel):
    """A request body. Unknown keys are tolerated, as upstream does; strict types where a mix-up would be silent."""

    model_config = ConfigDict(
        extra="ignore",
        protected_namespaces=(),
        allow_inf_nan=False,
        json_schema_serialization_defaults_required=True,  # bodies that are kept are shown whole
    )
