"""What all records share."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer

__all__ = ["Body", "Record", "Timestamp", "wire_time"]


def wire_time(moment: datetime) -> str:
    """UTC, milliseconds, `Z`: the one form in which times leave Shoal (contract 6, row 38)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


Timestamp = Annotated[datetime, PlainSerializer(wire_time, return_type=str)]


class Record(BaseModel):
    """A stored resource. What the wire shows is what the metadata store keeps, plus the integer `schema_version`."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=(), ser_json_inf_nan="null")


class Body(BaseModel):
    """A request body. Unknown keys are tolerated, as upstream does; strict types where a mix-up would be silent."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=(), allow_inf_nan=False)
