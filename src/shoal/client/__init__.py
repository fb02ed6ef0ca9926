"""The same wire from Python: `Client` speaks to a running server."""

from shoal.client.client import Client
from shoal.client.executions import Run

__all__ = ["Client", "Run"]
