"""JSON objects as stored in the rows of SQLite files."""

import orjson

from shoal.storage.protocols.records import Json

__all__ = ["parse_object"]


def parse_object(text: str | bytes) -> Json | None:
    """Parse a stored JSON object; None if the text is damaged."""
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None
