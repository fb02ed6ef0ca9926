"""Arrays in, arrays out: no clock, no network, no disk, no records."""

from shoal.engine.algorithms import ALGORITHMS, check_params
from shoal.engine.clustering import compute
from shoal.engine.outcome import Outcome
from shoal.engine.plan import Plan

__all__ = ["ALGORITHMS", "Outcome", "Plan", "check_params", "compute"]
