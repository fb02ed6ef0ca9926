"""The price table, `prices.json`: a dated file, so that no price is looked up over the network."""

import json
from functools import cache
from importlib.resources import files

from shoal.labeling.providers.calls.usage import Price

__all__ = ["known_price", "price_date"]


def known_price(name: str) -> Price | None:
    """Return the list price of a model such as `openai:gpt-4o-mini`; None if it is not in the table."""
    return _table()[1].get(name)


def price_date() -> str:
    """Return the day on which the table was written."""
    return _table()[0]


@cache
def _table() -> tuple[str, dict[str, Price]]:
    table = json.loads(files("shoal.labeling.providers.calls").joinpath("prices.json").read_text())
    return table["date"], {name: Price(*prices) for name, prices in table["prices"].items()}
