"""The price table, `prices.json`: a dated file, so that no price is looked up over the network.

It was not checked against the providers' own price lists, and prices change. So a call at a price of the table counts
`MARGIN` times towards a budget; the file of SHOAL_MODELS overrides the table.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

from shoal.labeling.providers.calls.usage import Price

__all__ = ["MARGIN", "known_price", "price_date", "price_note"]

MARGIN: Final = 2


def known_price(name: str) -> Price | None:
    """Return the list price of a model such as `openai:gpt-4o-mini`; None if it is not in the table."""
    prices = _table()["prices"]
    return Price(*prices[name]) if name in prices else None


def price_date() -> str:
    """Return the day on which the table was written."""
    return str(_table()["written"])


def price_note() -> str:
    """Say how far a price of the table can be relied on."""
    return (
        f"list price as of {price_date()}, not checked with the provider: "
        f"it counts {MARGIN} times towards a budget unless SHOAL_MODELS sets the price"
    )


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(files("shoal.labeling.providers.calls").joinpath("prices.json").read_text())
    return table
