"""`--param name=value`: parameters of an algorithm on the command line."""

import orjson

from shoal.errors import InvalidField

__all__ = ["parse_params", "parse_value"]


def parse_params(pairs: list[str]) -> dict[str, object]:
    """Parse `name=value` pairs; values are JSON where possible, else text. Raises InvalidField."""
    params: dict[str, object] = {}
    for text in pairs:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise InvalidField("--param", "must be name=value", value=text, remedy="Such as --param n_init=10.")
        params[name.strip().replace("-", "_")] = parse_value(value)
    return params


def parse_value(text: str) -> object:
    """Return the JSON value of a text, or else the text itself."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
